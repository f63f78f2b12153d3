"""Network streams through PyAV: rtsp, http(s), udp and srt, where GStreamer is not there.

This is the only file that imports PyAV for live streams.
"""

from __future__ import annotations

import time
from collections.abc import Generator

import numpy as np

from edgeunet.errors import MissingPackageError
from edgeunet.media.frame_colours import FrameColours
from edgeunet.media.live.addresses import encoded, scrubbed
from edgeunet.media.live.live_inputs import Loss, LostInputError, Picture, absent, refused, silent

try:
    import av
    import av.error
    import av.logging
except ImportError as missing:
    raise MissingPackageError(
        "av", purpose="reading network streams", extra="video", error=missing
    ) from missing

# Without fflags=nobuffer, which throws the first key frame away; some cameras send the next one
# after 20 s.
_LOW_DELAY = {"flags": "low_delay"}


class StreamDecoder:
    """A network stream that is open.

    name: the address without passwords, for messages.
    address: what is opened.
    timeout_s: how long opening, and every packet, may take.
    """

    def __init__(self, name: str, address: str, timeout_s: float) -> None:
        self._name = name
        self._address = encoded(address)
        self._scheme = address.partition("://")[0]
        self._timeout_s = timeout_s
        self._interrupted = False
        self.damaged = 0
        options = dict(_LOW_DELAY)
        if address.startswith("rtsp"):
            # Some cameras send by UDP only.
            options["rtsp_flags"] = "prefer_tcp"
        av.logging.set_level(None)
        self._asked_s = time.monotonic()
        try:
            self._container = av.open(
                self._address, options=options, timeout=(timeout_s, timeout_s)
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._lost(error) from error
        if not self._container.streams.video:
            self._container.close()
            raise LostInputError(
                Loss.ABSENT, f"{name!r} has no video", hint="check the path of the address"
            )
        stream = self._container.streams.video[0]
        self.frame_rate = float(stream.average_rate or stream.guessed_rate or 0)
        # A file that a server hands out has a length; a live stream has none.
        self._has_end = bool(self._container.duration)
        self._colours = FrameColours(name)
        self._pictures = self._decode()

    def read(self) -> Picture:
        """Wait for the next frame. Raises LostInputError as the protocol says.

        Raises SourceError for colours that are not converted rightly.
        """
        self._asked_s = time.monotonic()
        try:
            return next(self._pictures)
        except StopIteration:
            loss = Loss.END if self._has_end else Loss.ERROR
            raise LostInputError(
                loss, f"{self._name!r} stopped sending", hint="check the camera and the network"
            ) from None
        except (av.error.FFmpegError, OSError) as error:
            raise self._lost(error) from error

    def interrupt(self) -> None:
        """Give up at the next packet."""
        self._interrupted = True

    def close(self) -> None:
        self._pictures.close()
        self._container.close()

    def _decode(self) -> Generator[Picture, None, None]:
        stream = self._container.streams.video[0]
        fresh_s = time.monotonic()
        for packet in self._container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                self.damaged += 1
                frames = []
            for frame in frames:
                if frame.is_corrupt:
                    self.damaged += 1
                    continue
                fresh_s = time.monotonic()
                yield Picture(np.ascontiguousarray(self._colours.bgr(frame)), frame.time)
            if self._interrupted or time.monotonic() - fresh_s > self._timeout_s:
                raise silent(self._name, self._timeout_s)

    def _lost(self, error: Exception) -> LostInputError:
        """Return what an error of FFmpeg means."""
        text = str(getattr(error, "strerror", None) or error)
        reason = scrubbed(text, self._address)
        if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            return refused(self._name)
        if isinstance(error, av.error.HTTPNotFoundError):
            return absent(self._name)
        # FFmpeg's word for a time that ran out is that it was told to leave at once, or that what
        # came until then is invalid.
        ran_out = time.monotonic() - self._asked_s >= self._timeout_s
        if isinstance(error, (av.error.ExitError, TimeoutError)) or ran_out:
            return silent(self._name, self._timeout_s)
        if isinstance(error, av.error.ProtocolNotFoundError):
            return LostInputError(
                Loss.ERROR,
                f"{self._name!r} cannot be read: this PyAV has no {self._scheme}",
                hint="GStreamer has it: apt install python3-gi python3-gst-1.0 "
                "gstreamer1.0-plugins-bad",
            )
        return LostInputError(
            Loss.ERROR,
            f"{self._name!r} cannot be read: {reason}",
            hint="check the address, the camera and the network",
        )
