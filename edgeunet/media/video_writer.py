"""Codes frames into a video file through PyAV, each at its time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from edgeunet.errors import SinkError
from edgeunet.media import pyav
from edgeunet.media.clip_facts import UNSAID, ClipFacts, ColourTags
from edgeunet.media.frames import StreamShape
from edgeunet.media.sound import Sound
from edgeunet.media.time_grid import grid_rate
from edgeunet.specs import Image

_TICKS = 90_000  # per second, as in MPEG; all usual frame rates are whole numbers of them
_KEY_FRAMES_S = 2

# Codes of ITU-T H.273.
_RGB, _BT601, _SMPTE170M, _BT709, _SRGB = 0, 5, 6, 1, 13

_OF_PICTURES = ColourTags(matrix=_SMPTE170M, primaries=_BT709, transfer=_SRGB, full_range=False)
"""Tags of frames that come from no video. Every reader knows BT.601, older OpenCVs only that."""

# What a player makes of a file is not to be changed by these.
_OWN_METADATA = ("encoder", "major_brand", "minor_version", "compatible_brands", "rotate")

_HYBRID = "hybrid_fragmented+"
_FRAGMENTS = {
    # Parts of a second that play if the process is killed; at the end one index over all.
    "movflags": _HYBRID + "frag_keyframe+delay_moov+default_base_moof",
    "frag_duration": "1000000",
    "flush_packets": "1",
}
# Without the index over all, which is in memory until the end: 70 bytes for every frame.
_NO_INDEX = "+skip_trailer"
_MKV = {"cluster_time_limit": "1000", "flush_packets": "1"}
_H264 = {"preset": "ultrafast", "crf": "23"}
# A board's other cores have the network. With one for each, x264 holds back a frame for each, too.
_ENCODER_THREADS = 2


@dataclass(frozen=True)
class Coding:
    """How a container's frames are coded.

    encoders: FFmpeg's names, in order of preference, with their options.
    pixels: FFmpeg's pixel format.
    container: options of the container.
    even: whether height and width have to be even.
    edits: whether the container says from where on it is played, so that packets may lie before.
    aspect: whether it can say that pixels are not square, when it is written through PyAV.
    on_grid: whether frames lie on a grid of times that begins with the first frame, as in AVI.
    """

    encoders: tuple[tuple[str, dict[str, str]], ...]
    pixels: str
    container: dict[str, str]
    even: bool = False
    edits: bool = False
    on_grid: bool = False
    aspect: bool = True


_MP4 = Coding(
    (("libx264", _H264), ("mpeg4", {"qmin": "2", "qmax": "3"})),
    "yuv420p",
    _FRAGMENTS,
    even=True,
    edits=True,
)
CODINGS = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MP4,
    ".avi": Coding((("mjpeg", {"qmin": "2", "qmax": "3"}),), "yuvj420p", {}, on_grid=True),
    ".mkv": Coding((("ffv1", {"level": "3", "slicecrc": "1"}),), "bgr0", _MKV, aspect=False),
}
"""Suffix -> how it is written."""


class VideoWriter:
    """A video file that is being written. Every error of the disk is raised by ``write``."""

    def __init__(
        self,
        path: Path,
        suffix: str,
        shape: StreamShape,
        *,
        with_sound: bool = False,
        endless: bool = False,
    ) -> None:
        """Open the file.

        path: what is written.
        suffix: chooses container and codec; a key of ``CODINGS``.
        with_sound: copy the sound of ``shape.clip``.
        endless: write no index at the end of an MP4, so that memory stays as it is.
        Raises SinkError without an encoder, and one of ``pyav.failures`` when it cannot be opened.
        """
        self._shape = shape
        self._converter = pyav.converter()
        self._coding = CODINGS[suffix]
        self._endless = endless
        self._clip = shape.clip
        self._sound_left_out: tuple[str, ...] = ()
        self._container: Any = None
        self._file: BinaryIO | None = None
        self._sound: Sound | None = None
        self._last: int | None = None
        self._durations: dict[int, int] = {}
        try:
            self._open(path, suffix, with_sound)
        except BaseException:
            self.abandon()
            raise

    @property
    def left_out(self) -> tuple[str, ...]:
        """Lines about what the file cannot hold."""
        clip, coding = self._clip, self._coding
        said = list(self._sound_left_out)
        if clip is not None and clip.pixel_aspect != 1 and not coding.aspect:
            said.append(
                f"FFV1 in .mkv cannot say that its pixels are {float(clip.pixel_aspect):.3g} times "
                "as wide as high"
            )
        if clip is not None and coding.on_grid and clip.start_s > 0:
            said.append(
                f"a file of this kind begins at 0 s: {float(clip.start_s):.2f} s were taken off"
            )
        elif clip is not None and clip.shift_s:
            said.append(
                f"the clock of {clip.path.name} begins at {float(clip.shift_s):.0f} s, which were "
                "taken off"
            )
        return tuple(said)

    def write(self, image: Image, timestamp_s: float, duration_s: float | None = None) -> None:
        """Write one frame, (H, W, 3) uint8 BGR.

        timestamp_s: seconds after the first frame.
        duration_s: how long it is shown; None for until the next one.
        """
        frame = self._converted(image)
        tick = self._start + round(timestamp_s / self._time_base)
        if self._last is not None:
            tick = max(tick, self._last + 1)
        self._last = tick
        frame.pts, frame.time_base = tick, self._time_base
        if duration_s:
            self._durations[tick] = max(1, round(duration_s / self._time_base))
        self._mux(self._stream.encode(frame))

    def close(self, *, whole_sound: bool) -> None:
        """Write what is left, and the end of the file.

        whole_sound: copy all sound that is left, else none after the last frame.
        """
        self._mux(self._stream.encode(None))
        if self._sound is not None:
            if whole_sound:
                self._sound.rest()
            self._sound.close()
        self._container.close()
        if self._file is not None:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is. Never raises.

        The file is closed before the container, which could otherwise write a part of its index
        over what plays without one.
        """
        for opened in (self._sound, self._file, self._container):
            try:
                if opened is not None:
                    opened.close()
            except pyav.failures():
                continue

    def _open(self, path: Path, suffix: str, with_sound: bool) -> None:
        sound = Sound.of(self._clip) if with_sound and self._clip is not None else None
        self._begin(path, sound)
        try:
            self._start_encoding()
        except pyav.failures() as error:
            if sound is None or isinstance(error, OSError):
                raise
            # The container takes the kind of sound, but not this one.
            self.abandon()
            self._sound = None
            self._begin(path, None)
            self._sound_left_out = (f"the sound cannot be copied into {suffix} and is left out",)
            self._start_encoding()

    def _start_encoding(self) -> None:
        self._container.start_encoding()
        if self._sound is not None:
            self._sound.begin()

    def _begin(self, path: Path, sound: Sound | None) -> None:
        coding, shape, clip = self._coding, self._shape, self._clip
        wrapping = dict(coding.container)
        if "movflags" in wrapping and (self._endless or not pyav.has_hybrid_mp4()):
            wrapping["movflags"] = wrapping["movflags"].removeprefix(_HYBRID)
        if "movflags" in wrapping and self._endless:
            wrapping["movflags"] += _NO_INDEX
        self._file = pyav.file_to_write(path)
        self._container = pyav.open_to_write(self._file, wrapping)
        encoder, options = self._encoder()
        rate = Fraction(shape.frame_rate).limit_denominator(1001)
        stream = self._container.add_stream(encoder, rate=rate, options=dict(options))
        self._stream = stream
        stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, coding.pixels
        self._time_base = self._unit(rate)
        context = stream.codec_context
        context.time_base = stream.time_base = self._time_base
        context.thread_count = _ENCODER_THREADS
        if coding.even:
            context.gop_size = max(1, round(_KEY_FRAMES_S * shape.frame_rate))
        start_s = clip.start_s if clip is not None else Fraction(0)
        self._start = 0 if coding.on_grid else round(start_s / self._time_base)
        self._tags = self._written_tags()
        context.colorspace, context.color_range = self._tags.matrix, _range(self._tags)
        context.color_primaries, context.color_trc = self._tags.primaries, self._tags.transfer
        if clip is not None:
            context.sample_aspect_ratio = clip.pixel_aspect
            self._container.metadata.update(_kept(clip))
        if sound is not None:
            self._sound_left_out = sound.add_to(
                self._container,
                begin_s=start_s if coding.on_grid else Fraction(0),
                before_zero=coding.edits,
            )
        self._sound = sound

    def _encoder(self) -> tuple[str, dict[str, str]]:
        for name, options in self._coding.encoders:
            if pyav.can_encode(name):
                return name, options
        names = " or ".join(name for name, _ in self._coding.encoders)
        raise SinkError(
            f"this PyAV has no encoder {names}",
            hint="pip install av brings all of them; or write into a folder: OUT/",
        )

    def _unit(self, rate: Fraction) -> Fraction:
        """Return the unit of the times that are written, in seconds."""
        if self._coding.on_grid:
            clip = self._clip
            return 1 / (rate if clip is None else grid_rate(clip.path, clip.rate or rate))
        if self._stream.codec_context.name == "mpeg4":  # takes units down to 1/65535 s
            return Fraction(1, 60_000)
        return self._clip.time_base if self._clip is not None else Fraction(1, _TICKS)

    def _written_tags(self) -> ColourTags:
        tags = self._clip.colours if self._clip is not None else _OF_PICTURES
        if self._coding.pixels == "bgr0":
            return ColourTags(_RGB, tags.primaries, tags.transfer, True)
        if self._coding.pixels == "yuvj420p":  # a JPEG is always this
            return ColourTags(_BT601, tags.primaries, tags.transfer, True)
        if tags.matrix == _RGB:
            return ColourTags(_SMPTE170M, tags.primaries, tags.transfer, False)
        return tags

    def _converted(self, image: Image) -> Any:
        frame = pyav.frame_of(image)
        tags = self._tags
        if tags.matrix == _RGB:
            return self._converter.reformat(frame, format=self._coding.pixels)
        # swscale counts BT.601 once; what names no matrix is read as BT.601.
        matrix = _BT601 if tags.matrix in (UNSAID, _SMPTE170M) else tags.matrix
        converted = self._converter.reformat(
            frame,
            format=self._coding.pixels,
            dst_colorspace=matrix,
            dst_color_range=2 if tags.full_range else 1,
        )
        converted.colorspace, converted.color_range = tags.matrix, _range(tags)
        converted.color_primaries, converted.color_trc = tags.primaries, tags.transfer
        return converted

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            # Encoders do not hand on durations, and the last frame's is the file's end.
            packet.duration = self._durations.pop(packet.pts, packet.duration)
            if self._sound is not None and packet.dts is not None:
                self._sound.until(float(packet.dts * packet.time_base))
            self._container.mux(packet)


def _range(tags: ColourTags) -> int:
    return {None: 0, False: 1, True: 2}[tags.full_range]


def _kept(clip: ClipFacts) -> dict[str, str]:
    return {
        key: value
        for key, value in clip.metadata.items()
        if key.lower() not in _OWN_METADATA and "\N{REPLACEMENT CHARACTER}" not in value
    }
