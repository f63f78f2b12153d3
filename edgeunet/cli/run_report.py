"""What ``edgeunet run`` prints: a live view or a status line, and the result."""

from __future__ import annotations

import contextlib
import time
from types import TracebackType
from typing import Any

from edgeunet.cli import console
from edgeunet.cli.live_view import LiveView
from edgeunet.stream.meter import Latency
from edgeunet.stream.run_summary import RunStatus, RunSummary
from edgeunet.stream.status_document import status_document, times_document


class RunReport:
    """Tells how a run stands: a live view on a terminal, otherwise a line now and then.

    every_s: seconds between two lines where stderr is no terminal, and between JSON lines.
    json_lines: print JSON lines on stdout, and notes among them, instead of text.
    """

    def __init__(self, every_s: float, *, json_lines: bool) -> None:
        self._every_s = every_s
        self._json_lines = json_lines
        self._next_s = time.monotonic() + every_s
        on_terminal = console.stderr().is_terminal and not json_lines
        self._view = LiveView() if on_terminal else None
        self._stack = contextlib.ExitStack()
        self._open = False

    def __enter__(self) -> RunReport:
        if self._view is not None:
            self._stack.enter_context(self._view)
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        self._stack.close()

    def note(self, text: str) -> None:
        """Print a line about what happened."""
        if self._json_lines:
            level = "warning" if text.startswith("warning: ") else "note"
            console.print_json_line({"event": level, "text": text.removeprefix("warning: ")})
        elif self._view is not None and self._open:
            self._view.note(text)
        else:
            console.note(text)

    def on_frame(self, done: int, total: int | None, rate: float) -> None:
        if self._view is not None:
            self._view.show_frame(done, total, rate)

    def on_status(self, status: RunStatus) -> None:
        if self._view is not None:
            self._view.show_status(status)
            return
        if time.monotonic() < self._next_s:
            return
        self._next_s += self._every_s
        if self._json_lines:
            console.print_json_line({"event": "status", **status_document(status)})
        else:
            console.note(status_line(status))


def status_line(status: RunStatus) -> str:
    """Return how a run stands in one line."""
    total = f" of {status.total}" if status.total else ""
    line = f"{status.frames}{total} frames, {status.frames_per_second:.1f} frames/s"
    if status.latency_ms:
        line += f", network p50 {status.latency_ms.p50:.1f} p99 {status.latency_ms.p99:.1f} ms"
    if status.age_ms:
        line += f", age p99 {status.age_ms.p99:.1f} ms"
    if status.dropped:
        line += f", {status.dropped} dropped"
    missed = sum(sink.missed for sink in status.sinks)
    if missed:
        line += f", {missed} missed by sinks"
    line += "".join(f", {sink.name} has ended" for sink in status.sinks if sink.failure)
    return line


def document(summary: RunSummary) -> dict[str, Any]:
    """Return the JSON document; sizes are HxW in pixels, rates in frames per second.

    strength: only where it is not 1.
    sinks: only where there are several.
    """
    quality = summary.quality
    strength = {} if summary.strength == 1 else {"strength": summary.strength}
    sinks = [
        {
            "sink": sink.name,
            "written": sink.written,
            "missed": sink.missed,
            "failure": sink.failure,
        }
        for sink in summary.sinks
    ]
    return {
        "source": summary.source,
        "sink": summary.sink,
        **({"sinks": sinks} if len(sinks) > 1 else {}),
        "bundle": summary.bundle,
        "engine": summary.engine,
        "view": summary.view,
        **strength,
        "frames": summary.frames,
        "skipped": len(summary.skipped),
        "dropped": summary.dropped,
        "early": summary.early,
        "reconnections": summary.reconnections,
        "damaged": summary.damaged,
        "complete": summary.complete,
        "warnings": [*summary.warnings, *filter(None, [summary.broken_off])],
        "size": f"{summary.height}x{summary.width}",
        "frame_rate": summary.frame_rate,
        "fps": round(summary.frames_per_second, 3),
        "latency_ms": times_document(summary.latency_ms),
        "age_ms": times_document(summary.age_ms),
        "psnr_db": quality
        and {
            "before": round(quality.before, 3),
            "after": None if quality.after is None else round(quality.after, 3),
        },
    }


def print_summary(summary: RunSummary) -> None:
    """Print the result as a table."""
    latency, age, quality = summary.latency_ms, summary.age_ms, summary.quality
    rows = [
        ("source", f"{summary.source} ({summary.height}x{summary.width})"),
        ("sink", f"{summary.sink} ({summary.view})"),
        ("bundle", summary.bundle),
        ("engine", summary.engine),
        ("frames", str(summary.frames)),
    ]
    if summary.strength != 1:
        rows.append(("strength", f"{summary.strength:g}"))
    if summary.skipped:
        rows.append(("left out", str(len(summary.skipped))))
    if summary.dropped:
        rows.append(("dropped", str(summary.dropped)))
    if summary.reconnections:
        rows.append(("reconnections", str(summary.reconnections)))
    rows.append(("frames per second", f"{summary.frames_per_second:.1f}"))
    if latency is not None:
        rows.append(("latency p50 / p95 / p99 (ms)", _three(latency)))
    if age is not None:
        rows.append(("age p50 / p95 / p99 (ms)", _three(age)))
    if quality is not None:
        after = "-" if quality.after is None else f"{quality.after:.2f}"
        rows.append(("PSNR noisy / denoised (dB)", f"{quality.before:.2f} / {after}"))
    console.print_table(None, ["run", ""], rows, text_columns=2)


def _three(times: Latency) -> str:
    return f"{times.p50:.1f} / {times.p95:.1f} / {times.p99:.1f}"
