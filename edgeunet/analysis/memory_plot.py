"""Draw the memory timeline: the bytes alive while each node runs, by role.

Figures are made as objects; matplotlib's global state is not changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from edgeunet.analysis.memory_plot_parts import (
    Areas,
    Mark,
    Numbers,
    areas_of,
    compared,
    largest_at_peak,
    level_marks,
    part_marks,
    placed,
    plan_marks,
    predicted_of,
    roomiest,
    time_of,
    title_of,
)
from edgeunet.analysis.memory_report import MemoryReport
from edgeunet.errors import UsageError
from edgeunet.files import replacing_file
from edgeunet.units import MIB, format_bytes

SUFFIXES = (".png", ".svg")

# Colours that colour-blind readers can tell apart, also in grey print.
_HELD_COLOUR = "#46307a"
_SKIP_COLOUR = "#c2571a"
_WORK_COLOUR = "#9dbfdd"
_LINE_COLOUR = "#24435e"
_INK = "#222222"
_FAINT = "#707070"

_PANEL_INCHES = (9.0, 5.2)
_DPI = 130
_POINTS_PER_INCH = 72
# The axis ends this much above the highest peak, to leave room for two lines of text.
_HEADROOM = 1.25
_NAMES_AT_PEAK = 3
_MANY_STEPS = 300
_BELOW_SIZE, _NAMES_SIZE, _FIGURE_SIZE = 9.0, 8.5, 10.5
_ROW_POINTS = 13.0
# Between a text and the edge of its panel or area, in points.
_MARGIN = 4.0


def check_suffix(path: Path) -> None:
    """Raise UsageError for a file name whose ending is not a supported format."""
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
            # The date is left out, so that the same graph gives the same file.
            metadata = {"Date": None} if kind == "svg" else None
            canvas(figure).print_figure(beside, format=kind, dpi=_DPI, metadata=metadata)


def timeline(reports: Sequence[MemoryReport]) -> Figure:
    """Return the figure: one panel per report, all with the same MiB axis.

    Panels after the first also state how their figures compare with the first.
    """
    width, height = _PANEL_INCHES
    share = 1.0 if len(reports) == 1 else 0.8
    figure = Figure(figsize=(width * share * len(reports), height), layout="constrained")
    panels = figure.subplots(1, len(reports), sharey=True, squeeze=False)[0]
    areas = [areas_of(report) for report in reports]
    top = max(report.peak_live_bytes for report in reports) / MIB or 1.0
    say_how = any(report.planned for report in reports)
    for panel, report, shown in zip(panels, reports, areas, strict=True):
        _draw_areas(panel, shown, top)
        panel.set_title(
            title_of(report, say_how=say_how),
            loc="left", fontweight="bold", color=_INK, pad=10, parse_math=False,
        )  # fmt: skip
        panel.set_xlabel(time_of(report), labelpad=2 * _ROW_POINTS + 4, color=_FAINT)
    panels[0].set_ylabel("live activations, MiB")
    _add_legend(figure, reports, areas)
    # The widths of the panels are known only after the layout.
    figure.draw_without_rendering()
    for panel, report, shown in zip(panels, reports, areas, strict=True):
        first = None if report is reports[0] else reports[0]
        point = _POINTS_PER_INCH / figure.dpi
        _Labels(panel, report, shown, top, first, points_per_pixel=point).write()
    return figure


def _add_legend(figure: Figure, reports: Sequence[MemoryReport], areas: Sequence[Areas]) -> None:
    held = any(shown.held.any() for shown in areas)
    skips = any((shown.skips > shown.held).any() for shown in areas)
    work = any((shown.live > shown.skips).any() for shown in areas)
    in_windows = any(planned.window_bytes for report in reports for planned in report.planned)
    # The buffers that a window is copied to and from are in the working set.
    needed = (
        "for the running node, the next and the window"
        if in_windows
        else "what the running node and the next need"
    )
    kinds = [
        (held, _HELD_COLOUR, "held: handed from stage to stage, skips included"),
        (skips, _SKIP_COLOUR, "skips: encoder tensors held for the decoder"),
        (work, _WORK_COLOUR, f"working set: {needed}"),
    ]
    handles = [Patch(color=colour, label=label) for occurs, colour, label in kinds if occurs]
    columns = 1 if held and len(areas) == 1 else max(1, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def _draw_areas(panel: Axes, areas: Areas, top: float) -> None:
    steps = len(areas.live)
    edges = range(steps + 1)
    if areas.held.any():
        panel.stairs(areas.held, edges, fill=True, color=_HELD_COLOUR, linewidth=0)
    for upper, lower, colour in (
        (areas.skips, areas.held, _SKIP_COLOUR),
        (areas.live, areas.skips, _WORK_COLOUR),
    ):
        panel.stairs(upper, edges, baseline=lower, fill=True, color=colour, linewidth=0)
    # Hundreds of narrow steps would merge into one dark band under a thick line.
    thin = steps > _MANY_STEPS
    panel.stairs(
        areas.live, edges, color=_LINE_COLOUR, linewidth=0.3 if thin else 0.9, baseline=None
    )
    panel.set_xlim(0, steps)
    panel.set_ylim(0, top * _HEADROOM)
    panel.set_xticks([])
    panel.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    panel.spines[["top", "right"]].set_visible(False)
    panel.yaxis.grid(True, color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)


def _points_wide(text: str, size: float, weight: str = "normal") -> float:
    font = FontProperties(size=size, weight=weight)
    # Hinting makes drawn letters a little wider.
    return 1.03 * float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


class _Labels:
    """The texts of one panel, each placed where there is room for it."""

    def __init__(
        self,
        panel: Axes,
        report: MemoryReport,
        areas: Areas,
        top: float,
        first: MemoryReport | None,
        *,
        points_per_pixel: float,
    ) -> None:
        self._panel, self._report, self._areas = panel, report, areas
        self._first = first
        extent = panel.get_window_extent()
        self._width = extent.width * points_per_pixel
        self._mib_per_point = top * _HEADROOM / (extent.height * points_per_pixel)
        self._step_per_point = len(report.steps) / self._width

    def write(self) -> None:
        self._below()
        self._peak()
        if self._report.planned:
            self._held()
        else:
            self._skips()
        self._predicted()

    def _below(self) -> None:
        """Write the names of the stages, or of the levels and their parts."""
        measure = partial(_points_wide, size=_BELOW_SIZE)
        report = self._report
        planned = plan_marks(report, self._width, measure) if report.planned else []
        marks = planned or level_marks(report)
        for mark in marks[1:]:
            self._panel.axvline(mark.start, color="#d4d4d4", linewidth=0.6, zorder=0.5)
        self._write_marks(marks, 0, measure)
        if not planned:
            self._write_marks(part_marks(report), 1, measure)

    def _write_marks(
        self, marks: Sequence[Mark], first_row: int, measure: Callable[[str], float]
    ) -> None:
        for at, mark in placed(marks, len(self._report.steps), self._width, measure):
            for row, text in enumerate(mark.lines, first_row):
                self._panel.annotate(
                    text,
                    xy=(at / self._width, 0),
                    xycoords="axes fraction",
                    xytext=(0, -4 - row * _ROW_POINTS),
                    textcoords="offset points",
                    ha="center",
                    va="top",
                    fontsize=_BELOW_SIZE,
                    color=_FAINT if row else _INK,
                )

    def _peak(self) -> None:
        """Draw a line at the peak, with its value and the largest tensors."""
        report = self._report
        peak = report.peak_live_bytes / MIB
        self._panel.axhline(peak, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        self._panel.plot(
            [report.peak_step + 0.5],
            [peak],
            "o",
            markersize=4.5,
            color=_INK,
            clip_on=False,
            zorder=5,
        )
        value = f"peak {format_bytes(report.peak_live_bytes)}"
        if self._first is not None:
            other = self._first.peak_live_bytes
            value += compared(report.peak_live_bytes, other, report, self._first)
        room = self._width - 2 * _MARGIN
        shorter = (largest_at_peak(report, count) for count in range(_NAMES_AT_PEAK, 0, -1))
        names = next((text for text in shorter if _points_wide(text, _NAMES_SIZE) <= room), "")
        left = report.peak_step < len(report.steps) / 2
        peak_at = report.peak_step / self._step_per_point
        for text, offset, weight, size in (
            (value, 20, "bold", _FIGURE_SIZE),
            (names, 6, "normal", _NAMES_SIZE),
        ):
            # It starts or ends at the peak, whichever has the room, and stays inside.
            wide = _points_wide(text, size, weight)
            last = self._width - _MARGIN
            at = min(peak_at, last - wide) if left else max(peak_at, _MARGIN + wide)
            self._panel.annotate(
                text,
                xy=(min(max(at, _MARGIN), last) / self._width, peak),
                xycoords=("axes fraction", "data"),
                xytext=(0, offset),
                textcoords="offset points",
                ha="left" if left else "right",
                fontweight=weight,
                fontsize=size,
                color=_INK,
                parse_math=False,
            )

    def _held(self) -> None:
        """Write the largest held size, inside its area or as a line at a wider place."""
        held = self._areas.held
        if held.any():
            most = format_bytes(float(held.max()) * MIB)
            at = float(np.median(np.flatnonzero(held == held.max()))) + 0.5
            steps = self._steps_of(f"held {most}")
            there = format_bytes(roomiest(held, steps, at)[1] * MIB) == most
            text = f"held {most}" if there else f"held: up to {most}"
            self._name_area(text, held, at, _HELD_COLOUR)

    def _skips(self) -> None:
        report, first = self._report, self._first
        if report.bottleneck_step is None or not report.skip_bytes:
            return
        text = f"skips {format_bytes(report.skip_bytes)}"
        if first is not None and not first.planned:
            text += compared(report.skip_bytes, first.skip_bytes, report, first)
        self._name_area(text, self._areas.skips, report.bottleneck_step + 0.5, _SKIP_COLOUR)

    def _name_area(self, text: str, area: Numbers, step: float, colour: str) -> None:
        """Write a name into an area if it is high enough, else above all areas at ``step``."""
        steps = self._steps_of(text)
        at, height = roomiest(area, steps, step)
        inside = height > 1.4 * _FIGURE_SIZE * self._mib_per_point
        if inside:
            y = height / 2
        else:
            half = steps / 2
            at = min(max(step, half), max(half, len(area) - half))
            around = self._areas.live[max(0, int(at - half)) : math.ceil(at + half)]
            # Not where the peak's own text is.
            under_peak = self._report.peak_live_bytes / MIB - 12 * self._mib_per_point
            y = min(float(around.max()) + 18 * self._mib_per_point, under_peak)
        arrow = {"arrowstyle": "-", "color": colour, "shrinkB": 0}
        label = self._panel.annotate(
            text,
            xy=(step, area[int(step)]),
            xytext=(at, y),
            ha="center",
            va="center",
            fontweight="bold",
            fontsize=_FIGURE_SIZE,
            color="white" if inside else colour,
            arrowprops=None if inside else arrow,
            parse_math=False,
        )
        if not inside:
            label.set_path_effects([withStroke(linewidth=2.5, foreground="white")])

    def _steps_of(self, text: str) -> int:
        wide = _points_wide(text, _FIGURE_SIZE, "bold") + _MARGIN
        return math.ceil(wide * self._step_per_point)

    def _predicted(self) -> None:
        text = predicted_of(self._report)
        if text:
            self._panel.text(
                1.0, 0.985, text, transform=self._panel.transAxes,
                ha="right", va="top", fontsize=_NAMES_SIZE, color=_FAINT, parse_math=False,
            )  # fmt: skip
