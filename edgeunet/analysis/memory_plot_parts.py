"""The areas and texts of the memory picture, computed before anything is drawn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.analysis.levels import LevelRun
from edgeunet.analysis.memory_report import MemoryReport, StageMemory
from edgeunet.analysis.roles import Role
from edgeunet.units import MIB, format_bytes, format_size, shorten

Numbers = NDArray[np.float64]

_NAME_LENGTH = 24
# Between two labels of a row, in points.
_GAP = 7.0


@dataclass(frozen=True)
class Areas:
    """The upper edges of three stacked areas, in MiB for each step."""

    held: Numbers
    skips: Numbers
    live: Numbers


@dataclass(frozen=True)
class Mark:
    """A text below the steps ``[start, end)``; the last of its lines may be left out."""

    start: int
    end: int
    lines: tuple[str, ...]


def areas_of(report: MemoryReport) -> Areas:
    """Return the stacked areas: held tensors, then skips, then everything else."""
    held = np.zeros(len(report.steps))
    if report.planned:
        for run, planned in zip(report.level_runs, report.planned, strict=True):
            held[run.start : run.end] = planned.held_bytes / MIB
    return Areas(
        held=held,
        skips=np.array([step.skip_bytes for step in report.steps]) / MIB,
        live=np.array([step.live_bytes for step in report.steps]) / MIB,
    )


def title_of(report: MemoryReport, *, say_how: bool) -> str:
    """Return model, size and precision. say_how: also state how a frame is run."""
    how = ("in windows" if report.planned else "whole frame") if say_how else ""
    facts = (shorten(report.model, _NAME_LENGTH), report.size or "", str(report.precision), how)
    return "  ·  ".join(fact for fact in facts if fact)


def time_of(report: MemoryReport) -> str:
    """Return the label of the horizontal axis."""
    if report.planned:
        return (
            f"time: {len(report.steps)} nodes, in order; "
            "a stage in windows is drawn for one of its windows"
        )
    return f"time: the {len(report.steps)} nodes of the graph, in order"


def predicted_of(report: MemoryReport) -> str:
    """Return the predicted memory as text, empty if it is not known."""
    if report.predicted_bytes is None:
        return ""
    return f"{report.engine or 'engine'}: predicted {format_bytes(report.predicted_bytes)}"


def compared(value: int, other: int, report: MemoryReport, first: MemoryReport) -> str:
    """Return how a figure of a report differs from that of the first report."""
    if other == 0 or value == other:
        return ""
    name = shorten(first.model, _NAME_LENGTH)
    if report.model == first.model:
        alike = bool(report.planned) == bool(first.planned)
        name = "the first" if alike else "in windows" if first.planned else "the whole frame"
    change = 100 * (value / other - 1)
    return f", {abs(change):.0f} % {'less' if change < 0 else 'more'} than {name}"


def largest_at_peak(report: MemoryReport, count: int) -> str:
    """Return the largest tensors at the peak with their sizes; skips and held ones are marked."""
    shown = []
    for tensor in sorted(report.live_at_peak, key=lambda tensor: -tensor.size_bytes)[:count]:
        name = (
            tensor.name if len(tensor.name) <= _NAME_LENGTH else "…" + tensor.name[-_NAME_LENGTH:]
        )
        why = f" ({tensor.role})" if tensor.role in (Role.SKIP, Role.HELD) else ""
        shown.append(f"{name}{why} {format_bytes(tensor.size_bytes)}")
    rest = len(report.live_at_peak) - len(shown)
    return " + ".join(shown) + (f" + {rest} more" if rest > 0 else "")


def level_marks(report: MemoryReport) -> list[Mark]:
    """Return one mark per resolution of a whole frame."""
    return [Mark(run.start, run.end, (run.label,)) for run in report.level_runs]


def part_marks(report: MemoryReport) -> list[Mark]:
    """Return marks for encoder, bottleneck and decoder."""
    return [
        Mark(runs[0].start, runs[-1].end, (part,))
        for part, group in itertools.groupby(report.level_runs, key=lambda run: run.part)
        if (runs := list(group))
    ]


def plan_marks(report: MemoryReport, width: float, measure: Callable[[str], float]) -> list[Mark]:
    """Return a mark for each stage, with the number of its windows.

    width: of the panel, in the unit of ``measure``.
    Stages with a common name share one mark if there is no room for each.
    """
    marks: list[Mark] = []
    pairs = zip(report.level_runs, report.planned, strict=True)
    # A stage that is divided at a mean over the frame: encode-01, encode-mean-01, encode-02.
    for name, group in itertools.groupby(pairs, key=lambda pair: pair[1].name.partition("-")[0]):
        run = list(group)
        each = [Mark(s.start, s.end, (planned.name, _often(planned))) for s, planned in run]
        point = width / len(report.steps)
        roomy = all(
            max(map(measure, mark.lines)) + _GAP <= (mark.end - mark.start) * point for mark in each
        )
        marks += each if roomy or len(each) == 1 else [_together(name, run)]
    return marks


def _often(planned: StageMemory) -> str:
    if planned.window is None:
        return "once"
    windows = "window" if planned.window_count == 1 else "windows"
    return f"{planned.window_count} {windows} of {format_size(*planned.window)}"


def _together(name: str, run: Sequence[tuple[LevelRun, StageMemory]]) -> Mark:
    most = max(planned.window_count for _, planned in run)
    windows = f", up to {most} windows each" if most > 1 else ", each once"
    return Mark(run[0][0].start, run[-1][0].end, (name, f"{len(run)} stages{windows}"))


def placed(
    marks: Sequence[Mark], steps: int, width: float, measure: Callable[[str], float]
) -> list[tuple[float, Mark]]:
    """Return (middle, mark) of every mark; lines that would overlap another mark are left out.

    steps: number of steps on the axis.
    width: of the panel, in the unit of ``measure``.
    First lines are placed before second ones, and in each pass the longest stages first.
    """
    found: dict[Mark, tuple[float, tuple[str, ...]]] = {}
    for count in (1, 2):
        for mark in sorted(marks, key=lambda mark: mark.start - mark.end):
            lines = mark.lines[:count]
            if len(lines) < count or (count == 2 and mark not in found):
                continue
            half = max(map(measure, lines)) / 2
            at = min(max((mark.start + mark.end) / 2 / steps * width, half), width - half)
            clash = any(
                abs(at - there) < (measure(line) + measure(beside)) / 2 + _GAP
                for other, (there, kept) in found.items()
                if other != mark
                for line, beside in zip(lines, kept, strict=False)
            )
            if not clash and 2 * half <= width:
                found[mark] = (at, lines)
    return sorted(
        ((at, Mark(mark.start, mark.end, lines)) for mark, (at, lines) in found.items()),
        key=lambda pair: pair[0],
    )


def roomiest(values: Numbers, steps: int, near: float) -> tuple[float, float]:
    """Return (middle, height) of the ``steps`` neighbouring values with the largest minimum.

    Of several, the one nearest to ``near`` is taken.
    """
    steps = min(max(steps, 1), len(values))
    lowest = np.lib.stride_tricks.sliding_window_view(values, steps).min(axis=1)
    middles = np.arange(len(lowest)) + steps / 2
    best = min(np.flatnonzero(lowest == lowest.max()), key=lambda index: abs(middles[index] - near))
    return float(middles[best]), float(lowest[best])
