"""Noise: additive white Gaussian (sigma in 8-bit units, 0..255), and a camera sensor's."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import UsageError
from edgeunet.pixels import Bytes, Floats, as_bytes, as_floats

READ_DEVIATION = 0.26
"""Standard deviation of the log of cameras' read noise at a gain: see ``log_read_variance``."""

_Logarithms = TypeVar("_Logarithms", float, NDArray[np.float64])

MAX_SIGMA = 255.0


def check_noise(sigma: float, seed: int) -> None:
    """Raise UsageError when sigma or seed is out of range."""
    if not (math.isfinite(sigma) and 0.0 <= sigma <= MAX_SIGMA):
        raise UsageError(
            f"{sigma:g} is not a noise level", hint="sigma is in 8-bit units, 0 to 255, such as 25"
        )
    if seed < 0:
        raise UsageError(f"{seed} is not a seed", hint="use a number from 0")


def add_gaussian(clean: Floats, sigma: float | Floats, generator: np.random.Generator) -> Floats:
    """Return ``clean`` + noise as float32, not clipped (the literature's protocol).

    clean: any shape, float32, 0..1. sigma: one value, or an array that broadcasts.
    """
    noise = generator.standard_normal(clean.shape, dtype=np.float32)
    noise *= np.asarray(sigma, dtype=np.float32) / np.float32(255)
    return clean + noise


def add_gaussian_uint8(frame: Bytes, sigma: float, generator: np.random.Generator) -> Bytes:
    """Return ``frame`` + noise, rounded and clipped to 8 bits as a camera would hand it over.

    frame: any shape, uint8.
    """
    return as_bytes(add_gaussian(as_floats(frame), sigma, generator))


def as_handed_over(noisy: Floats) -> Floats:
    """Return a noisy image, 0..1 and beyond, rounded and clipped to 8-bit values."""
    return as_floats(as_bytes(noisy))


def add_camera(
    clean: Floats, gain: float | Floats, read: float | Floats, generator: np.random.Generator
) -> Floats:
    """Return ``clean`` with a sensor's noise as float32, not clipped: shot noise and read noise.

    The Poissonian-Gaussian model of Foi et al. (IEEE Trans. Image Processing 17, 2008), its
    normal approximation: variance = gain * signal + read, in units of the 0..1 signal. The
    signal is the pixel's stored value; no tone curve is undone.

    clean: any shape, float32, 0..1. gain, read: one value, or an array that broadcasts.
    """
    deviation = np.maximum(clean, 0) * np.asarray(gain, np.float32)
    deviation += np.asarray(read, np.float32)
    np.sqrt(deviation, out=deviation)
    noise = generator.standard_normal(clean.shape, dtype=np.float32)
    noise *= deviation
    return clean + noise


def draw_camera(
    gain: tuple[float, float], count: int, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return (gain, read) of ``count`` shots, (count,) float32 each, for ``add_camera``.

    The gain is drawn uniformly in its logarithm. The read noise is drawn as cameras have it at that
    gain (``log_read_variance``). Brooks et al. drew gains from 1e-4 to 1.2e-2.
    """
    log_gain = generator.uniform(math.log(gain[0]), math.log(gain[1]), count)
    log_read = log_read_variance(log_gain, generator.normal(0, READ_DEVIATION, count))
    return np.exp(log_gain).astype(np.float32), np.exp(log_read).astype(np.float32)


def read_variance(gain: float, deviation: float = 0.0) -> float:
    """Return the variance of the read noise of cameras at a gain above 0.

    gain, deviation: see ``log_read_variance``; the gain is not a logarithm here.
    """
    return math.exp(log_read_variance(math.log(gain), deviation))


def log_read_variance(log_gain: _Logarithms, deviation: _Logarithms) -> _Logarithms:
    """Return the natural logarithm of a camera's read noise: 2.18 log(gain) + 1.2 + deviation.

    Brooks et al. (CVPR 2019, "Unprocessing Images for Learned Raw Denoising") fitted the formula
    to cameras. Their deviations from it are normal, with the standard deviation READ_DEVIATION.

    log_gain: of the shot noise's variance per signal, for a signal of 0..1. deviation: this
    camera's. Both are natural logarithms.
    """
    return 2.18 * log_gain + 1.2 + deviation
