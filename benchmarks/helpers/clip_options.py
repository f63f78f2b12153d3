"""Options of the scripts that measure networks on clips, and the clips that these name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.helpers.record import RESULTS
from edgeunet.cli.console import note
from edgeunet.media.clip_reader import open_clip
from edgeunet.photographs import Photograph, list_images, read_photograph

WIDTHS = (8, 16)

_HELP = {
    "--davis": "a folder of DAVIS sequences",
    "--traffic": "a clip of a fixed camera",
    "--photograph": "an image file, the scene that stays",
}


def clip_options(question: str | None, *clips: str) -> argparse.ArgumentParser:
    """Return a parser with ``--width``, ``--out`` and options for clips, which are required.

    question: the script's docstring. clips: of ``--davis``, ``--traffic`` and ``--photograph``.
    """
    parser = argparse.ArgumentParser(
        description=question, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in clips:
        parser.add_argument(name, type=Path, required=True, help=_HELP[name])
    parser.add_argument(
        "--width",
        dest="widths",
        type=int,
        action="append",
        help="may be given more than once; 8 and 16 unless given",
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the table")
    return parser


def widths_of(arguments: argparse.Namespace) -> Sequence[int]:
    """Return the widths that were asked for."""
    return arguments.widths or WIDTHS


def first_frames(place: Path, count: int, height: int, width: int) -> list[Photograph]:
    """Return the middle of the first frames of a clip, (height, width, 3) uint8 RGB.

    place: a video, or a folder of images. A shorter clip gives all of its frames.
    """
    if place.is_dir():
        images = list_images(place, notice=note)[:count]
        return [middle(read_photograph(path), height, width) for path in images]
    clip = open_clip(place)
    found: list[Photograph] = []
    while len(found) < count and (frame := clip.read()) is not None:
        found.append(middle(frame, height, width))
    clip.close()
    return found


def there_and_back(frames: Sequence[Photograph], count: int) -> list[Photograph]:
    """Return so many frames of a clip that is played forwards and backwards."""
    both = [*frames, *frames[-2:0:-1]]
    return [both[number % len(both)] for number in range(count)]


def middle(image: Photograph, height: int, width: int) -> Photograph:
    """Return the middle of an image. Stops the script when it is smaller."""
    top, left = (
        (have - want) // 2 for have, want in zip(image.shape[:2], (height, width), strict=True)
    )
    if min(top, left) < 0:
        raise SystemExit(f"frames must have {height}x{width} pixels at least")
    return np.ascontiguousarray(image[top : top + height, left : left + width])
