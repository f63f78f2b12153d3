"""Cameras and network streams. Each is read in a thread that keeps the newest frame only."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edgeunet.errors import EdgeUnetError, SourceError, UsageError
from edgeunet.media import opencv
from edgeunet.media.capture import LiveSource
from edgeunet.media.frames import Source, SourceReport
from edgeunet.media.sources.captured import CapturedFrames
from edgeunet.specs import Image

DEFAULT_FRAME_RATE = 30.0
_DEFAULT_SIZE = (1080, 1920)
_START_S = 15.0


def open_v4l2(name: str, device: str, size: tuple[int, int] | None) -> Source:
    """Open a USB or V4L2 camera by its device file and set it to ``size`` if it can.

    Raises SourceError when there is no such camera or it delivers no frame.
    """
    if not Path(device).exists():
        there = sorted(str(path) for path in Path("/dev").glob("video*"))
        raise SourceError(
            f"there is no camera {device}",
            hint=f"cameras here: {', '.join(there)}" if there else "no camera is plugged in",
        )
    return _live(
        name,
        lambda: opencv.Capture.camera(device, size),
        f"the camera {device} cannot be opened; another program may use it",
    )


def open_csi(name: str, sensor: str, size: tuple[int, int] | None) -> Source:
    """Open a Jetson's CSI camera. The image processor scales its frames to ``size``.

    Raises UsageError when ``sensor`` is not a number, SourceError when it delivers no frame.
    """
    if not (sensor.isascii() and sensor.isdigit()):
        raise UsageError(f"{name!r} names no sensor", hint="the first CSI camera is csi://0")
    pipeline = csi_pipeline(int(sensor), *(size or _DEFAULT_SIZE))
    return _live(
        name,
        lambda: opencv.Capture.gstreamer(pipeline),
        f"the CSI camera {sensor} cannot be opened; gst-inspect-1.0 nvarguscamerasrc says whether "
        "this machine has the driver",
    )


def open_gstreamer(name: str, pipeline: str) -> Source:
    """Open a GStreamer pipeline, which must end in an appsink.

    Raises UsageError without an appsink, SourceError when it delivers no frame.
    """
    if "appsink" not in pipeline:
        raise UsageError(
            "the GStreamer pipeline has no appsink",
            hint="end it with: ! videoconvert ! video/x-raw,format=BGR ! appsink",
        )
    return _live(
        name,
        lambda: opencv.Capture.gstreamer(pipeline),
        "the GStreamer pipeline does not start; gst-launch-1.0 says why",
    )


def open_rtsp(address: str) -> Source:
    """Open a network camera. Raises SourceError when it delivers no frame."""
    shown = without_password(address)
    return _live(shown, lambda: opencv.Capture.rtsp(address), f"nothing answers at {shown}")


def csi_pipeline(sensor: int, height: int, width: int) -> str:
    """Return the GStreamer pipeline for a sensor.

    Frames are scaled on the device, and at most one is queued.
    """
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM) ! nvvidconv ! "
        f"video/x-raw,format=BGRx,width={width},height={height} ! videoconvert ! "
        "video/x-raw,format=BGR ! appsink drop=true max-buffers=1"
    )


def without_password(address: str) -> str:
    """Return an address without its password: ``rtsp://user:***@host/path``."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", address)


class _CameraFrames(CapturedFrames):
    """An open camera. ``read`` blocks until a frame comes."""

    live = True
    frame_count = None
    paths: tuple[Path, ...] = ()

    def __init__(self, name: str, capture: opencv.Capture, first: Image) -> None:
        super().__init__(name, capture, first, DEFAULT_FRAME_RATE)
        self._start_s = time.monotonic()

    def report(self) -> SourceReport:
        if not self._ended:
            return SourceReport()
        why = f"{self.name} stopped delivering after {self._delivered} frames"
        return SourceReport(complete=False, broken_off=why)

    def _time_s(self) -> float:
        return time.monotonic() - self._start_s

    def _changed(self, size: str) -> SourceError:
        return SourceError(
            f"{self.name!r} changed its frame size to {size}",
            hint="fix the size in the camera's settings",
        )


def _live(name: str, start: Callable[[], opencv.Capture | None], failure: str) -> Source:
    """Start a camera and wait at most fifteen seconds for its first frame.

    name: the source, for messages.
    start: opens the camera; returns None when that fails.
    failure: message for a camera that does not open.
    OpenCV may block for ever on a camera that hangs or on a pipeline that lacks an element. The
    thread that waits there is left behind.
    """
    found: list[tuple[opencv.Capture | None, Image | None]] = []
    refused: list[EdgeUnetError] = []

    def open_and_read() -> None:
        try:
            capture = start()
            found.append((capture, capture.read() if capture is not None else None))
        except EdgeUnetError as error:
            refused.append(error)

    thread = threading.Thread(target=open_and_read, name="camera start", daemon=True)
    thread.start()
    thread.join(_START_S)
    if refused:
        raise refused[0]
    if thread.is_alive():
        raise SourceError(
            f"{name!r} delivers no frame within {_START_S:g} s",
            hint=f"{failure}: check that it is connected",
        )
    capture, first = found[0] if found else (None, None)
    if capture is None:
        raise SourceError(
            failure, hint="check that it is connected and that no other program uses it"
        )
    if first is None:
        capture.close()
        raise SourceError(f"{name!r} opens but delivers no frame", hint="unplug it and try again")
    return LiveSource(_CameraFrames(name, capture, first))
