"""Small video files of the kinds that readers disagree on, written through PyAV itself.

What is written is known, so the truth about a file is not asked of the reader under test.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edgeunet.specs import Image
from tests.media.clips import picture

TICKS = Fraction(1, 90_000)
_X264 = {"preset": "ultrafast", "qp": "0"}
_RATE_HZ = 48_000
_SAMPLES = 1024


@dataclass(frozen=True)
class Made:
    """A file, and what is in it.

    times_s: of the frames that a viewer sees, on the file's clock.
    """

    path: Path
    times_s: tuple[float, ...]


def steady(frames: int = 20, rate: float = 25.0, start_s: float = 0.0) -> tuple[float, ...]:
    return tuple(start_s + index / rate for index in range(frames))


def write_clip(
    path: Path,
    times_s: Sequence[float] = steady(),
    images: Sequence[Image] | None = None,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    time_base: Fraction = TICKS,
    shift_s: float = 0.0,
    sound_s: float = 0.0,
    sound_start_s: float = 0.0,
    sound_codec: str = "aac",
    prepare: Callable[[Any, Any], None] | None = None,
) -> Made:
    """Write a clip. ``shift_s`` is added to the times of the packets, behind the encoder's back.

    prepare: is given the container and the stream before the first frame.
    """
    pictures = images or [picture(index) for index in range(len(times_s))]
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.options = dict((_X264 if codec == "libx264" else {}) if options is None else options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = time_base
        if prepare is not None:
            prepare(output, stream)
        voice = _Voice(output, sound_codec) if sound_s else None
        for time_s, image in zip(times_s, pictures, strict=True):
            frame: Any = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame = frame.reformat(format=pixels)
            frame.pts, frame.time_base = round(time_s / time_base), time_base
            _mux(output, stream.encode(frame), shift_s)
        _mux(output, stream.encode(None), shift_s)
        if voice is not None:
            voice.speak(sound_s, sound_start_s)
    shown = tuple(time_s + shift_s for time_s in times_s if time_s + shift_s >= -1e-6)
    return Made(path, shown)


def _mux(output: Any, packets: Sequence[Any], shift_s: float) -> None:
    for packet in packets:
        shift = round(shift_s / packet.time_base)
        packet.pts += shift
        packet.dts += shift
        output.mux(packet)


class _Voice:
    def __init__(self, output: Any, codec: str) -> None:
        self._output = output
        self._stream: Any = output.add_stream(codec, rate=_RATE_HZ)
        self._stream.codec_context.layout = "mono"

    def speak(self, seconds: float, start_s: float) -> None:
        """Write a tone of 440 Hz."""
        form = self._stream.codec_context.format.name
        for index in range(round(seconds * _RATE_HZ / _SAMPLES)):
            at = np.arange(index * _SAMPLES, (index + 1) * _SAMPLES)
            wave = np.sin(2 * np.pi * 440 * at / _RATE_HZ)
            samples = wave.astype(np.float32) if form == "fltp" else (8000 * wave).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format=form, layout="mono")
            frame.sample_rate = _RATE_HZ
            frame.pts = index * _SAMPLES + round(start_s * _RATE_HZ)
            frame.time_base = Fraction(1, _RATE_HZ)
            self._output.mux(self._stream.encode(frame))
        self._output.mux(self._stream.encode(None))


def packet_times(path: Path) -> list[float]:
    """Return the times of the frames that a viewer sees, in seconds.

    ffprobe tells them where it is installed, else they are taken from the packets, undecoded.
    """
    probe = shutil.which("ffprobe")
    if probe is not None:
        entries = ("-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0")
        command = [probe, "-v", "error", *entries, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [float(line.split(",")[0]) for line in done.stdout.split() if line[0] != ","]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sorted(
            float(packet.pts * packet.time_base)
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size and not packet.is_discard
        )


def sound_of(path: Path) -> list[tuple[int, bytes]]:
    """Return (time in milliseconds, content) of every packet of the first sound of a file."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (round(1000 * float(packet.pts * packet.time_base)), bytes(packet))
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size
        ]


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give an MP4's only track a display matrix (ISO/IEC 14496-12, tkhd)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in matrix)
    path.write_bytes(bytes(data))
    return path


def give_aperture(path: Path, wide: int, high: int, right: int, down: int) -> Path:
    """Give an MP4's video a clean aperture of a size, that far from the centre (clap).

    Its index has to lie behind its frames, so that none of them moves.
    """
    data = bytearray(path.read_bytes())
    numbers = (wide, 1, high, 1, right, 1, down, 1)
    content = b"clap" + b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    box = (len(content) + 4).to_bytes(4, "big") + content
    begin, end, places = 0, len(data), []
    # What lies in a box before the boxes in it.
    for kind, skipped in (
        *((kind, 0) for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl")),
        (b"stsd", 8),
        (b"avc1", 78),
    ):
        while data[begin + 4 : begin + 8] != kind:
            begin += int.from_bytes(data[begin : begin + 4], "big")
        places.append(begin)
        begin, end = begin + 8 + skipped, begin + int.from_bytes(data[begin : begin + 4], "big")
    data[end:end] = box
    for place in places:
        length = int.from_bytes(data[place : place + 4], "big") + len(box)
        data[place : place + 4] = length.to_bytes(4, "big")
    path.write_bytes(bytes(data))
    return path


def spoil(path: Path, numbers: Sequence[int], header: int = 16) -> Path:
    """Overwrite the content of some packets, by their number in the file, with random bytes.

    header: bytes of the container before a packet's content, which are left.
    """
    random = np.random.default_rng(3)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        places = [(packets[number].pos, packets[number].size) for number in numbers]
    data = bytearray(path.read_bytes())
    for pos, size in places:
        assert pos is not None
        many = size - header - 4
        data[pos + header : pos + size - 4] = random.integers(0, 256, many, np.uint8).tobytes()
    path.write_bytes(bytes(data))
    return path
