"""The table of verbs: name -> the module below ``edgeunet.cli`` with its ``command``."""

from __future__ import annotations

import importlib

import typer

VERBS = {
    "models": "models",
    "export": "export",
    "build": "build",
    "run": "run",
    "service": "service",
    "calibrate": "calibrate",
    "noise": "noise",
    "memory": "memory",
    "train": "train",
    "eval": "evaluate",
    "doctor": "doctor",
    "triton": "triton",
    "demo": "demo",
}


def register(app: typer.Typer) -> None:
    """Add every verb that is not registered yet, in the order of VERBS."""
    present = {entry.name for entry in app.registered_commands}
    for verb, module in VERBS.items():
        if verb not in present:
            command = importlib.import_module(f"edgeunet.cli.{module}").command
            app.command(verb)(command)
    # Verbs may have been registered before, some at a time, as a program does that knows a few.
    order = {verb: place for place, verb in enumerate(VERBS)}
    app.registered_commands.sort(key=lambda entry: order.get(entry.name or "", len(order)))
