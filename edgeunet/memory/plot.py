"""The memory timeline as a picture: what is alive while each node runs, and why.

The only file that imports matplotlib. Figures are made as objects; nothing global is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Transform

from edgeunet.errors import UsageError
from edgeunet.files import replacing_file
from edgeunet.memory.report import MemoryReport
from edgeunet.memory.roles import Role
from edgeunet.units import MIB, format_bytes

SUFFIXES = (".png", ".svg")

# Two hues that stay apart for colour-blind readers and in grey print.
_SKIP_COLOUR = "#c2571a"
_WORK_COLOUR = "#9dbfdd"
_LINE_COLOUR = "#24435e"
_INK = "#222222"
_FAINT = "#8a8a8a"

_PANEL_INCHES = (9.0, 5.2)
_DPI = 130
# A level narrower than this share of the width has no room for its label.
_LABEL_SHARE = 0.028
_NAMES_AT_PEAK = 3
_NAME_LENGTH = 24
_MANY_STEPS = 300


def check_suffix(path: Path) -> None:
    """Raise UsageError for a file name that says no format this can draw."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot draw {path.name!r}: its ending says no known format",
            hint=f"end the name in {' or '.join(SUFFIXES)}",
        )


def draw(reports: Sequence[MemoryReport], paths: Sequence[Path]) -> None:
    """Draw the timelines side by side on one scale, and write them to every path."""
    for path in paths:
        check_suffix(path)
    figure = timeline(reports)
    for path in paths:
        canvas = FigureCanvasSVG if path.suffix.lower() == ".svg" else FigureCanvasAgg
        with replacing_file(path) as beside:
            kind = path.suffix[1:].lower()
            # Without the date the same graph gives the same file.
            metadata = {"Date": None} if kind == "svg" else None
            canvas(figure).print_figure(beside, format=kind, dpi=_DPI, metadata=metadata)


def timeline(reports: Sequence[MemoryReport]) -> Figure:
    """Return the figure: one panel per report, all with the same MiB axis.

    Panels after the first also say how their figures compare with the first.
    """
    width, height = _PANEL_INCHES
    share = 1.0 if len(reports) == 1 else 0.8
    figure = Figure(figsize=(width * share * len(reports), height), layout="constrained")
    panels = figure.subplots(1, len(reports), sharey=True, squeeze=False)[0]
    top = max(report.peak_live_bytes for report in reports) / MIB or 1.0
    for panel, report in zip(panels, reports, strict=True):
        first = None if report is reports[0] else reports[0]
        _draw_panel(panel, report, top, first)
    panels[0].set_ylabel("live activations, MiB")
    figure.legend(
        handles=[
            Patch(color=_SKIP_COLOUR, label="skips: encoder tensors held for the decoder"),
            Patch(color=_WORK_COLOUR, label="working set: what the running node and the next need"),
        ],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    return figure


def _draw_panel(panel: Axes, report: MemoryReport, top: float, first: MemoryReport | None) -> None:
    live = np.array([step.live_bytes for step in report.steps]) / MIB
    skips = np.array([step.skip_bytes for step in report.steps]) / MIB
    edges = np.arange(len(live) + 1)
    panel.stairs(skips, edges, fill=True, color=_SKIP_COLOUR, linewidth=0)
    panel.stairs(live, edges, baseline=skips, fill=True, color=_WORK_COLOUR, linewidth=0)
    # Hundreds of narrow steps would merge into one dark band under a thick line.
    thin = len(live) > _MANY_STEPS
    panel.stairs(live, edges, color=_LINE_COLOUR, linewidth=0.3 if thin else 0.9, baseline=None)
    panel.set_xlim(0, len(live))
    panel.set_ylim(0, top * 1.25)
    panel.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    panel.spines[["top", "right"]].set_visible(False)
    panel.yaxis.grid(True, color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)
    _label_levels(panel, report)
    _mark_peak(panel, report, top, first)
    _mark_skips(panel, report, top, first)
    facts = [report.model, report.size or "", str(report.precision)]
    title = "  ·  ".join(fact for fact in facts if fact)
    panel.set_title(title, loc="left", fontweight="bold", color=_INK, pad=10, parse_math=False)


def _label_levels(panel: Axes, report: MemoryReport) -> None:
    """Write the resolution under every stage that has room, and the parts below."""
    panel.set_xticks([])
    total = len(report.steps)
    panel.set_xlabel(f"time: the {total} nodes of the graph, in order", labelpad=30, color=_FAINT)
    below = panel.get_xaxis_transform()
    parts: list[tuple[str, int, int]] = []
    for stage in report.stages:
        if stage.start:
            panel.axvline(stage.start, color="#d4d4d4", linewidth=0.6, zorder=0.5)
        if (stage.end - stage.start) / total >= _LABEL_SHARE:
            middle = (stage.start + stage.end) / 2
            _text_below(panel, below, middle, -0.015, stage.label, color=_INK)
        if parts and parts[-1][0] == stage.part:
            parts[-1] = (stage.part, parts[-1][1], stage.end)
        else:
            parts.append((stage.part, stage.start, stage.end))
    for part, start, end in parts:
        if (end - start) / total >= _LABEL_SHARE * (4 if part == "bottleneck" else 3):
            _text_below(panel, below, (start + end) / 2, -0.065, part, color=_FAINT)


def _text_below(
    panel: Axes, transform: Transform, x: float, y: float, text: str, *, color: str
) -> None:
    panel.text(x, y, text, transform=transform, ha="center", va="top", fontsize=9, color=color)


def _mark_peak(panel: Axes, report: MemoryReport, top: float, first: MemoryReport | None) -> None:
    """Draw a line at the peak; name its value and the largest tensors above it."""
    peak = report.peak_live_bytes / MIB
    panel.axhline(peak, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
    left = report.peak_step < len(report.steps) / 2
    at = report.peak_step / max(1, len(report.steps))
    value = f"peak {format_bytes(report.peak_live_bytes)}"
    if first is not None:
        value += _compared(report.peak_live_bytes, first.peak_live_bytes, first.model)
    for text, offset, weight, size in (
        (value, 20, "bold", 10.5),
        (_largest_at_peak(report), 6, "normal", 8.5),
    ):
        panel.annotate(
            text,
            # Kept inside the panel: text starts or ends at the peak, whichever has the room.
            xy=(min(max(at, 0.01), 0.99), peak),
            xycoords=("axes fraction", "data"),
            xytext=(0, offset),
            textcoords="offset points",
            ha="left" if left else "right",
            fontweight=weight,
            fontsize=size,
            color=_INK,
            parse_math=False,
        )
    panel.plot(
        [report.peak_step + 0.5], [peak], "o", markersize=4.5, color=_INK, clip_on=False, zorder=5
    )


def _largest_at_peak(report: MemoryReport) -> str:
    """Return the largest tensors at the peak with their sizes, skips marked."""
    shown = []
    for tensor in report.live_at_peak[:_NAMES_AT_PEAK]:
        name = (
            tensor.name if len(tensor.name) <= _NAME_LENGTH else "…" + tensor.name[-_NAME_LENGTH:]
        )
        skip = " (skip)" if tensor.role is Role.SKIP else ""
        shown.append(f"{name}{skip} {format_bytes(tensor.size_bytes)}")
    rest = len(report.live_at_peak) - len(shown)
    return " + ".join(shown) + (f" + {rest} more" if rest > 0 else "")


def _mark_skips(panel: Axes, report: MemoryReport, top: float, first: MemoryReport | None) -> None:
    """Name the skip bytes: inside their area when it is high enough, else above everything."""
    if report.bottleneck_step is None or not report.skip_bytes:
        return
    skips = report.skip_bytes / MIB
    text = f"skips {format_bytes(report.skip_bytes)}"
    if first is not None:
        text += _compared(report.skip_bytes, first.skip_bytes, first.model)
    inside = skips > 0.15 * top
    at = report.bottleneck_step + 0.5
    around = [s.live_bytes / MIB for s in report.steps if abs(s.index - at) < len(report.steps) / 6]
    panel.annotate(
        text,
        xy=(at, skips),
        xytext=(at, skips / 2 if inside else max(around) + 0.08 * top),
        ha="center",
        va="center",
        fontweight="bold",
        fontsize=10.5,
        color="white" if inside else _SKIP_COLOUR,
        arrowprops=None if inside else {"arrowstyle": "-", "color": _SKIP_COLOUR, "shrinkB": 0},
        parse_math=False,
    )


def _compared(value: int, other: int, name: str) -> str:
    if other == 0 or value == other:
        return ""
    change = 100 * (value / other - 1)
    return f", {abs(change):.0f} % {'less' if change < 0 else 'more'} than {name}"
