"""How a run stands, on a terminal: a bar of its frames, and the figures of every part below it."""

from __future__ import annotations

from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table

from edgeunet.cli import console
from edgeunet.names import shown
from edgeunet.stream.meter import Latency
from edgeunet.stream.run_summary import RunStatus
from edgeunet.units import format_bytes

_REDRAWN_PER_S = 4


class LiveView:
    """Draws on stderr while it is open. Lines that are noted meanwhile stay above it."""

    def __init__(self) -> None:
        self._bar = console.progress("")
        self._task = self._bar.add_task("run", total=None, rate="-")
        self._status: RunStatus | None = None
        self._live = Live(
            get_renderable=self.picture,
            console=console.stderr(),
            refresh_per_second=_REDRAWN_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self._live.console.print(shown(text))

    def show_frame(self, done: int, total: int | None, rate: float) -> None:
        self._bar.update(self._task, completed=done, total=total, rate=f"{rate:.1f} frames/s")

    def show_status(self, status: RunStatus) -> None:
        self._status = status

    def picture(self) -> RenderableType:
        """Return what is drawn now."""
        if self._status is None:
            return self._bar
        table = Table.grid(padding=(0, 2))
        for name, figures in figures_of(self._status):
            table.add_row(shown(name), figures)
        return Group(self._bar, table)


def figures_of(status: RunStatus) -> list[tuple[str, str]]:
    """Return the rows of the view: what it is about, and its figures as text."""
    rows = [("now", f"{status.frames_per_second:.1f} frames/s")]
    if status.latency_ms is not None:
        rows.append(("network", _times(status.latency_ms)))
    if status.age_ms is not None:
        rows.append(("age", _times(status.age_ms)))
        rows.append(("camera", f"{status.dropped} dropped, {status.reconnections} reconnections"))
    for sink in status.sinks:
        state = f"{sink.written} frames"
        state += f", {sink.missed} missed" if sink.missed else ""
        state += f", ended: {shown(sink.failure)}" if sink.failure else ""
        rows.append((sink.name, state))
    if status.resident_bytes:
        rows.append(("memory", format_bytes(status.resident_bytes)))
    rows += [("warning", str(hang)) for hang in status.hangs]
    return rows


def _times(times: Latency) -> str:
    return f"p50 {times.p50:.1f}  p95 {times.p95:.1f}  p99 {times.p99:.1f} ms"
