"""Runs a source through a network into a sink. Complete frames are kept however a run ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeunet.bundle import Bundle, open_bundle
from edgeunet.errors import EdgeUnetError, SinkError, UsageError
from edgeunet.media.frames import Frame, Sink, Source, SourceReport, StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.media.sources import open_source
from edgeunet.noise_models import check_noise
from edgeunet.run.engine_choice import Note
from edgeunet.run.executor import Executor, check_size
from edgeunet.specs import Task
from edgeunet.stream.added_noise import GaussianNoise
from edgeunet.stream.compose import Composer, choose_view
from edgeunet.stream.meter import Latency, Meter, PsnrMeter, Quality
from edgeunet.stream.strength import FULL, Blender, check_strength

_MS_PER_S = 1e3
_NAMED_SKIPS = 5

Progress = Callable[[int, int | None, float], None]
"""Called after every frame with (finished frames, all frames or None, frames per second)."""


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    source: the source, as ``open_source`` reads it.
    bundle: path of the bundle.
    sink: the sink, as ``open_sink`` reads it.
    engine: ``auto`` or the name of an engine.
    noise_sigma: noise that is added to clean frames, in 8-bit units; None adds none.
    seed: of that noise.
    view: what is written, a ``edgeunet.stream.compose.View``; None chooses by the bundle.
    strength: share of the denoising that is applied, from 0 (the frame itself) to 1.
    frame_limit: stop after this many frames; None runs to the end.
    threads: CPU threads of the engine; None takes every core.
    """

    source: str
    bundle: Path
    sink: str = "none"
    engine: str = "auto"
    noise_sigma: float | None = None
    seed: int = 0
    view: str | None = None
    strength: float = FULL
    frame_limit: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class RunSummary:
    """The result of a run.

    source, sink, bundle, engine, view: their names.
    strength: share of the denoising that was applied, 0..1.
    height, width: of the source, in pixels.
    frame_rate: of the source, in frames per second.
    frames: frames that were processed and written.
    skipped: one line per frame that could not be used.
    dropped: frames of a live source that came too fast for the network.
    complete: the sink has every frame that the source had or that was asked for.
    interrupted: the user ended the run.
    warnings: lines for the user.
    broken_off: why the source ended early; empty when it did not.
    frames_per_second: from the first read to the last write.
    latency_ms: None when no frame was processed.
    quality: None when no noise was added.
    """

    source: str
    sink: str
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
    complete: bool
    interrupted: bool
    warnings: tuple[str, ...]
    broken_off: str
    frames_per_second: float
    latency_ms: Latency | None
    quality: Quality | None


def run_pipeline(
    options: RunOptions,
    *,
    on_frame: Progress | None = None,
    on_note: Note | None = None,
    stop: threading.Event | None = None,
) -> RunSummary:
    """Run a bundle over a source and return a summary.

    on_frame: called after every frame.
    on_note: called with one line about the engine's choice, before the first frame.
    stop: setting it ends the run after the current frame, as a KeyboardInterrupt does. Written
        frames are kept, and the summary says ``interrupted``.
    Raises an EdgeUnetError when the run cannot start or fails. Frames written before are kept,
    unless the sink itself failed.
    """
    _check(options)
    bundle = open_bundle(options.bundle)
    manifest = bundle.manifest
    view = choose_view(options.view, manifest)
    blender = None if options.strength == FULL else Blender(options.strength, manifest)
    with contextlib.ExitStack() as stack:
        source = open_source(options.source, (manifest.height, manifest.width))
        stack.callback(source.close)
        check_size(bundle, source.name, source.height, source.width)
        executor = Executor(bundle, options.engine, threads=options.threads, on_note=on_note)
        stack.callback(executor.close)
        composer = Composer(manifest, view)
        shape = StreamShape(
            composer.height,
            composer.width,
            source.frame_rate,
            _smaller(source.frame_count, options.frame_limit),
        )
        sink = open_sink(options.sink, shape, source)
        run = _Run(options, bundle, source, executor, blender, composer, sink, shape.frame_count)
        run.pump(on_frame, stop or threading.Event())
        report = source.report()
    return run.summary(report, str(view))


class _Run:
    """One run over a source."""

    def __init__(
        self,
        options: RunOptions,
        bundle: Bundle,
        source: Source,
        executor: Executor,
        blender: Blender | None,
        composer: Composer,
        sink: Sink,
        total: int | None,
    ) -> None:
        self._options = options
        self._bundle = bundle
        self._source = source
        self._executor = executor
        self._blender = blender
        self._composer = composer
        self._sink = sink
        self._total = total
        self._meter = Meter()
        self._noise: GaussianNoise | None = None
        self._psnr: PsnrMeter | None = None
        if options.noise_sigma is not None:
            size = (source.height, source.width)
            self._noise = GaussianNoise(options.noise_sigma, options.seed, *size)
            self._psnr = PsnrMeter(*size)
        outputs = bundle.manifest.outputs
        self._denoised = next((out.name for out in outputs if out.task is Task.DENOISE), None)
        self._frames = 0
        self._elapsed_s = 0.0
        self._closed_early = False
        self._interrupted = False

    def pump(self, on_frame: Progress | None, stop: threading.Event) -> None:
        """Process all frames, then end the sink so that complete frames are kept."""
        start_s = time.perf_counter()
        try:
            for frame in self._frames_until(stop):
                if not self._step(frame):
                    self._closed_early = True
                    break
                if on_frame is not None:
                    rate = self._frames / (time.perf_counter() - start_s)
                    on_frame(self._frames, self._total, rate)
        except SinkError:
            self._sink.discard()
            raise
        except KeyboardInterrupt:
            self._interrupted = True
        except BaseException as error:
            self._keep_after(error)
            raise
        self._elapsed_s = time.perf_counter() - start_s
        if self._frames:
            self._sink.finish()
        else:
            self._sink.discard()

    def summary(self, report: SourceReport, view: str) -> RunSummary:
        """Return the result of the run."""
        frames, elapsed_s = self._frames, self._elapsed_s
        whole = report.complete and not self._interrupted
        return RunSummary(
            source=self._source.name,
            sink=self._sink.name,
            bundle=self._bundle.path.name,
            engine=self._executor.engine,
            view=view,
            strength=self._options.strength,
            height=self._source.height,
            width=self._source.width,
            frame_rate=self._source.frame_rate,
            frames=frames,
            skipped=report.skipped,
            dropped=report.dropped,
            complete=whole and (self._source.live or not self._closed_early),
            interrupted=self._interrupted,
            warnings=(*_warnings(report, frames), *self._sink.warnings()),
            broken_off=report.broken_off,
            frames_per_second=frames / elapsed_s if elapsed_s > 0 else 0.0,
            latency_ms=self._meter.latency(),
            quality=self._meter.quality(),
        )

    def _frames_until(self, stop: threading.Event) -> Iterator[Frame]:
        while self._frames != self._options.frame_limit:
            if stop.is_set():
                self._interrupted = True
                return
            frame = self._source.read()
            if frame is None:
                return
            yield frame

    def _step(self, frame: Frame) -> bool:
        """Process one frame. Returns False when the sink wants no more."""
        seen = frame.image if self._noise is None else self._noise.add(frame.image)
        before_s = time.perf_counter()
        outputs = self._executor.run(seen)
        self._meter.add_latency(_MS_PER_S * (time.perf_counter() - before_s))
        if self._blender is not None:
            outputs = self._blender.blended(seen, outputs)
        if self._psnr is not None:
            after = None
            if self._denoised is not None:
                after = self._psnr.psnr_db(outputs[self._denoised][0], frame.image)
            self._meter.add_quality(self._psnr.psnr_db(seen, frame.image), after)
        wants_more = self._sink.write(self._composer.image(seen, outputs), frame)
        self._frames += 1
        return wants_more

    def _keep_after(self, error: BaseException) -> None:
        """Keep the frames written before an error, and add that to its message."""
        if not self._frames:
            self._sink.discard()
            return
        with contextlib.suppress(SinkError):
            self._sink.finish()
            if isinstance(error, EdgeUnetError) and self._sink.name != "none":
                error.message += f"; the {self._frames} frames before it are in {self._sink.name}"


def _check(options: RunOptions) -> None:
    if options.noise_sigma is not None:
        check_noise(options.noise_sigma, options.seed)
    check_strength(options.strength)
    if options.frame_limit is not None and options.frame_limit < 1:
        raise UsageError(
            f"{options.frame_limit} is not a number of frames", hint="use --frames 1 or more"
        )


def _smaller(count: int | None, limit: int | None) -> int | None:
    known = [number for number in (count, limit) if number is not None]
    return min(known) if known else None


def _warnings(report: SourceReport, frames: int) -> tuple[str, ...]:
    warnings = list(report.warnings)
    warnings += [f"left out: {line}" for line in report.skipped[:_NAMED_SKIPS]]
    if len(report.skipped) > _NAMED_SKIPS:
        warnings.append(f"left out: {len(report.skipped) - _NAMED_SKIPS} more")
    if report.dropped:
        warnings.append(
            f"{report.dropped} of {report.dropped + frames} frames came faster than they could "
            "be worked on and were dropped"
        )
    return tuple(warnings)
