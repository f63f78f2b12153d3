"""Cameras through OpenCV, where neither GStreamer's binding nor PyAV can open them.

OpenCV does not say why something failed, does not tell an end from an error, and may hang in a
call for ever. So all its calls run in a thread that can be left behind. A camera is opened again
only after such a thread has come back, so that at most one hangs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from edgeunet.errors import EdgeUnetError
from edgeunet.media.live.live_inputs import Loss, LostInputError, Picture, silent
from edgeunet.media.opencv import Capture
from edgeunet.specs import Image

_hanging: list[threading.Thread] = []


class OpencvInput:
    """A camera that OpenCV has open.

    name: the source without passwords, for messages.
    start: opens the camera; returns None when that fails.
    failure: the message for a camera that does not open.
    timeout_s: how long opening, and every frame, may take.
    """

    damaged = 0
    frame_rate = 0.0

    def __init__(
        self, name: str, start: Callable[[], Capture | None], failure: str, timeout_s: float
    ) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._start = start
        self._failure = failure
        self._stop = threading.Event()
        self._images: queue.Queue[Image | EdgeUnetError | None] = queue.Queue(1)
        _hanging[:] = [thread for thread in _hanging if thread.is_alive()]
        if _hanging:
            raise LostInputError(
                Loss.SILENCE,
                f"{name!r} still hangs inside OpenCV from the try before",
                hint="GStreamer's Python binding can stop it: apt install python3-gi",
            )
        self._thread = threading.Thread(target=self._work, name="edgeunet-camera", daemon=True)
        self._thread.start()
        self._first = self._wait()

    def read(self) -> Picture:
        """Wait for the next frame. Raises LostInputError as the protocol says."""
        image, self._first = self._first if self._first is not None else self._wait(), None
        return Picture(image, None)

    def interrupt(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self._stop.set()
        self._drain()
        self._thread.join(0.5)
        if self._thread.is_alive():
            _hanging.append(self._thread)

    _first: Image | None

    def _wait(self) -> Image:
        try:
            found = self._images.get(timeout=self._timeout_s)
        except queue.Empty:
            self.close()
            raise silent(self._name, self._timeout_s) from None
        if isinstance(found, EdgeUnetError):
            raise found
        if found is None:
            raise LostInputError(
                Loss.ERROR,
                f"{self._name!r} stopped delivering",
                hint="check that it is connected; OpenCV does not say why",
            )
        return found

    def _drain(self) -> None:
        while not self._images.empty():
            self._images.get_nowait()

    def _work(self) -> None:
        try:
            capture = self._start()
        except EdgeUnetError as error:
            self._images.put(error)
            return
        if capture is None:
            self._images.put(
                LostInputError(
                    Loss.ERROR,
                    self._failure,
                    hint="check that it is connected and that no other program uses it",
                )
            )
            return
        try:
            self.frame_rate = capture.frame_rate
            image: Image | None = None
            while not self._stop.is_set():
                image = capture.read()
                while not self._stop.is_set():
                    try:
                        self._images.put(image, timeout=0.1)
                        break
                    except queue.Full:
                        continue
                if image is None:
                    return
        finally:
            capture.close()
