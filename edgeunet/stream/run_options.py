"""What a person asks a run for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeunet.errors import UsageError
from edgeunet.media.live.reconnecting import DEFAULT_PATIENCE, Patience
from edgeunet.media.sinks import PIPELINES, is_folder, is_path
from edgeunet.media.sinks.recording_options import RecordingOptions
from edgeunet.noise_models import check_noise
from edgeunet.stream.class_events import EventRule
from edgeunet.stream.preview.preview_options import PreviewOptions
from edgeunet.stream.strength import FULL, check_strength


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    source: the source, as ``open_source`` reads it.
    bundle: path of the bundle.
    sinks: the sinks, as ``open_sink`` reads them. Empty: nothing is written.
    engine: ``auto`` or the name of an engine.
    noise_sigma: noise that is added to clean frames, in 8-bit units; None adds none.
    seed: of that noise.
    view: what is written, a ``edgeunet.stream.compose.View``; None chooses by the bundle.
    strength: share of the denoising that is applied, from 0 (the frame itself) to 1.
    temporal: whether a network that remembers frames does so; otherwise each is a first frame.
    resume: the file of the memory that the run goes on from and that it writes at its end.
    frame_limit: stop after this many frames; None runs to the end.
    threads: CPU threads of the engine; None takes every core.
    workers: windows that run at a time; None for those of the bundle's plan.
    patience: how long a live source is waited for.
    recording: how a folder is filled with segments of video; None fills it with images.
    events: shares of classes that are told when they come true.
    preview: where a page shows the run; None shows none.
    password_file: a file with the password of the source; None takes the environment's.
    """

    source: str
    bundle: Path
    sinks: tuple[str, ...] = ()
    engine: str = "auto"
    noise_sigma: float | None = None
    seed: int = 0
    view: str | None = None
    strength: float = FULL
    temporal: bool = True
    resume: Path | None = None
    frame_limit: int | None = None
    threads: int | None = None
    workers: int | None = None
    patience: Patience = DEFAULT_PATIENCE
    password_file: Path | None = None
    recording: RecordingOptions | None = None
    events: tuple[EventRule, ...] = ()
    preview: PreviewOptions | None = None

    @property
    def outlives_a_terminal(self) -> bool:
        """Whether it still has a purpose after its terminal is closed: it writes somewhere."""
        shows = self.preview is not None
        return shows or any(is_path(sink) or sink.startswith(PIPELINES) for sink in self.sinks)

    def check(self) -> None:
        """Raise UsageError for a number that is not possible."""
        if self.noise_sigma is not None:
            check_noise(self.noise_sigma, self.seed)
        check_strength(self.strength)
        if self.resume is not None and not self.temporal:
            raise UsageError(
                "--resume goes on from a memory, and --temporal off has none",
                hint="leave one of them out",
            )
        if self.frame_limit is not None and self.frame_limit < 1:
            raise UsageError(
                f"{self.frame_limit} is not a number of frames", hint="use --frames 1 or more"
            )
        if self.recording is not None and not any(map(is_folder, self.sinks)):
            raise UsageError(
                "segments are recorded into a folder, and no sink is one",
                hint="name one that ends in /, like recordings/, or leave --segment out",
            )
        if not 0.1 <= self.patience.timeout_s <= 86400:
            raise UsageError(
                f"{self.patience.timeout_s:g} is not a time to wait for a frame",
                hint="use --timeout with seconds from 0.1 to 86400",
            )
