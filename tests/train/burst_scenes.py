"""Bursts whose truth is known: photographs through one simulated camera, many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.camera.chain import MARGIN, Shot, draw_shot, take
from edgeunet.photographs import Photograph, resized, shipped_photographs
from edgeunet.pixels import Floats
from edgeunet.schedules import CameraTable

CAMERA = CameraTable(
    gain=(2e-2, 2e-2),
    exposure=(0.0, 0.0),
    demosaic=("bilinear",),
    resize_share=0.0,
    luma_smoothing=(0.0, 0.0),
    chroma_smoothing=(0.0, 0.0),
    smooths_scene=0.0,
    halves_colours=0.0,
    jpeg_share=0.0,
    h264_share=0.0,
)


@dataclass(frozen=True)
class Known:
    """shots: (S, side, side, 3) uint8. clean: (side, side, 3) uint8."""

    shots: NDArray[np.uint8]
    clean: Photograph


def camera(side: int, table: CameraTable = CAMERA, seed: int = 7) -> Shot:
    """Return a fixed camera for images of so many pixels."""
    return draw_shot(table, (side, side), np.random.default_rng(seed), resizes=False)


def known_scene(name: str, side: int, shots: int, *, seed: int = 0, moved: int = 0) -> Known:
    """Return shots of a photograph; moved: by so many pixels to the right."""
    shot = camera(side)
    picture = shipped_photographs()[name]
    height = min(picture.shape[:2])
    rows, columns = shot.sensor_size
    scene = resized(picture[:height, :height], rows + 8, columns + 8)
    scene = scene[:rows, 8 - moved : 8 - moved + columns]
    generator = np.random.default_rng(seed)
    taken = [take(np.ascontiguousarray(scene), shot, generator) for _ in range(shots)]
    return Known(np.stack([_bytes(noisy) for noisy, _ in taken]), _bytes(taken[0][1]))


def _bytes(image: Floats) -> Photograph:
    inner = image[MARGIN:-MARGIN, MARGIN:-MARGIN]
    pixels: Photograph = np.rint(inner * np.float32(255)).astype(np.uint8)
    return pixels
