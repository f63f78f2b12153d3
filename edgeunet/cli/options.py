"""Options that several verbs take, with the same help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget", metavar="BYTES", help="Largest activation memory of a run, like 128MiB."
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random noise.")]
Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="HxW",
        help="Frame size of a MODEL, height x width, like 480x640; default: the recipe's.",
    ),
]
Tile = Annotated[
    str | None,
    typer.Option(
        "--tile",
        metavar="HxW|auto|none",
        help="Size of the windows that a MODEL runs in; auto: chosen; none: whole frames.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="A .safetensors file; default: the shipped weights."
    ),
]
Width = Annotated[
    str | None,
    typer.Option(
        "--width",
        metavar="N",
        help="Width of a MODEL: tiny, small, base, or a number of channels.",
    ),
]
