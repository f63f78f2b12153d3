"""Every verb sees the same frames of a video, those that were written, and tells the same of it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.media.clips import cut, picture
from tests.media.video_cases import Made, give_aperture, steady, turn, write_clip
from tests.media.video_verbs import VERBS

LOSSLESS: dict[str, Any] = {
    "codec": "libx264rgb",
    "pixels": "rgb24",
    "options": {"preset": "ultrafast", "qp": "0"},
}


def _wide(container: Any, stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(4, 3)


def _turned(folder: Path) -> Made:
    made = write_clip(folder / "clip.mp4", **LOSSLESS)
    return Made(turn(made.path, 0, 1, -1, 0), made.times_s)


def _odd(folder: Path) -> Made:
    images = [picture(number, 47, 63) for number in range(20)]
    return write_clip(
        folder / "clip.mkv", steady(), images, codec="ffv1", pixels="bgr0", options={}
    )


def _apertured(folder: Path) -> Made:
    made = write_clip(folder / "clip.mp4", **LOSSLESS)
    return Made(give_aperture(made.path, 48, 40, 0, -2), made.times_s)


def _cut_off(folder: Path) -> Made:
    made = write_clip(folder / "clip.mkv", codec="ffv1", pixels="bgr0", options={})
    return Made(cut(made.path, 0.6), made.times_s)


CASES: dict[str, tuple[Callable[[Path], Made], str]] = {
    "steady": (lambda folder: write_clip(folder / "clip.mp4", **LOSSLESS), ""),
    "uneven": (
        lambda folder: write_clip(
            folder / "clip.mp4", [0.0, 0.04, 0.2, 0.24, 0.9, 1.0], **LOSSLESS
        ),
        "",
    ),
    "late": (lambda folder: write_clip(folder / "clip.mkv", steady(start_s=3.0), **LOSSLESS), ""),
    "turned": (_turned, ""),
    "odd size": (_odd, ""),
    "not square": (
        lambda folder: write_clip(folder / "clip.mp4", prepare=_wide, **LOSSLESS),
        "1.33",
    ),
    "aperture": (_apertured, "2 at the top, 6 at the bottom, 8 on the left, 8 on the right"),
    "cut off": (_cut_off, "is cut off after"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_verb_sees_what_was_written(case: str, tmp_path: Path) -> None:
    make, told = CASES[case]
    made = make(tmp_path)
    wanted = [picture(number) for number in range(len(made.times_s))]
    if case == "turned":
        wanted = [np.rot90(image, -1) for image in wanted]
    if case == "odd size":
        wanted = [picture(number, 47, 63) for number in range(20)]
    for verb, read in VERBS.items():
        if case == "cut off" and verb == "frames":
            continue
        images, lines = read(made.path)
        if case == "cut off":
            assert 3 < len(images) < len(wanted), verb
        else:
            assert len(images) == len(wanted), verb
        for found, image in zip(images, wanted, strict=False):
            np.testing.assert_array_equal(found, image, err_msg=verb)
        assert bool(lines) == bool(told), verb
        assert all(told in line for line in lines), verb
