"""Draw the loss of each convolution as a bar, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from edgeunet.files import replacing_file

_KEPT_COLOUR, _INSIDE_COLOUR = "#c2571a", "#9dbfdd"
_INCHES_WIDE, _INCHES_PER_BAR, _INCHES_AROUND = 8.0, 0.2, 1.4
_DPI = 130


@dataclass(frozen=True)
class Bar:
    """One convolution: its name, the loss in dB, and whether it stays in floats."""

    name: str
    loss_db: float
    kept: bool


def draw_losses(bars: Sequence[Bar], title: str, path: Path) -> None:
    """Write a picture whose ending is .png or .svg; the same bars give the same file."""
    figure = Figure(
        figsize=(_INCHES_WIDE, _INCHES_AROUND + _INCHES_PER_BAR * len(bars)), layout="constrained"
    )
    axes = figure.subplots()
    axes.barh(
        [bar.name for bar in bars],
        [bar.loss_db for bar in bars],
        color=[_KEPT_COLOUR if bar.kept else _INSIDE_COLOUR for bar in bars],
    )
    axes.invert_yaxis()
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.tick_params(axis="y", labelsize=7)
    kept = ", orange: kept in floats" if any(bar.kept for bar in bars) else ""
    axes.set_xlabel(f"dB of PSNR lost with it alone in 8 bits{kept}")
    axes.set_title(title, loc="left", fontweight="bold", parse_math=False)
    kind = path.suffix[1:].lower()
    canvas = FigureCanvasSVG if kind == "svg" else FigureCanvasAgg
    # Without the date the same figures give the same file.
    metadata = {"Date": None} if kind == "svg" else None
    with replacing_file(path) as beside:
        canvas(figure).print_figure(beside, format=kind, dpi=_DPI, metadata=metadata)
