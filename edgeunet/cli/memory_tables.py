"""The tables of ``edgeunet memory``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeunet.analysis.roles import Role
from edgeunet.cli.console import print_table
from edgeunet.units import format_bytes, format_size

if TYPE_CHECKING:
    from edgeunet.analysis.memory_report import Gain, LiveTensor, MemoryReport
    from edgeunet.planning.request import PlanRequest
    from edgeunet.run.measured import Measurement

_BAR_CELLS = 24


def print_report(report: MemoryReport, measured: Measurement | None) -> None:
    """Print every figure of a report; measured ones have a table of their own."""
    print_table(
        f"{report.facts}: estimated from the graph",
        ("figure", "what it is", "estimated"),
        [(name, what, format_bytes(size)) for name, what, size in report.figures()],
        text_columns=2,
    )
    if report.planned:
        print_plan(report)
    if report.gains:
        _print_gains(report.gains)
    if measured is not None:
        print_measured(measured)
    _print_peak(report)
    _print_timeline(report)


def print_measured(measured: Measurement) -> None:
    """Print what the engine took, beside what is predicted for this processor, if it is known."""
    promised = measured.predicted_bytes
    predicted = "-" if promised is None else format_bytes(promised)
    above = "high-water mark of its own memory above the loaded engine, outputs included"
    print_table(
        f"measured: {measured.engine}, {len(measured.frames_bytes)} frames, a process of its own",
        ("figure", "what it is", "predicted here", "measured"),
        [
            ("first frame", above, predicted, format_bytes(measured.first_frame_bytes)),
            (
                "later frames",
                "the same, the highest of them",
                predicted,
                format_bytes(measured.steady_bytes),
            ),
            (
                "code",
                "pages of files that frames brought, not counted: the system can take them back",
                "-",
                format_bytes(measured.code_bytes),
            ),
        ],
        text_columns=2,
    )


def why_whole(request: PlanRequest, size: tuple[int, int], *, tuned: bool = False) -> str:
    """Return why a frame runs whole although windows were allowed.

    tuned: plans were timed, and the fastest was taken.
    """
    reason = "they are within the budget"
    if tuned:
        reason = "of what was timed that is the fastest"
    elif request.auto and request.budget_bytes is None:
        reason = "windows would take as much, or do a quarter of the arithmetic twice"
    return f"frames of {format_size(*size)} run whole: {reason}"


def print_plan(report: MemoryReport) -> None:
    """Print the stages of a frame plan with their windows."""
    print_table(*report.stage_table(), text_columns=2)
    title, headings, rows = report.once_table()
    if rows:
        print_table(title, headings, rows, text_columns=2)


def _print_gains(gains: Sequence[Gain]) -> None:
    rows = []
    for before, gain in zip((None, *gains), gains, strict=False):
        change = 100 * (gain.predicted_bytes / before.predicted_bytes - 1) if before else 0.0
        rows.append(
            (gain.measure, format_bytes(gain.predicted_bytes), f"{change:+.1f} %" if before else "")
        )
    print_table(
        "where the gain is from: each measure on top of those above it",
        ("measure", "predicted", "change"),
        rows,
        text_columns=1,
    )


def _print_peak(report: MemoryReport) -> None:
    step = report.steps[report.peak_step]
    alive = sorted(report.live_at_peak, key=lambda tensor: (tensor.role, -tensor.size_bytes))
    where = f"step {step.index} of {len(report.steps)}"
    print_table(
        f"alive at the peak: {step.node} ({step.op_type}), {where}",
        ("role", "tensor", "shape", "type", "steps", "size"),
        [
            (
                str(tensor.role),
                tensor.name,
                "x".join(map(str, tensor.shape)),
                tensor.dtype,
                _lifetime(tensor),
                format_bytes(tensor.size_bytes),
            )
            for tensor in alive
        ],
        text_columns=4,
    )


def _lifetime(tensor: LiveTensor) -> str:
    """Return the steps of its stage in which a tensor lives, or the stages it is held for."""
    if tensor.role is Role.WINDOW:
        return ""
    unit = " stages" if tensor.role in (Role.HELD, Role.STATE) else ""
    return f"[{tensor.start}, {tensor.end}){unit}"


def _print_timeline(report: MemoryReport) -> None:
    unit, kept = ("stage", "held and skips") if report.planned else ("level", "skips")
    rows = []
    for summary in report.summaries:
        stage, peak = summary.run, summary.peak
        rows.append(
            (
                stage.part if report.planned else f"{stage.part} {stage.label}",
                _bar(peak.skip_bytes, peak.live_bytes, report.peak_live_bytes),
                f"[{stage.start}, {stage.end})",
                format_bytes(peak.live_bytes),
                format_bytes(peak.skip_bytes),
            )
        )
    print_table(
        f"through the network: the peak of every {unit} (█ {kept}, ░ working set)",
        (unit, "live", "steps", "peak", kept),
        rows,
        text_columns=2,
    )


def _bar(skip_bytes: int, live_bytes: int, peak_bytes: int) -> str:
    cells = _BAR_CELLS / max(1, peak_bytes)
    skip, live = round(skip_bytes * cells), round(live_bytes * cells)
    return "█" * skip + "░" * (live - skip)
