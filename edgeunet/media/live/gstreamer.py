"""Cameras, streams and pipelines through GStreamer's Python binding.

Beside what OpenCV can, it gives the reason of every error at once, tells an end from an error, sees
a change of size, stops a pipeline that hangs, and knows the time of every frame.
"""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import numpy as np

from edgeunet.errors import UsageError
from edgeunet.media.gstreamer_binding import GLib, Gst, has_element
from edgeunet.media.live.addresses import scrubbed
from edgeunet.media.live.live_inputs import Loss, LostInputError, Picture, absent, refused, silent
from edgeunet.specs import Image

_SLICE_NS = 100_000_000
_NS_PER_S = 1e9
_BETWEEN_S = 0.5
_SINK = "edgeunet_frames"
_APPSINK = re.compile(r"\bappsink\b(?P<properties>[^!]*)\Z")
# What rtspsrc says when a server does not send by TCP, and what comes of sound without video.
_TRANSPORT = "allow more transport protocols"
_NOT_LINKED = "reason not-linked"
_REFUSED = re.compile(r"\(40[13]\)")
_BGR = "videoconvert ! video/x-raw,format=BGR"
_ON_JETSON = "nvvidconv"


class GstreamerInput:
    """A running pipeline.

    name: the source without passwords, for messages.
    pipeline: in the notation of gst-launch-1.0. It ends in an ``appsink``, before which frames of
        any format are converted to BGR.
    timeout_s: how long a frame may take.
    secret: the address with its password, which no message may show.
    location: the address for the element called ``address``, if there is one.
    otherwise: the pipeline for a server that does not send as ``pipeline`` asks it to.

    Raises UsageError for a pipeline that cannot be built, LostInputError when it does not start.
    """

    def __init__(
        self,
        name: str,
        pipeline: str,
        timeout_s: float,
        *,
        secret: str = "",
        location: str | None = None,
        otherwise: str | None = None,
    ) -> None:
        self._name = name
        self._secret = secret or pipeline
        self._timeout_s = timeout_s
        self._location = location
        self._otherwise = otherwise
        self._interrupted = threading.Event()
        self.damaged = 0
        self.frame_rate = 0.0
        Gst.init(None)
        self._start(pipeline)

    def _start(self, pipeline: str) -> None:
        match = _APPSINK.search(pipeline)
        if match is None:
            raise UsageError(
                "the GStreamer pipeline does not end in an appsink",
                hint="end it with: ! appsink; frames of any format are converted",
            )
        properties = re.sub(r"\bname\s*=\s*\S+", "", match["properties"])
        text = f"{pipeline[: match.start()]}{_BGR} ! appsink {properties} name={_SINK}"
        try:
            self._pipeline = Gst.parse_launch(text)
        except GLib.Error as error:
            raise UsageError(
                f"the GStreamer pipeline cannot be built: {scrubbed(error.message, self._secret)}",
                hint="gst-inspect-1.0 lists the elements that are installed, with their properties",
            ) from error
        self._sink = self._pipeline.get_by_name(_SINK)
        if "sync" not in properties:
            self._sink.set_property("sync", False)
        if self._location is not None:
            source = self._pipeline.get_by_name("address")
            key = "location" if source.find_property("location") is not None else "uri"
            source.set_property(key, self._location)
        self._bus = self._pipeline.get_bus()
        self._pipeline.set_state(Gst.State.PLAYING)

    def read(self) -> Picture:
        """Wait for the next frame. Raises LostInputError as the protocol says."""
        deadline_s = time.monotonic() + self._timeout_s
        while not self._interrupted.is_set():
            sink = self._sink
            sample = sink.emit("try-pull-sample", _SLICE_NS)
            self._look_at_messages()
            if sample is not None:
                return self._picture(sample)
            if sink is not self._sink:
                continue
            if self._sink.get_property("eos"):
                raise LostInputError(
                    Loss.END, f"{self._name!r} has ended", hint="start the source again"
                )
            if time.monotonic() > deadline_s:
                break
        raise silent(self._name, self._timeout_s)

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._pipeline.set_state(Gst.State.NULL)

    def _look_at_messages(self) -> None:
        """Count warnings about damage, and raise LostInputError for an error."""
        kinds = Gst.MessageType.ERROR | Gst.MessageType.WARNING
        while (message := self._bus.pop_filtered(kinds)) is not None:
            if message.type == Gst.MessageType.WARNING:
                error, _ = message.parse_warning()
                self.damaged += error.matches(Gst.StreamError.quark(), Gst.StreamError.DECODE)
                continue
            error, debug = message.parse_error()
            if self._otherwise is not None and _TRANSPORT in error.message:
                self.close()
                # A server that still ends the first session may refuse a second one.
                self._interrupted.wait(_BETWEEN_S)
                pipeline, self._otherwise = self._otherwise, None
                self._start(pipeline)
                return
            raise self._lost(error, debug or "")

    def _lost(self, error: Any, debug: str) -> LostInputError:
        """Return what an error message of GStreamer means."""
        resource = Gst.ResourceError.quark()
        if error.matches(resource, Gst.ResourceError.NOT_AUTHORIZED) or _REFUSED.search(debug):
            return refused(self._name)
        if error.matches(resource, Gst.ResourceError.NOT_FOUND) and "404" in error.message + debug:
            return absent(self._name)
        if self._location is not None and _NOT_LINKED in debug:
            return LostInputError(
                Loss.ABSENT, f"{self._name!r} has no video", hint="check the path of the address"
            )
        # The last line of the debug text has the reason, and lines before it places in sources.
        reason = debug.strip().splitlines()[-1] if debug.strip() else ""
        reason = "" if reason.startswith("../") else f" {reason}"
        return LostInputError(
            Loss.ERROR,
            f"{self._name!r} cannot be read: {scrubbed(error.message + reason, self._secret)}",
            hint="check the address, the camera and the network",
        )

    def _picture(self, sample: Any) -> Picture:
        caps = sample.get_caps().get_structure(0)
        height, width = caps.get_value("height"), caps.get_value("width")
        if not self.frame_rate:
            known, over, under = caps.get_fraction("framerate")
            self.frame_rate = over / under if known and under else 0.0
        buffer = sample.get_buffer()
        mapped, content = buffer.map(Gst.MapFlags.READ)
        if not mapped:
            raise LostInputError(
                Loss.ERROR, f"{self._name!r} gives frames that cannot be read", hint="try again"
            )
        try:
            image = _copied(content.data, height, width)
        finally:
            buffer.unmap(content)
        time_s = buffer.pts / _NS_PER_S if buffer.pts != Gst.CLOCK_TIME_NONE else None
        return Picture(image, time_s)


def stream_pipeline(element: str, protocols: str = "tcp") -> str:
    """Return the pipeline for an address, by what is installed; its source is ``address``.

    element: ``rtspsrc`` or ``srtsrc``.
    protocols: how an RTSP server may send, in GStreamer's words.
    """
    Gst.init(None)
    scaler = f"{_ON_JETSON} ! video/x-raw,format=BGRx ! " if has_element(_ON_JETSON) else ""
    rtsp = f"rtspsrc protocols={protocols} latency=100"
    source = rtsp if element == "rtspsrc" else "srtsrc mode=caller"
    return f"{source} name=address ! decodebin ! {scaler}appsink drop=true max-buffers=1"


def _copied(data: Any, height: int, width: int) -> Image:
    """Return rows of BGR as an array of its own. Rows begin at multiples of four bytes."""
    rows = np.frombuffer(data, np.uint8)
    stride = rows.size // height
    image: Image = rows.reshape(height, stride)[:, : 3 * width].reshape(height, width, 3).copy()
    return image
