"""The part of a picture that a video file asks players to show.

MP4 and MOV call it the clean aperture (``clap``, ISO/IEC 14496-12, 12.1.4), Matroska and WebM crop
pixels (RFC 9559, 5.1.4.1.28). Programs differ: ffmpeg follows both since 7.1, and FFmpeg's
libraries, OpenCV and older versions of ffmpeg do not. So frames stay whole here, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from edgeunet.media.container_parts import EBML, SEGMENT, Part, boxes, elements
from edgeunet.names import shown

# Elements of Matroska.
_TRACKS, _TRACK, _VIDEO = 0x1654AE6B, 0xAE, 0xE0
_MARGINS = {0x54BB: "top", 0x54AA: "bottom", 0x54CC: "left", 0x54DD: "right"}

_DESCRIPTIONS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_SAMPLE_ENTRY_BYTES = 78  # of a VisualSampleEntry, before its own boxes
_APERTURE_BYTES = 32


@dataclass(frozen=True)
class Margins:
    """Pixels at the sides of a stored picture that are not to be shown. They may be fractions."""

    top: Fraction = Fraction(0)
    bottom: Fraction = Fraction(0)
    left: Fraction = Fraction(0)
    right: Fraction = Fraction(0)

    def __str__(self) -> str:
        sides = {
            "at the top": self.top,
            "at the bottom": self.bottom,
            "on the left": self.left,
            "on the right": self.right,
        }
        return ", ".join(f"{float(many):g} {side}" for side, many in sides.items() if many)


def cropping_notices(name: str, path: Path) -> list[str]:
    """Return a line about the margins that a file asks players to cut off, or none.

    name: of the file as the user wrote it.
    """
    try:
        margins = margins_of(path)
    except OSError:  # reading the frames will tell
        return []
    if margins is None:
        return []
    return [
        f"{shown(name)} asks players to cut off pixels ({margins}); frames are worked on as they "
        "are stored"
    ]


def margins_of(path: Path) -> Margins | None:
    """Return the first margins that a video of a file has; None for no margins. Raises OSError."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        matroska = head[:4] == EBML.to_bytes(4, "big")
        found = _of_matroska(stream, size) if matroska else _of_boxes(stream, size)
        return next((margins for margins in found if margins != Margins()), None)


def _of_matroska(stream: BinaryIO, size: int) -> Iterator[Margins]:
    whole = Part(0, 0, size)
    for video in _inside(elements, stream, whole, (SEGMENT, _TRACKS, _TRACK, _VIDEO)):
        sides = {
            _MARGINS[part.kind]: Fraction(int.from_bytes(part.content(stream, 8), "big"))
            for part in elements(stream, video.begin, video.end)
            if isinstance(part.kind, int) and part.kind in _MARGINS
        }
        yield Margins(**sides)


def _of_boxes(stream: BinaryIO, size: int) -> Iterator[Margins]:
    for description in _inside(boxes, stream, Part(b"", 0, size), _DESCRIPTIONS):
        for entry in boxes(stream, description.begin + 8, description.end):
            fields = entry.content(stream, _SAMPLE_ENTRY_BYTES)
            width, height = (int.from_bytes(fields[at : at + 2], "big") for at in (24, 26))
            for inner in boxes(stream, entry.begin + _SAMPLE_ENTRY_BYTES, entry.end):
                if inner.kind == b"clap":
                    yield _of_aperture(inner.content(stream, _APERTURE_BYTES), height, width)


def _inside(
    walk: Callable[[BinaryIO, int, int], Iterator[Part]],
    stream: BinaryIO,
    part: Part,
    kinds: Sequence[bytes | int],
) -> Iterator[Part]:
    """Yield the parts that a path of kinds leads to."""
    if not kinds:
        yield part
        return
    for inner in walk(stream, part.begin, part.end):
        if inner.kind == kinds[0]:
            yield from _inside(walk, stream, inner, kinds[1:])


def _of_aperture(content: bytes, height: int, width: int) -> Margins:
    """Return the margins of a clean aperture, whose offsets are those of its centre."""
    if len(content) < _APERTURE_BYTES:
        return Margins()
    numbers = [
        int.from_bytes(content[at : at + 4], "big", signed=True)
        for at in range(0, _APERTURE_BYTES, 4)
    ]
    if not all(numbers[1::2]):
        return Margins()
    wide, high, right, down = (
        Fraction(above, below) for above, below in zip(numbers[::2], numbers[1::2], strict=True)
    )
    left, top = (width - wide) / 2 + right, (height - high) / 2 + down
    return Margins(top, height - high - top, left, width - wide - left)
