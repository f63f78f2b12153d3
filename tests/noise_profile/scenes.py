"""Shots of a scene whose noise is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

GAIN, READ = 1e-3, (3 / 255) ** 2


def ramp(height: int = 192, width: int = 256) -> Floats:
    """A grey ramp from left to right, (height, width, 3), 0..255."""
    across = np.linspace(20, 230, width, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(across[None, :, None], (height, width, 3)))


def flat(height: int = 192, width: int = 256, level: float = 110) -> Floats:
    """A grey wall, darker towards its corners."""
    down = np.linspace(-1, 1, height)[:, None]
    across = np.linspace(-1, 1, width)[None, :]
    wall = level * (1 - 0.1 * (down**2 + across**2))
    return np.repeat(wall[:, :, None], 3, axis=2).astype(np.float32)


def textured(height: int = 192, width: int = 256) -> Floats:
    """Waves and rectangles: edges in every direction, (height, width, 3), 0..255."""
    rows, columns = np.mgrid[0:height, 0:width]
    plane = 128 + 60 * np.sin(columns / 7) * np.cos(rows / 9)
    plane[height // 3 : height // 2, width // 4 : width // 2] = 210
    return np.repeat(plane[:, :, None], 3, axis=2).astype(np.float32)


def camera_noise(scene: Floats, generator: np.random.Generator) -> Floats:
    """White noise of the variance GAIN * signal + READ, in levels."""
    deviation = np.sqrt(GAIN * scene / 255 + READ) * 255
    noise: Floats = generator.standard_normal(scene.shape, dtype=np.float32) * deviation
    return noise


def smooth(noise: Floats) -> Floats:
    """Noise averaged over 3x3 pixels: correlated to its neighbours."""
    places = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    mean: Floats = np.mean([np.roll(noise, place, (0, 1)) for place in places], axis=0)
    return mean


def in_bytes(values: NDArray[np.floating]) -> Bytes:
    written: Bytes = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return written


def shots(scene: Floats, count: int, *, seed: int = 0) -> list[Bytes]:
    """Shots of a scene with white noise, rounded to 8 bits."""
    generator = np.random.default_rng(seed)
    return [in_bytes(scene + camera_noise(scene, generator)) for _ in range(count)]


def correlated_shots(scene: Floats, count: int, *, seed: int = 0) -> list[Bytes]:
    generator = np.random.default_rng(seed)
    return [in_bytes(scene + smooth(camera_noise(scene, generator))) for _ in range(count)]
