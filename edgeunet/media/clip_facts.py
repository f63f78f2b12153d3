"""What a video file says of its frames, for whoever writes them into another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

UNSAID = 2
"""The code of ITU-T H.273 for what a file does not say."""


@dataclass(frozen=True)
class ColourTags:
    """How the numbers in a video stand for colours.

    matrix, primaries, transfer: codes of ITU-T H.273. Matrix 0 is RGB, 1 BT.709, 5 and 6 are
        BT.601, 9 is BT.2020.
    full_range: numbers go from 0 to 255, not from 16 to 235; None where the file does not say,
        which means that they do not.
    """

    matrix: int = UNSAID
    primaries: int = UNSAID
    transfer: int = UNSAID
    full_range: bool | None = None


@dataclass(frozen=True)
class ClipFacts:
    """What a video file says of its frames.

    path: the file, from which sound is copied.
    time_base: unit of its times, in seconds.
    start_s: time of the first frame on the file's clock, in seconds.
    shift_s: seconds that were taken off the file's clock, because it begins anywhere.
    rate: frames per second that it declares; None for nothing. Its times may say otherwise.
    pixel_aspect: width of a pixel over its height, as the frames are delivered.
    colours: of the file.
    metadata: title, date of creation and the like.
    """

    path: Path
    time_base: Fraction
    start_s: Fraction = Fraction(0)
    shift_s: Fraction = Fraction(0)
    rate: Fraction | None = None
    pixel_aspect: Fraction = Fraction(1)
    colours: ColourTags = ColourTags()
    metadata: dict[str, str] = field(default_factory=dict)
