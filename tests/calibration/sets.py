"""Small calibration sets, written as files, and networks small enough to measure on them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.photographs import shipped_photographs

SIDE = 64


def write_set(
    folder: Path,
    *,
    name: str = "street",
    count: int = 6,
    file: str | None = None,
    photograph: str = "coffee",
    side: int = SIDE,
    shift: int = 0,
) -> Path:
    """Write a set of crops along a photograph's diagonal, every second one noisy."""
    if file is None:
        source, image = f'photograph = "{photograph}"', shipped_photographs()[photograph]
    else:
        from imageio.v3 import imread

        source, image = f'file = "{file}"', np.asarray(imread(folder / file))
    text = (
        f'schema = 1\nname = "{name}"\ntitle = "A few crops"\nlicence = "CC0"\n'
        f"height = {side}\nwidth = {side}\n"
    )
    for number in range(count):
        corner = number * 40 % (min(image.shape[:2]) - side + 1) + shift
        sigma = 25.0 * (number % 2) if file is None else 0.0
        crop = image[corner : corner + side, corner : corner + side, ::-1]
        frame = add_gaussian_uint8(crop, sigma, np.random.default_rng(number))
        digest = hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()
        text += (
            f"[[members]]\n{source}\ntop = {corner}\nleft = {corner}\nsigma = {sigma}\n"
            f'seed = {number}\nsha256 = "{digest}"\n'
        )
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path
