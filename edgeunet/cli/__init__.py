"""The command line: one file per verb. Only here is anything printed or the process ended."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; see ``app.main``.

    ``app`` is imported here, because Ctrl-C may come during its import.
    """
    try:
        from edgeunet.cli import app

        return app.main(argv)
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\nhint: run the command again to start over\n")
        return 130
