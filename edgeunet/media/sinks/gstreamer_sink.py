"""Sinks that are GStreamer pipelines: any encoder, file, screen or network that it knows.

Frames go in at the front, where ``appsrc ! videoconvert`` is put. ``{h264}`` in a pipeline is the
first H.264 encoder that works here, and ``rtsp://`` sends to a server that takes recordings.
"""

from __future__ import annotations

import re
import time

import numpy as np

from edgeunet.errors import SinkError, UsageError
from edgeunet.media.frames import Frame, StreamShape
from edgeunet.media.gstreamer_binding import GLib, Gst, has_element
from edgeunet.media.live.addresses import encoded, scrubbed, without_passwords
from edgeunet.specs import Image

H264 = "{h264}"
ENCODERS = (
    # Orin Nano has the element, and no encoder behind it; so each is tried with two frames.
    "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc insert-sps-pps=true",
    "vah264enc",
    "v4l2h264enc",
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=60",
    "openh264enc",
)
"""Encoders by preference: of Jetson boards, of other GPUs, of other boards, and in software."""

_TO_SERVER = f"{H264} ! h264parse ! rtspclientsink name=address protocols=tcp latency=0"
_SOURCE = "edgeunet_frames"
_QUEUED_FRAMES = 2
_LOOK_S = 0.005
_PROBE_NS = 10_000_000_000
_END_NS = 10_000_000_000
_REASON_NS = 1_000_000_000
_NS_PER_S = 1e9
_NAME = re.compile(r"(\w+)")
_HINT = "gst-inspect-1.0 lists the elements that are installed, with their properties"


def h264_encoder() -> str:
    """Return the first of ``ENCODERS`` that codes two frames here. Raises SinkError without any."""
    Gst.init(None)
    for encoder in ENCODERS:
        elements = [part.strip() for part in encoder.split("!") if "/" not in part]
        names = [found[1] for found in map(_NAME.match, elements) if found is not None]
        if all(map(has_element, names)) and _codes(encoder):
            return encoder
    raise SinkError(
        "GStreamer has no encoder for H.264 that works here",
        hint="apt install gstreamer1.0-plugins-ugly",
    )


class GstreamerSink:
    """A pipeline that frames are pushed into, each at its time."""

    def __init__(self, text: str, shape: StreamShape) -> None:
        """Start the pipeline.

        text: ``gst://`` and a pipeline without its source, or an ``rtsp://`` address.
        shape: the frames that will come.
        Raises UsageError for a pipeline that cannot be built, SinkError when it does not start.
        """
        self.name = without_passwords(text)
        self._secret = text
        self._shape = shape
        self._written = 0
        self._first_ns = 0
        # Rows of a raw frame begin at multiples of four bytes.
        row_bytes = -(-3 * shape.width // 4) * 4
        self._rows = np.zeros((shape.height, row_bytes), np.uint8)
        Gst.init(None)
        scheme, _, rest = text.partition("://")
        pipeline = rest if scheme == "gst" else _TO_SERVER
        if scheme != "gst" and not has_element("rtspclientsink"):
            raise SinkError(
                "GStreamer has no rtspclientsink, which sends to an RTSP server",
                hint="apt install gstreamer1.0-rtsp",
            )
        if H264 in pipeline:
            pipeline = pipeline.replace(H264, h264_encoder())
        try:
            self._pipeline = Gst.parse_launch(
                f"appsrc name={_SOURCE} format=time is-live=true max-bytes=0 ! videoconvert ! "
                f"{pipeline}"
            )
        except GLib.Error as error:
            raise UsageError(
                f"the GStreamer pipeline cannot be built: {scrubbed(error.message, text)}",
                hint=_HINT,
            ) from error
        self._source = self._pipeline.get_by_name(_SOURCE)
        rate = round(1000 * shape.frame_rate)
        caps = f"video/x-raw,format=BGR,width={shape.width},height={shape.height}"
        self._source.set_property("caps", Gst.Caps.from_string(f"{caps},framerate={rate}/1000"))
        if scheme != "gst":
            self._pipeline.get_by_name("address").set_property("location", encoded(text))
        self._bus = self._pipeline.get_bus()
        if self._pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            raise self._ended(self._reason())

    def write(self, image: Image, frame: Frame) -> bool:
        while self._source.get_property("current-level-bytes") >= _QUEUED_FRAMES * self._rows.size:
            self._look()
            time.sleep(_LOOK_S)
        self._look()
        height, width = image.shape[:2]
        self._rows[:, : 3 * width] = image.reshape(height, 3 * width)
        buffer = Gst.Buffer.new_wrapped(self._rows.tobytes())
        if not self._written:
            # The first frame is due now, whatever its time is.
            self._first_ns = self._running_ns() - round(frame.timestamp_s * _NS_PER_S)
        buffer.pts = self._first_ns + round(frame.timestamp_s * _NS_PER_S)
        buffer.duration = round(_NS_PER_S / self._shape.frame_rate)
        if self._source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
            raise self._ended(self._reason())
        self._written += 1
        return True

    def finish(self) -> None:
        self._source.emit("end-of-stream")
        kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
        message = self._bus.timed_pop_filtered(_END_NS, kinds)
        if message is None:
            raise self._ended("it does not end")
        if message.type == Gst.MessageType.ERROR:
            raise self._ended(_said(message))
        self._pipeline.set_state(Gst.State.NULL)

    def discard(self) -> None:
        self._pipeline.set_state(Gst.State.NULL)

    def warnings(self) -> tuple[str, ...]:
        return ()

    def _running_ns(self) -> int:
        """Return the pipeline's time; 0 before it has a clock."""
        clock = self._pipeline.get_clock()
        if clock is None:
            return 0
        return max(0, int(clock.get_time() - self._pipeline.get_base_time()))

    def _look(self) -> None:
        """Raise SinkError when the pipeline has failed or ended."""
        message = self._bus.pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.EOS)
        if message is not None:
            failed = message.type == Gst.MessageType.ERROR
            raise self._ended(_said(message) if failed else "it has ended by itself")

    def _reason(self) -> str:
        """Wait a little for what the pipeline says of its failure."""
        message = self._bus.timed_pop_filtered(_REASON_NS, Gst.MessageType.ERROR)
        return "it does not say why" if message is None else _said(message)

    def _ended(self, reason: str) -> SinkError:
        """Stop the pipeline, and return the error to raise."""
        self._pipeline.set_state(Gst.State.NULL)
        return SinkError(
            f"{self.name!r} failed after {self._written} frames: {scrubbed(reason, self._secret)}",
            hint="gst-launch-1.0 with videotestsrc in front shows whether the pipeline works",
        )


def _codes(encoder: str) -> bool:
    """Return whether an encoder codes two frames."""
    try:
        pipeline = Gst.parse_launch(
            "videotestsrc num-buffers=2 ! video/x-raw,width=320,height=240,framerate=30/1 ! "
            f"videoconvert ! {encoder} ! fakesink"
        )
    except GLib.Error:
        return False
    pipeline.set_state(Gst.State.PLAYING)
    kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(_PROBE_NS, kinds)
    pipeline.set_state(Gst.State.NULL)
    return message is not None and message.type == Gst.MessageType.EOS


def _said(message: Gst.Message) -> str:
    """Return an error message's text, with the reason that its debug text ends in."""
    error, debug = message.parse_error()
    lines = (debug or "").strip().splitlines()
    reason = "" if not lines or lines[-1].startswith("../") else f" {lines[-1]}"
    return f"{error.message}{reason}"
