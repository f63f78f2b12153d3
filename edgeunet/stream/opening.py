"""Opens what a run needs, in a thread that a stop signal can leave behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.bundle import Bundle, open_bundle
from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import EdgeUnetError, UsageError
from edgeunet.files import check_writable
from edgeunet.media.frames import Sink, Source, StreamShape
from edgeunet.media.live.addresses import known_password
from edgeunet.media.sinks import is_path, open_sink
from edgeunet.media.sinks.claims import Claim
from edgeunet.media.sinks.leftovers import recover
from edgeunet.media.sinks.row_pictures import TakesRows
from edgeunet.media.sources import LiveOptions, check_source, is_live, open_source
from edgeunet.run.engine_choice import Note
from edgeunet.run.executor import Executor
from edgeunet.run.memory_file import load_memory
from edgeunet.run.source_size import check_size
from edgeunet.specs import Array
from edgeunet.stream.class_events import EventWatcher
from edgeunet.stream.compose import Composer, View, choose_view
from edgeunet.stream.preview.preview_options import PreviewOptions
from edgeunet.stream.row_image import image_in_rows
from edgeunet.stream.run_options import RunOptions
from edgeunet.stream.strength import FULL, Blender
from edgeunet.units import format_size

if TYPE_CHECKING:
    from edgeunet.stream.preview.web_server import PreviewServer

# How long a stopped run waits for sinks that are being opened.
_LAST_CHANCE_S = 2.0
_SINKS_S = 0.5
# A rehearsal of so much of a frame takes no time worth mentioning.
_SMALL_SHARE = 0.1


class StoppedWhileOpening(EdgeUnetError):  # noqa: N818
    """The user ended a run before its first frame. Nothing was written."""

    def __init__(self) -> None:
        super().__init__(
            "interrupted before the first frame", hint="run the command again to start over"
        )


@dataclass(frozen=True)
class Opened:
    """What a run works with, ready for the first frame.

    hung: to be set where the engine hangs in a frame, so that it is left open.
    row_sink: the sink that the network's image is written to row by row; None where it is whole.
    """

    bundle: Bundle
    view: View
    executor: Executor
    source: Source
    shape: StreamShape
    sinks: tuple[Sink, ...]
    preview: PreviewServer | None
    watcher: EventWatcher | None
    hung: threading.Event
    row_sink: TakesRows | None = None


def opened_run(
    options: RunOptions,
    stack: contextlib.ExitStack,
    on_note: Note | None,
    stop: threading.Event,
) -> Opened:
    """Open bundle, engine, source and sinks; ``stack`` closes engine and source.

    Opening a camera or an engine may take long or hang in a library. Once ``stop`` is set this
    raises StoppedWhileOpening without waiting for it; what is opened later is closed at once. Only
    sinks that are being opened are waited for, so that none of their files is left.
    Raises the errors of what is opened.
    """
    finished = threading.Event()
    closed = threading.Event()
    opening_sinks = threading.Event()
    lock = threading.Lock()
    mine = contextlib.ExitStack()
    found: list[Opened] = []
    failures: list[BaseException] = []
    abandoned = False

    def before_sinks() -> None:
        with lock:
            if abandoned:
                raise StoppedWhileOpening
            opening_sinks.set()

    def work() -> None:
        try:
            open_all()
        finally:
            closed.set()

    def open_all() -> None:
        with contextlib.ExitStack() as here:
            try:
                opened = _open(options, here, on_note, before_sinks)
                with lock:
                    if not abandoned:
                        found.append(opened)
                        mine.push(here.pop_all())
                    else:
                        for sink in opened.sinks:
                            sink.discard()
            except BaseException as error:
                failures.append(error)
            finally:
                finished.set()

    thread = threading.Thread(target=work, name="edgeunet-open", daemon=True)
    thread.start()
    try:
        while not finished.wait(0.05) and not stop.is_set():
            pass
    finally:
        with lock:
            abandoned = not found
        if abandoned and opening_sinks.is_set():
            # Until it has closed everything, not only until it has opened it. An event, because an
            # interrupted join takes the thread for ended.
            try:
                closed.wait(_SINKS_S)
            except KeyboardInterrupt:
                closed.wait(_LAST_CHANCE_S)
                raise
            if closed.is_set():
                thread.join()
        stack.push(mine.pop_all())
    if failures:
        raise failures[0]
    if not found or stop.is_set():
        for sink in found[0].sinks if found else ():
            sink.discard()
        raise StoppedWhileOpening
    return found[0]


def _open(
    options: RunOptions,
    stack: contextlib.ExitStack,
    on_note: Note | None,
    before_sinks: Callable[[], None],
) -> Opened:
    check_source(options.source)
    bundle = open_bundle(options.bundle)
    manifest = bundle.manifest
    view = choose_view(options.view, manifest)
    if options.strength != FULL:
        Blender(options.strength, manifest)
    watcher = EventWatcher(options.events, manifest) if options.events else None
    for option, given in (("--temporal", not options.temporal), ("--resume", options.resume)):
        if given and not manifest.states:
            raise UsageError(f"{bundle.path.name} remembers no frames", hint=f"leave {option} out")
    memory = _memory(options.resume, bundle, on_note)
    # A camera goes on while an engine loads, so it is opened last. A file can wait.
    hung = threading.Event()
    live_source = is_live(options.source)
    executor = _engine(options, bundle, stack, on_note, hung, memory) if live_source else None
    live = LiveOptions(options.patience, known_password(options.password_file), on_note)
    source = open_source(options.source, (manifest.height, manifest.width), live)
    stack.callback(source.close)
    check_size(bundle, source.name, source.height, source.width)
    in_rows = image_in_rows(options, manifest, view)
    executor = executor or _engine(options, bundle, stack, on_note, hung, memory, in_rows)
    composer = Composer(manifest, view)
    counts = [count for count in (source.frame_count, options.frame_limit) if count is not None]
    shape = StreamShape(
        composer.height,
        composer.width,
        source.frame_rate,
        min(counts) if counts else None,
        source.clip,
    )
    before_sinks()
    sinks: list[Sink] = []
    try:
        for text in (sink for sink in options.sinks if sink != "none"):
            if is_path(text):
                stack.callback(Claim(Path(text)).close)
                if on_note is not None:
                    for line in recover(Path(text)):
                        on_note(line)
            sinks.append(open_sink(text, shape, source, options.recording, on_note))
        server = None
        if options.preview is not None:
            server = _preview(options.preview, manifest, source.name, bundle.path.name, sinks)
            stack.callback(server.close)
    except BaseException:
        for sink in sinks:
            sink.discard()
        raise
    row_sink = next((s for s in sinks if isinstance(s, TakesRows)), None)
    if not executor.gives_rows:
        row_sink = None
    return Opened(
        bundle, view, executor, source, shape, tuple(sinks), server, watcher, hung, row_sink
    )


def _preview(
    options: PreviewOptions, manifest: Manifest, source: str, bundle: str, sinks: list[Sink]
) -> PreviewServer:
    """Serve a page, and add its sink to the others."""
    from edgeunet.stream.preview.pictures import PictureSink
    from edgeunet.stream.preview.web_server import PreviewServer

    pictures = PictureSink(manifest)
    size = format_size(manifest.height, manifest.width)
    about = {"source": source, "bundle": bundle, "size": size}
    server = PreviewServer(options, pictures, about)
    sinks.append(pictures)
    return server


def _engine(
    options: RunOptions,
    bundle: Bundle,
    stack: contextlib.ExitStack,
    on_note: Note | None,
    hung: threading.Event,
    memory: Mapping[str, Array],
    in_rows: str | None = None,
) -> Executor:
    executor = Executor(
        bundle,
        options.engine,
        threads=options.threads,
        workers=options.workers,
        on_note=on_note,
        in_rows=in_rows,
    )
    # Closing an engine waits for its frame, and one that hangs never ends.
    stack.callback(lambda: None if hung.is_set() else executor.close())
    # Before there are other threads, whose memory would count. A camera's first frames are shown at
    # once; a file of one image would take twice as long.
    if is_live(options.source) or executor.rehearsal_share <= _SMALL_SHARE:
        executor.rehearse()
    if memory:
        executor.remember(memory)
    return executor


def _memory(path: Path | None, bundle: Bundle, on_note: Note | None) -> Mapping[str, Array]:
    """Return the memory that a run goes on from, which is empty for one that starts anew."""
    if path is None:
        return {}
    check_writable(path)
    memory: Mapping[str, Array] = {}
    said = f"{path} is not there yet: the run starts anew"
    if path.exists():
        memory, age_s = load_memory(path, bundle)
        said = f"the run goes on from {path}, which is {age_s:.0f} s old"
    if on_note is not None:
        on_note(said)
    return memory
