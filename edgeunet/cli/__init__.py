"""The command line: one file per verb. Only here is anything printed or the process ended."""

from edgeunet.cli.app import main

__all__ = ["main"]
