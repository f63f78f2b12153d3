"""A sender of H.264 in MPEG-TS over UDP, and a relay on loopback that loses and damages packets."""

from __future__ import annotations

import random
import socket
import threading
import time
from fractions import Fraction

import av
import numpy as np

from edgeunet.specs import Image

_DATAGRAM_BYTES = 7 * 188
_RATE = 50


class UdpSender:
    """Sends frames of noise, 48x64, fifty a second, in a thread, until it is closed.

    image: one picture to send again and again instead, (H, W, 3) uint8 BGR, tagged BT.709.
    """

    def __init__(self, port: int, image: Image | None = None) -> None:
        self._image = image
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> int:
        """Send what the muxer gives, as PyAV calls it for a file."""
        for start in range(0, len(data), _DATAGRAM_BYTES):
            try:
                self._socket.send(data[start : start + _DATAGRAM_BYTES])
            except ConnectionRefusedError:
                continue  # nobody listens yet
        return len(data)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._socket.close()

    def __enter__(self) -> UdpSender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        random_images = np.random.default_rng(3)
        options = {"flush_packets": "1", "pat_period": "0.05"}
        with av.open(_File(self), "w", format="mpegts", options=options) as container:
            coding = {"preset": "ultrafast", "tune": "zerolatency", "crf": "12"}
            stream = container.add_stream("libx264", rate=_RATE, options=coding)
            height, width = (48, 64) if self._image is None else self._image.shape[:2]
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            context = stream.codec_context
            context.gop_size = 5
            context.colorspace = context.color_primaries = context.color_trc = 1
            context.color_range = 1
            index = 0
            start_s = time.monotonic()
            while not self._stop.wait(max(0, start_s + index / _RATE - time.monotonic())):
                image = self._image
                if image is None:
                    image = random_images.integers(0, 256, (height, width, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
                    format="yuv420p", dst_colorspace=1, dst_color_range=1
                )
                frame.pts, frame.time_base = index, Fraction(1, _RATE)
                container.mux(stream.encode(frame))
                index += 1


class _File:
    """Only what PyAV needs of a file, so that it does not try to seek."""

    def __init__(self, sender: UdpSender) -> None:
        self.write = sender.write


class LossyRelay:
    """Passes datagrams on from ``port`` to ``target``.

    loss, damage: the shares of them that are lost, and in which one byte is changed. They may be
        changed at any time.
    """

    def __init__(self, target: int, loss: float = 0.0, damage: float = 0.0) -> None:
        self.loss, self.damage = loss, damage
        self.lost = 0
        self._target = ("127.0.0.1", target)
        self._random = random.Random(7)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = int(self._socket.getsockname()[1])
        self._open = True
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __enter__(self) -> LossyRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join(10)
        self._socket.close()

    def _work(self) -> None:
        while self._open:
            try:
                data = self._socket.recv(65536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            if self._random.random() < self.loss:
                self.lost += 1
                continue
            if self._random.random() < self.damage:
                place = self._random.randrange(20, len(data))
                data = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
            self._socket.sendto(data, self._target)
