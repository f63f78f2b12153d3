"""The threads in the middle of a run: the network's, and the one that composes its answers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from edgeunet.media.capture import LiveSource, ReadAhead
from edgeunet.media.frames import Frame
from edgeunet.media.sinks.row_pictures import RowPicture
from edgeunet.specs import Image, Task
from edgeunet.stream.activity import Activity
from edgeunet.stream.added_noise import GaussianNoise
from edgeunet.stream.class_events import ClassEvent
from edgeunet.stream.compose import outputs_in
from edgeunet.stream.delivery import QUEUED_FRAMES, SinkReport, SinkThread, SlotSink
from edgeunet.stream.meter import Meter, PsnrMeter
from edgeunet.stream.opening import Opened
from edgeunet.stream.run_options import RunOptions
from edgeunet.stream.slots import Slot, SlotPool
from edgeunet.stream.strength import FULL

_MS_PER_S = 1e3


class EventReader(Protocol):
    """Is told of events, in threads of the run, which wait for it."""

    def happened(self, event: ClassEvent, image: Image) -> None:
        """Take an event and the frame that the network saw, (H, W, 3) uint8 BGR, not to be kept."""
        ...

    def kept(self, event: ClassEvent, segment: Path) -> None:
        """Take the finished segment of a recording that has an event's frame."""
        ...


@runtime_checkable
class _KeepsSegments(Protocol):
    """A sink that records in segments."""

    def keep(self, time_s: float, on_kept: Callable[[Path], None]) -> None: ...


class NetworkThread:
    """Takes frames from a source through the network to every sink.

    done: set once the last frame was composed. Sinks are ended by ``finish_sinks`` after that.
    meter: figures so far.
    frames: frames that the network has finished.
    interrupted: the user's ``stop`` ended the run.
    failure: what ended the run; None when nothing did.
    """

    def __init__(
        self,
        options: RunOptions,
        opened: Opened,
        feed: LiveSource | ReadAhead,
        activity: Activity,
        stop: threading.Event,
        on_event: EventReader | None = None,
    ) -> None:
        manifest = opened.bundle.manifest
        size = (manifest.height, manifest.width)
        self._opened = opened
        self._feed = feed
        self._activity = activity
        self._on_event = on_event
        self._limit = options.frame_limit
        self._forgets = not options.temporal
        self._reconnections = 0
        self._asked_to_stop = stop
        self._ending = threading.Event()
        self.done = threading.Event()
        self.meter = Meter()
        self.frames = 0
        self.interrupted = False
        self.failure: BaseException | None = None
        self._last_s: float | None = None
        self._noise: GaussianNoise | None = None
        self._psnr: PsnrMeter | None = None
        if options.noise_sigma is not None:
            self._noise = GaussianNoise(options.noise_sigma, options.seed, *size)
            self._psnr = PsnrMeter(*size)
        outputs = manifest.outputs
        images = (out for out in outputs if out.task is Task.DENOISE and out.shape is None)
        self._denoised = next((out.name for out in images), None)
        # One at the network, one being composed, and per sink one written and those that wait.
        slots = 2 + (1 + QUEUED_FRAMES) * len(opened.sinks)
        needed = self._needed_outputs(options)
        noisy = self._noise is not None
        self._pool = SlotPool(
            [
                Slot(manifest, opened.view, options.strength, noisy=noisy, needed=needed)
                for _ in range(slots)
            ]
        )
        self._answered: queue.SimpleQueue[Slot | None] = queue.SimpleQueue()
        self.sinks = [
            SinkThread(
                sink,
                self._pool,
                activity,
                lossless=not feed.live and not isinstance(sink, SlotSink),
                on_end=self._after_a_sink,
            )
            for sink in opened.sinks
        ]

    def start(self, on_frame: Callable[[int, int | None, float], None] | None) -> None:
        """Start both threads. on_frame: as ``run_pipeline`` explains it."""
        threading.Thread(
            target=self._infer, args=(on_frame,), name="edgeunet-network", daemon=True
        ).start()
        threading.Thread(target=self._deliver, name="edgeunet-compose", daemon=True).start()

    def stop(self) -> None:
        """End after the current frame, also while the source is silent."""
        self._ending.set()
        self._feed.interrupt()
        self._pool.wake()

    def finish_sinks(self, timeout_s: float | None) -> None:
        """Complete every sink. timeout_s: how long to wait for each; None waits for all."""
        for sink in self.sinks:
            sink.finish(0.0)
        for sink in self.sinks:
            sink.finish(timeout_s)

    def sink_reports(self) -> tuple[SinkReport, ...]:
        """Return every sink's counts so far."""
        return tuple(sink.report() for sink in self.sinks)

    def fresh_s(self) -> float | None:
        """Return the seconds since the network's last frame; None before the first."""
        return None if self._last_s is None else time.monotonic() - self._last_s

    def _needed_outputs(self, options: RunOptions) -> frozenset[str]:
        """Return the outputs that are kept for what comes after the network."""
        opened = self._opened
        manifest = opened.bundle.manifest
        if opened.watcher is not None or any(isinstance(sink, SlotSink) for sink in opened.sinks):
            return frozenset(output.name for output in manifest.outputs)
        needed = outputs_in(opened.view, manifest)
        if self._denoised is not None and (self._psnr is not None or options.strength != FULL):
            needed |= {self._denoised}
        return needed

    def _infer(self, on_frame: Callable[[int, int | None, float], None] | None) -> None:
        total = self._opened.shape.frame_count
        start_s = time.perf_counter()
        try:
            while self.frames != self._limit:
                # First the slot, then the frame: a frame that waits for a slot grows old.
                slot = self._pool.take(self._ending)
                frame = None if slot is None else self._feed.read()
                self.interrupted = self._asked_to_stop.is_set()
                if slot is None or frame is None or self.interrupted or self._ending.is_set():
                    break
                self._answer(frame, slot)
                if on_frame is not None:
                    # Videos only estimate how many frames come.
                    expected = None if total is not None and self.frames > total else total
                    on_frame(self.frames, expected, self.frames / (time.perf_counter() - start_s))
        except BaseException as error:  # raised again in the thread that watches
            self.failure = error
        self._answered.put(None)

    def _answer(self, frame: Frame, slot: Slot) -> None:
        seen = frame.image if self._noise is None else self._noise.add(frame.image)
        with self._activity.at_work("the network"):
            before_s = time.perf_counter()
            # What a camera saw before it was lost says nothing about what it sees now.
            if self._forgets or frame.reconnections != self._reconnections:
                self._opened.executor.restart()
                self._reconnections = frame.reconnections
            self._run(frame, seen, slot)
            self.meter.add_latency(_MS_PER_S * (time.perf_counter() - before_s))
        if frame.arrived_s is not None:
            self.meter.add_age(_MS_PER_S * (time.monotonic() - frame.arrived_s))
        slot.fill(frame, seen)
        self._last_s = time.monotonic()
        self.frames += 1
        self._answered.put(slot)

    def _run(self, frame: Frame, seen: Image, slot: Slot) -> None:
        """Run the network into a slot; where the sink takes rows, they are written as they come."""
        opened = self._opened
        if opened.row_sink is None:
            opened.executor.run(seen, slot.buffers)
            return
        path = opened.row_sink.path_of(frame)
        picture = RowPicture(path, opened.shape.height, opened.shape.width)
        try:
            opened.executor.run_in_rows(seen, picture.add, slot.buffers)
        except BaseException:
            picture.drop()
            raise
        slot.picture = picture

    def _deliver(self) -> None:
        try:
            while (slot := self._answered.get()) is not None:
                with self._activity.at_work("composing"):
                    self._finish_frame(slot)
                sinks = [sink for sink in self.sinks if sink.open]
                self._pool.share(slot, len(sinks))
                for sink in sinks:
                    sink.offer(slot)
                self._pool.release(slot)
                self._pool.forget()
        except BaseException as error:
            self.failure = self.failure or error
            self.stop()
        self.done.set()

    def _finish_frame(self, slot: Slot) -> None:
        """Do what needs no engine: blend, measure, compose."""
        slot.blend()
        if self._psnr is not None:
            after = None
            if self._denoised is not None:
                after = self._psnr.psnr_db(slot.outputs[self._denoised][0], slot.frame.image)
            self.meter.add_quality(self._psnr.psnr_db(slot.seen, slot.frame.image), after)
        watcher = self._opened.watcher
        if watcher is not None and self._on_event is not None:
            for event in watcher.look(slot.outputs, slot.frame.timestamp_s):
                self._on_event.happened(event, slot.seen)
                for thread in self.sinks:
                    if isinstance(thread.sink, _KeepsSegments):
                        thread.sink.keep(event.time_s, partial(self._on_event.kept, event))
        if any(not isinstance(sink.sink, SlotSink) for sink in self.sinks):
            slot.compose()

    def _after_a_sink(self) -> None:
        """Go on as long as a sink is left."""
        if not any(sink.open for sink in self.sinks):
            self.stop()
