"""Runs a source through a network into sinks. Complete frames are kept however a run ends.

Reading, the network, composing and every sink have a thread each, so that none waits for another
that still works on an earlier frame. The thread that calls ``run_pipeline`` only watches: signals
reach it, and it can name a stage that hangs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from edgeunet.errors import EdgeUnetError
from edgeunet.media.capture import LiveSource, ReadAhead
from edgeunet.run.engine_choice import Note
from edgeunet.run.memory_file import save_memory
from edgeunet.stream.activity import Activity
from edgeunet.stream.network_thread import EventReader, NetworkThread
from edgeunet.stream.opening import Opened, opened_run
from edgeunet.stream.run_options import RunOptions
from edgeunet.stream.run_summary import RunStatus, RunSummary, kept, warnings_about
from edgeunet.stream.status_document import resident_bytes
from edgeunet.stream.steady_memory import (
    GIVE_BACK_EVERY_S,
    give_back_free_memory,
    only_new_objects_watched,
)

_WATCH_S = 1.0
_LAST_CHANCE_S = 5.0

Progress = Callable[[int, int | None, float], None]
"""Called after every frame with (finished frames, all frames or None, frames per second)."""

StatusReader = Callable[[RunStatus], None]
"""Called about once a second while a run goes on."""

FailureReader = Callable[[RunSummary, Exception], None]
"""Called with what a run has done, and with the error that ends it."""


def run_pipeline(
    options: RunOptions,
    *,
    on_frame: Progress | None = None,
    on_note: Note | None = None,
    on_status: StatusReader | None = None,
    on_event: EventReader | None = None,
    on_failure: FailureReader | None = None,
    stop: threading.Event | None = None,
) -> RunSummary:
    """Run a bundle over a source and return a summary.

    on_frame: called after every frame, in the network's thread.
    on_note: called with one line about the engine's choice, and about a stage that hangs.
    on_status: called about once a second.
    on_event: told in threads of the run when one of ``options.events`` comes true.
    on_failure: called before an error ends a run that had begun.
    stop: setting it ends the run after the current frame, as a KeyboardInterrupt does. Written
        frames are kept, and the summary says ``interrupted``.
    Raises an EdgeUnetError when the run cannot start or fails, and StoppedWhileOpening when it was
    stopped before. Frames written before are kept, unless the sink itself failed.
    """
    options.check()
    stop = stop or threading.Event()
    with contextlib.ExitStack() as stack:
        opened = opened_run(options, stack, on_note, stop)
        if opened.preview is not None and on_note is not None:
            on_note(f"the preview is at {opened.preview.address}")
        if opened.source.live:
            stack.enter_context(only_new_objects_watched())
        run = _Run(options, opened, stack, stop, on_event)
        return run.watch(on_frame, on_note, on_status, on_failure)


class _Run:
    """One run over a source that is open."""

    def __init__(
        self,
        options: RunOptions,
        opened: Opened,
        stack: contextlib.ExitStack,
        stop: threading.Event,
        on_event: EventReader | None,
    ) -> None:
        self._options = options
        self._opened = opened
        self._stop = stop
        self._activity = Activity()
        self._interrupted = False
        feed = opened.source
        if not isinstance(feed, LiveSource):
            feed = ReadAhead(feed, options.frame_limit)
            stack.callback(feed.close)
        self._feed = feed
        self._network = NetworkThread(options, opened, feed, self._activity, stop, on_event)
        self._shown_frames = 0
        self._shown_s = 0.0

    def watch(
        self,
        on_frame: Progress | None,
        on_note: Note | None,
        on_status: StatusReader | None,
        on_failure: FailureReader | None,
    ) -> RunSummary:
        """Let the threads work until the source ends or the run is stopped; then end the sinks."""
        network = self._network
        start_s = time.perf_counter()
        network.start(on_frame)
        try:
            self._watch_until_done(start_s, on_note, on_status)
        except KeyboardInterrupt:
            self._interrupted = True
            self._end(_LAST_CHANCE_S)
        except BaseException:
            self._end(_LAST_CHANCE_S)
            raise
        self._interrupted = self._interrupted or network.interrupted
        network.finish_sinks(None if not self._interrupted else _LAST_CHANCE_S)
        elapsed_s = time.perf_counter() - start_s
        unsaved = self._save_memory()
        try:
            self._raise_failure()
        except Exception as error:
            if on_failure is not None:
                on_failure(self._summary(elapsed_s), error)
            raise
        if unsaved is not None:
            raise unsaved
        return self._summary(elapsed_s)

    def _watch_until_done(
        self, start_s: float, on_note: Note | None, on_status: StatusReader | None
    ) -> None:
        network = self._network
        named: set[str] = set()
        failed: set[str] = set()
        stopping = False
        next_status_s = start_s + _WATCH_S
        next_trim_s = start_s + GIVE_BACK_EVERY_S
        while not network.done.wait(0.1 if not stopping else 0.02):
            if self._stop.is_set() and not stopping:
                stopping = True
                network.stop()
            now_s = time.perf_counter()
            if now_s < next_status_s:
                continue
            next_status_s = now_s + _WATCH_S
            if now_s >= next_trim_s:
                next_trim_s = now_s + GIVE_BACK_EVERY_S
                give_back_free_memory()
            hangs = self._activity.hangs()
            if on_note is not None:
                for hang in hangs:
                    if hang.stage not in named:
                        on_note(f"warning: {hang}")
            named = {hang.stage for hang in hangs}
            status = self._status(now_s - start_s)
            if on_note is not None:
                for sink in status.sinks:
                    if sink.failure and sink.name not in failed:
                        failed.add(sink.name)
                        on_note(f"warning: {sink.name} has ended: {sink.failure}")
            if self._opened.preview is not None:
                self._opened.preview.show_status(status)
            if on_status is not None:
                on_status(status)

    def _end(self, timeout_s: float) -> None:
        """Stop the network, and wait for it only a little: it may hang."""
        self._network.stop()
        if not self._network.done.wait(timeout_s):
            self._opened.hung.set()

    def _save_memory(self) -> OSError | None:
        """Write what the network remembers, if that was asked for; return why it could not be."""
        path, executor = self._options.resume, self._opened.executor
        # A network that hangs, or that saw no frame, leaves an earlier file as it is.
        if path is None or not self._network.done.is_set() or not self._network.frames:
            return None
        if not executor.has_memory:
            return None
        try:
            save_memory(path, executor.memory(), self._opened.bundle)
        except OSError as error:
            return error
        return None

    def _status(self, running_s: float) -> RunStatus:
        network = self._network
        meter, frames = network.meter, network.frames
        rate = (frames - self._shown_frames) / max(running_s - self._shown_s, 1e-9)
        self._shown_frames, self._shown_s = frames, running_s
        report = self._feed.report()
        return RunStatus(
            running_s=running_s,
            frames=frames,
            total=self._opened.shape.frame_count,
            frames_per_second=rate,
            fresh_s=network.fresh_s(),
            latency_ms=meter.latency(),
            age_ms=meter.age(),
            dropped=report.dropped,
            reconnections=report.reconnections,
            sinks=network.sink_reports(),
            hangs=tuple(self._activity.hangs()),
            resident_bytes=resident_bytes(),
        )

    def _raise_failure(self) -> None:
        """Raise what ended the run, with a clause that says where the frames before it are."""
        network = self._network
        failed = [sink for sink in network.sinks if sink.failure is not None]
        failure = network.failure
        if failure is None and failed and not any(sink.open for sink in network.sinks):
            failure = failed[0].failure
        if isinstance(failure, KeyboardInterrupt):
            self._interrupted = True
            return
        if failure is None:
            return
        if isinstance(failure, EdgeUnetError) and failure is network.failure:
            reports = network.sink_reports()
            if any(report.written and not report.failure for report in reports):
                failure.message += f"; {kept(reports, network.frames)}"
        raise failure

    def _summary(self, elapsed_s: float) -> RunSummary:
        opened, network = self._opened, self._network
        report = self._feed.report()
        sinks = network.sink_reports()
        whole = report.complete and not self._interrupted
        whole = whole and not any(sink.failure for sink in sinks)
        if not opened.source.live:
            whole = whole and not any(sink.closed for sink in sinks)
        warnings = list(warnings_about(report, network.frames, sinks))
        for sink in network.sinks:
            warnings += sink.sink.warnings()
        return RunSummary(
            source=opened.source.name,
            sinks=sinks,
            bundle=opened.bundle.path.name,
            engine=opened.executor.engine,
            view=str(opened.view),
            strength=self._options.strength,
            height=opened.source.height,
            width=opened.source.width,
            frame_rate=opened.source.frame_rate,
            frames=network.frames,
            skipped=report.skipped,
            dropped=report.dropped,
            early=report.early,
            reconnections=report.reconnections,
            damaged=report.damaged,
            complete=whole,
            interrupted=self._interrupted,
            warnings=tuple(warnings),
            broken_off=report.broken_off,
            frames_per_second=network.frames / elapsed_s if elapsed_s > 0 else 0.0,
            latency_ms=network.meter.latency(),
            age_ms=network.meter.age(),
            quality=network.meter.quality(),
        )
