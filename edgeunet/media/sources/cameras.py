"""Cameras and network streams. Each is read in a thread that keeps the newest frame only.

They are opened through GStreamer's Python binding where it is there, network streams else through
PyAV, and everything else through OpenCV, which knows least of what goes wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.errors import MissingPackageError, UsageError
from edgeunet.media.capture import LiveSource
from edgeunet.media.frames import Source
from edgeunet.media.live.addresses import (
    with_encoded_addresses,
    with_password,
    without_passwords,
)
from edgeunet.media.live.hosts import check_host, check_port
from edgeunet.media.live.live_inputs import LiveInput, Loss, LostInputError
from edgeunet.media.live.reconnecting import DEFAULT_PATIENCE, Patience, ReconnectingSource

if TYPE_CHECKING:
    from edgeunet.media import opencv

_DEFAULT_SIZE = (1080, 1920)
_APPSINK = re.compile(r"\bappsink\b")
_LIMITS = (
    "OpenCV opens it, which cannot say why a camera fails, nor tell an end from an error, squeezes "
    "frames that change their size, and before version 5 reads BT.709 as BT.601"
)


@dataclass(frozen=True)
class LiveOptions:
    """How live sources are opened and kept.

    patience: how long they are waited for.
    password: for the source, where it leaves it out; None knows none.
    on_event: called with a line about a loss, a return, or what a library cannot know.
    """

    patience: Patience = DEFAULT_PATIENCE
    password: str | None = None
    on_event: Callable[[str], None] | None = None

    def tell(self, line: str) -> None:
        if self.on_event is not None:
            self.on_event(line)


def open_v4l2(name: str, device: str, size: tuple[int, int] | None, live: LiveOptions) -> Source:
    """Open a USB or V4L2 camera by its device file and set it to ``size`` if it can.

    Raises LostInputError when there is no such camera or it delivers no frame.
    """

    def start() -> LiveInput:
        if not Path(device).exists():
            there = sorted(str(path) for path in Path("/dev").glob("video*"))
            # Looking for it locks nobody out, so a cable that is put back is noticed soon.
            raise LostInputError(
                Loss.ERROR,
                f"there is no camera {device}",
                hint=f"cameras here: {', '.join(there)}" if there else "no camera is plugged in",
            )
        pipeline = v4l2_pipeline(device, size)
        opened = _by_gstreamer(name, pipeline, live)
        if opened is not None:
            return opened
        from edgeunet.media.opencv import Capture

        return _by_opencv(
            name,
            lambda: Capture.camera(device, size),
            f"the camera {device} cannot be opened; another program may use it",
            live,
        )

    return _kept_open(name, start, live)


def open_csi(name: str, sensor: str, size: tuple[int, int] | None, live: LiveOptions) -> Source:
    """Open a Jetson's CSI camera. The image processor scales its frames to ``size``.

    Raises UsageError when ``sensor`` is not a number, LostInputError when it delivers no frame.
    """
    if not (sensor.isascii() and sensor.isdigit()):
        raise UsageError(f"{name!r} names no sensor", hint="the first CSI camera is csi://0")
    pipeline = csi_pipeline(int(sensor), *(size or _DEFAULT_SIZE))
    failure = (
        f"the CSI camera {sensor} cannot be opened; gst-inspect-1.0 nvarguscamerasrc says whether "
        "this machine has the driver"
    )
    return _kept_open(name, lambda: _pipeline(name, pipeline, failure, live), live)


def open_gstreamer(name: str, pipeline: str, live: LiveOptions) -> Source:
    """Open a GStreamer pipeline, which must have an appsink. Its end is the end of the source.

    Raises UsageError without an appsink or for a pipeline that cannot be built, LostInputError when
    it delivers no frame.
    """
    if not _APPSINK.search(pipeline):
        raise UsageError(
            "the GStreamer pipeline has no appsink",
            hint="end it with: ! appsink; frames of any format are converted",
        )
    shown = without_passwords(name)
    whole = with_encoded_addresses(with_password(pipeline, live.password))
    failure = "the GStreamer pipeline does not start; gst-launch-1.0 says why"
    return _kept_open(shown, lambda: _pipeline(shown, whole, failure, live), live, ends=True)


def open_stream(address: str, live: LiveOptions) -> Source:
    """Open a network camera or stream.

    Raises UsageError for a port that cannot be, LostInputError when it delivers no frame.
    """
    shown = without_passwords(address)
    whole = with_password(address, live.password)
    check_port(shown, whole)

    def start() -> LiveInput:
        check_host(shown, whole)
        if address.startswith(("rtsp", "srt")):
            opened = _stream_by_gstreamer(shown, whole, live)
            if opened is not None:
                return opened
        try:
            from edgeunet.media.live.stream_decoder import StreamDecoder
        except MissingPackageError:
            from edgeunet.media.opencv import Capture

            return _by_opencv(
                shown, lambda: Capture.rtsp(whole), f"nothing answers at {shown}", live
            )
        return StreamDecoder(shown, whole, live.patience.timeout_s)

    return _kept_open(shown, start, live, ends=address.startswith("http"))


def csi_pipeline(sensor: int, height: int, width: int) -> str:
    """Return the GStreamer pipeline for a sensor.

    Frames are scaled on the device, and at most one is queued.
    """
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM) ! nvvidconv ! "
        f"video/x-raw,format=BGRx,width={width},height={height} ! "
        "appsink drop=true max-buffers=1"
    )


def v4l2_pipeline(device: str, size: tuple[int, int] | None) -> str:
    """Return the GStreamer pipeline for a V4L2 camera, raw or Motion JPEG.

    size: (height, width) to ask it for; None takes the camera's own.
    """
    wanted = "" if size is None else f",width={size[1]},height={size[0]}"
    return (
        f'v4l2src device={device} ! capsfilter caps="video/x-raw{wanted};image/jpeg{wanted}" ! '
        "decodebin ! appsink drop=true max-buffers=1"
    )


def _kept_open(
    name: str, start: Callable[[], LiveInput], live: LiveOptions, *, ends: bool = False
) -> Source:
    """Open a source that is opened again when it is lost, and read it for its newest frame."""
    source = ReconnectingSource(name, start, live.patience, ends=ends, on_event=live.on_event)
    # It waits, and gives up, by its own rules.
    return LiveSource(source, silence_s=None)


def _pipeline(name: str, pipeline: str, failure: str, live: LiveOptions) -> LiveInput:
    """Open a GStreamer pipeline by its binding, or by OpenCV."""
    opened = _by_gstreamer(name, pipeline, live)
    if opened is not None:
        return opened
    from edgeunet.media.opencv import Capture

    converting = _APPSINK.sub("videoconvert ! video/x-raw,format=BGR ! appsink", pipeline)
    return _by_opencv(name, lambda: Capture.gstreamer(converting), failure, live)


def _by_gstreamer(name: str, pipeline: str, live: LiveOptions) -> LiveInput | None:
    """Open a pipeline by GStreamer's binding; return None where that is not installed."""
    try:
        from edgeunet.media.live.gstreamer import GstreamerInput
    except MissingPackageError:
        return None
    return GstreamerInput(name, pipeline, live.patience.timeout_s)


def _stream_by_gstreamer(name: str, address: str, live: LiveOptions) -> LiveInput | None:
    """Open an address by GStreamer; return None where it, or the element for it, is missing."""
    try:
        from edgeunet.media import gstreamer_binding
        from edgeunet.media.live import gstreamer
    except MissingPackageError:
        return None
    from edgeunet.media.live.addresses import encoded

    element = "srtsrc" if address.startswith("srt") else "rtspsrc"
    if not gstreamer_binding.has_element(element):
        return None
    return gstreamer.GstreamerInput(
        name,
        gstreamer.stream_pipeline(element),
        live.patience.timeout_s,
        secret=address,
        location=encoded(address),
        otherwise=gstreamer.stream_pipeline(element, "udp+udp-mcast"),
    )


def _by_opencv(
    name: str, start: Callable[[], opencv.Capture | None], failure: str, live: LiveOptions
) -> LiveInput:
    from edgeunet.media.live.opencv_input import OpencvInput

    opened = OpencvInput(name, start, failure, live.patience.timeout_s)
    live.tell(f"without GStreamer's Python binding (apt install python3-gi) {_LIMITS}: {name}")
    return opened
