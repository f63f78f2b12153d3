"""Compares a denoised clip with the noisy one, the clean one, and non-local means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from edgeunet.files import replacing_file
from edgeunet.media import opencv
from edgeunet.media.sources import open_source
from edgeunet.specs import Image
from edgeunet.stream.camera_clip import write_clips
from edgeunet.stream.meter import PsnrMeter

STRENGTHS = (3.0, 6.0, 9.0, 12.0, 16.0, 20.0)
"""Filter strengths h that are tried for non-local means, in 8-bit units."""

_TRIED_FRAMES = 2
_PANELS = ("noisy", "non-local means", "denoised", "clean")


@dataclass(frozen=True)
class Comparison:
    """Mean PSNR to the clean frames over a clip.

    noisy_db, non_local_means_db, denoised_db: mean over all frames, in dB.
    strength: filter strength of non-local means (OpenCV's ``fastNlMeansDenoisingColored``), the
        best of ``STRENGTHS`` on the clip's first frames.
    still: four panels of the middle frame, uint8 BGR.
    """

    noisy_db: float
    non_local_means_db: float
    denoised_db: float
    strength: float
    still: Image


def compare_clips(
    noisy: Path,
    denoised: Path,
    clean: Path,
    *,
    on_frame: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """Compare clips of one size and length. All frames are held in memory.

    on_frame: called with the number of finished frames.
    Raises SourceError when a file is not a clip.
    """
    frames = list(zip(_frames(noisy), _frames(denoised), _frames(clean), strict=True))
    meter = PsnrMeter(*frames[0][0].shape[:2])
    strength = best_strength([(seen, truth) for seen, _, truth in frames[:_TRIED_FRAMES]])
    figures = []
    for done, (seen, answer, truth) in enumerate(frames, 1):
        classic = opencv.non_local_means(seen, strength)
        figures.append([meter.psnr_db(image, truth) for image in (seen, classic, answer)])
        on_frame(done)
    seen, answer, truth = frames[len(frames) // 2]
    panels = (seen, opencv.non_local_means(seen, strength), answer, truth)
    noisy_db, classic_db, denoised_db = (fmean(column) for column in zip(*figures, strict=True))
    return Comparison(noisy_db, classic_db, denoised_db, strength, beside(panels, _PANELS))


def best_strength(pairs: Sequence[tuple[Image, Image]]) -> float:
    """Return the strength of non-local means with the best mean PSNR over (noisy, clean) pairs."""
    meter = PsnrMeter(*pairs[0][0].shape[:2])
    means = {
        strength: fmean(
            meter.psnr_db(opencv.non_local_means(noisy, strength), clean) for noisy, clean in pairs
        )
        for strength in STRENGTHS
    }
    return max(means, key=lambda strength: means[strength])


def beside(images: Sequence[Image], captions: Sequence[str]) -> Image:
    """Return images of one size side by side, each with its caption."""
    panels = []
    for image, caption in zip(images, captions, strict=True):
        panels.append(image.copy())
        opencv.draw_caption(panels[-1], caption)
    return np.concatenate(panels, axis=1)


def write_still(path: Path, still: Image) -> None:
    """Write an image file whole or not at all."""
    with replacing_file(path) as file:
        file.write_bytes(opencv.encode_image(still, path.suffix))


def write_beside(path: Path, noisy: Path, denoised: Path, frame_rate: float) -> None:
    """Write a video of two clips side by side, with captions."""
    pairs = zip(_frames(noisy), _frames(denoised), strict=True)
    both = ((beside(pair, (_PANELS[0], _PANELS[2])),) for pair in pairs)
    write_clips({path: 0}, both, frame_rate)


def _frames(clip: Path) -> Iterator[Image]:
    source = open_source(str(clip), None)
    try:
        while (frame := source.read()) is not None:
            yield frame.image
    finally:
        source.close()
