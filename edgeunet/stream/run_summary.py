"""What a run tells: how it stands while it goes on, and its result."""

from __future__ import annotations

from dataclasses import dataclass

from edgeunet.media.frames import SourceReport
from edgeunet.stream.activity import Hang
from edgeunet.stream.delivery import SinkReport
from edgeunet.stream.meter import Latency, Quality

_NAMED_SKIPS = 5


@dataclass(frozen=True)
class RunStatus:
    """How a run stands.

    running_s: seconds since its first frame was asked for.
    frames: frames that the network has finished.
    total: all frames that will come; None when that is unknown.
    frames_per_second: since the status before.
    fresh_s: seconds since the network's last frame; None before the first.
    latency_ms, age_ms: as in ``RunSummary``, over all frames so far.
    dropped: frames of a live source that came too fast for the network.
    reconnections: how often a live source was lost and came back.
    sinks: every sink's counts.
    hangs: the stages that hang now.
    resident_bytes: memory of the process; 0 where the system does not say.
    """

    running_s: float
    frames: int
    total: int | None
    frames_per_second: float
    fresh_s: float | None
    latency_ms: Latency | None
    age_ms: Latency | None
    dropped: int
    reconnections: int
    sinks: tuple[SinkReport, ...]
    hangs: tuple[Hang, ...]
    resident_bytes: int


@dataclass(frozen=True)
class RunSummary:
    """The result of a run.

    source, bundle, engine, view: their names.
    sinks: what became of every sink.
    strength: share of the denoising that was applied, 0..1.
    height, width: of the source, in pixels.
    frame_rate: of the source, in frames per second.
    frames: frames that the network finished.
    skipped: one line per frame that could not be used.
    dropped: frames of a live source that came too fast for the network.
    early: frames of a live source that came before the run was ready for the first.
    reconnections: how often a live source was lost and came back.
    damaged: damaged frames or packets of a video that were skipped.
    complete: every sink has every frame that the source had or that was asked for; of a live
        source, every frame that was not dropped.
    interrupted: the user ended the run.
    warnings: lines for the user.
    broken_off: why the source ended early; empty when it did not.
    frames_per_second: from the first read to the last write.
    latency_ms: from handing a frame to the engine to its results; None without any frame.
    age_ms: from a live frame's arrival to its results; None for files.
    quality: None when no noise was added.
    """

    source: str
    sinks: tuple[SinkReport, ...]
    bundle: str
    engine: str
    view: str
    strength: float
    height: int
    width: int
    frame_rate: float
    frames: int
    skipped: tuple[str, ...]
    dropped: int
    early: int
    reconnections: int
    damaged: int
    complete: bool
    interrupted: bool
    warnings: tuple[str, ...]
    broken_off: str
    frames_per_second: float
    latency_ms: Latency | None
    age_ms: Latency | None
    quality: Quality | None

    @property
    def sink(self) -> str:
        """The sinks' names in one line; ``none`` without any."""
        return ", ".join(sink.name for sink in self.sinks) or "none"


def kept(sinks: tuple[SinkReport, ...], frames: int) -> str:
    """Return a clause that says where the frames of a run are that ended early.

    frames: frames that the network finished.
    """
    full = [sink for sink in sinks if sink.written and not sink.failure and not sink.viewer]
    if not full:
        return f"{frames} frames were worked on, none was kept"
    names = ", ".join(sink.name for sink in full)
    return f"the {max(sink.written for sink in full)} frames written are kept in {names}"


def warnings_about(
    report: SourceReport, frames: int, sinks: tuple[SinkReport, ...]
) -> tuple[str, ...]:
    """Return lines for the user about frames that were left out, dropped or missed.

    frames: frames that the network finished.
    """
    warnings = list(report.warnings)
    if report.damaged and not report.complete:
        warnings.append(report.damage())
    warnings += [f"left out: {line}" for line in report.skipped[:_NAMED_SKIPS]]
    if len(report.skipped) > _NAMED_SKIPS:
        warnings.append(f"left out: {len(report.skipped) - _NAMED_SKIPS} more")
    if report.dropped:
        warnings.append(
            f"{report.dropped} of {report.dropped + frames} frames came faster than they could "
            "be worked on and were dropped"
        )
    warnings += [
        f"{sink.name} missed {sink.missed} of {frames} frames, because it was still busy"
        for sink in sinks
        if sink.missed and not sink.viewer
    ]
    return tuple(warnings)
