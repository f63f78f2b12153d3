"""Options that several verbs take, with the same help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeunet.images.stated_bits import FEWEST, MOST, stating_bits


def _state_bits(context: typer.Context, bits: int | None) -> int | None:
    """Let the option hold until the command ends."""
    context.with_resource(stating_bits(bits))
    return bits


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget", metavar="BYTES", help="Largest activation memory of a run, like 128MiB."
    ),
]
ImageBits = Annotated[
    int | None,
    typer.Option(
        "--image-bits",
        metavar="N",
        min=FEWEST,
        max=MOST,
        callback=_state_bits,
        help="Bits that are meant in 16-bit image files that do not say it, like 12.",
    ),
]
Cpu = Annotated[
    str | None,
    typer.Option(
        "--cpu",
        metavar="NAME",
        help="Processors whose memory a MODEL's plan is for: avx512, avx2, arm64 or here; "
        "default: all.",
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
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Windows that run at a time on onnxruntime and share the CPU threads; default: 1, or "
        "what the bundle was exported for.",
    ),
]

Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", help="Number of CPU threads; default: all cores."),
]
