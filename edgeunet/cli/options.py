"""Options that several commands take, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the noise.")]
Width = Annotated[
    str | None,
    typer.Option("--width", metavar="N", help="tiny, small, base, or a number of channels."),
]
