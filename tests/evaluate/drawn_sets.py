"""Writes image files with their truth for tests."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def picture(index: int = 0, height: int = 24, width: int = 32) -> Bytes:
    """Return a smooth picture, (H, W, 3) uint8 RGB, that differs from index to index."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [40 + 3 * rows + 5 * index, 40 + 2 * columns, 40 + rows + columns + 3 * index]
    return np.stack(planes, axis=2).astype(np.uint8)


def write(path: Path, pixels: Bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, pixels)
    return path


def write_folder(folder: Path, count: int = 2, height: int = 24, width: int = 32) -> Path:
    for index in range(count):
        write(folder / f"image_{index + 1}.png", picture(index, height, width))
    return folder


def with_noise(pixels: Bytes, seed: int = 0, sigma: float = 8) -> Bytes:
    """Return a picture with white noise, sigma in 8-bit units, clipped."""
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def write_pairs(folder: Path, count: int = 3, height: int = 24, width: int = 32) -> Path:
    """Write ``noisy/`` and ``clean/``; the second pair is noisier than the first, and so on."""
    for index in range(count):
        pixels, name = picture(index, height, width), f"image_{index + 1}.png"
        write(folder / "clean" / name, pixels)
        write(folder / "noisy" / name, with_noise(pixels, index, 6 + 2 * index))
    return folder


def brightest(pixels: Bytes) -> Bytes:
    """Return which of blue, green and red is the brightest, as ``tiny_bundle`` labels it."""
    labels: Bytes = pixels[:, :, ::-1].argmax(axis=2).astype(np.uint8)
    return labels


def write_labelled(folder: Path, count: int = 2, height: int = 24, width: int = 32) -> Path:
    for index in range(count):
        pixels = picture(index, height, width)
        write(folder / "images" / f"image_{index + 1}.png", pixels)
        write(folder / "labels" / f"image_{index + 1}.png", brightest(pixels))
    return folder
