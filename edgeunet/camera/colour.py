"""Colour and tone: between a sensor's linear light and the values of an sRGB file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeunet.pixels import LUMA_WEIGHTS, Floats, luma

# Linear sRGB to CIE XYZ under D65 (IEC 61966-2-1).
_SRGB_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)

# CIE XYZ to the camera's own colours under D65, times 10000: ColorMatrix2 of Adobe's DNG
# profiles, as dcraw lists them.
_XYZ_TO_CAMERA = {
    "Canon EOS 5D Mark II": (4716, 603, -830, -7798, 15474, 2480, -1496, 1937, 6651),
    "Canon EOS 5D Mark III": (6722, -635, -963, -4287, 12460, 2028, -908, 2162, 5668),
    "Canon EOS 6D": (7034, -804, -1014, -4420, 12564, 2058, -851, 1994, 5758),
    "Nikon D800": (7866, -2108, -555, -4869, 12483, 2681, -1176, 2069, 7501),
    "Sony ILCE-7R": (4913, -541, -202, -6130, 13513, 2906, -1564, 2151, 7183),
}

_TABLE_POINTS = 1025

# Scales of blue - luma and red - luma (BT.601), so that both have a range of 1.
_BLUE_SCALE = np.float32(0.564)
_RED_SCALE = np.float32(0.713)


def decode_srgb(values: Floats) -> Floats:
    """Return linear light, 0..1, of sRGB values, 0..1 (IEC 61966-2-1)."""
    linear: Floats = np.where(
        values <= 0.04045, values / 12.92, ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4
    ).astype(np.float32)
    return linear


def encode_srgb(linear: Floats) -> Floats:
    """Return the sRGB values, 0..1, of linear light, 0..1 (IEC 61966-2-1)."""
    values: Floats = np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-8) ** (1 / 2.4) - 0.055
    ).astype(np.float32)
    return values


def apply_tone(values: Floats, strength: float) -> Floats:
    """Return ``values`` after an S-curve: ``(1 - s) x + s (3 x^2 - 2 x^3)``.

    Strength 1 is the curve of Brooks et al. (CVPR 2019). values: any shape, 0..1, after the
    sRGB curve. strength: 0..1.
    """
    s = np.float32(strength)
    curved: Floats = values * (1 - s) + s * values * values * (3 - 2 * values)
    return curved


def undo_tone(values: Floats, strength: float) -> Floats:
    """Return the values whose ``apply_tone`` is ``values``, by interpolation in a table."""
    if strength == 0:
        return values
    points = np.linspace(0, 1, _TABLE_POINTS, dtype=np.float32)
    found: Floats = np.interp(values, apply_tone(points, strength), points).astype(np.float32)
    return found


def camera_matrix(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 3) matrix from linear sRGB to a camera's colours.

    shares: one weight per known camera; their sum is 1. The matrix is the weighted mean of the
    cameras' own. Every row has the sum 1, so that grey stays grey.
    """
    stack = np.array(list(_XYZ_TO_CAMERA.values()), np.float64).reshape(-1, 3, 3)
    matrix = np.tensordot(shares, stack, axes=1) @ _SRGB_TO_XYZ
    normalised: NDArray[np.float64] = matrix / matrix.sum(axis=1, keepdims=True)
    return normalised


def known_cameras() -> int:
    """Return the number of cameras that ``camera_matrix`` mixes."""
    return len(_XYZ_TO_CAMERA)


def apply_matrix(image: Floats, matrix: NDArray[Any]) -> Floats:
    """Return an image (H, W, 3) with every pixel's colour multiplied by a (3, 3) matrix."""
    product: Floats = image @ matrix.T.astype(np.float32)
    return product


def undo_white_balance(image: Floats, gains: NDArray[np.float64]) -> Floats:
    """Return an image (H, W, 3) divided by its white balance gains (3,).

    Values near white are left bright, because clipped highlights would get a colour. The blend is
    that of Brooks et al. (CVPR 2019): ``max(1/g, (1 - m) / g + m)`` with ``m = (max(x - t, 0) / (1
    - t))^2``, where x is the pixel's mean and t is 0.9.
    """
    grey = image.mean(axis=2, keepdims=True)
    mask = (np.maximum(grey - np.float32(0.9), 0) / np.float32(0.1)) ** 2
    inverse = (1 / gains).astype(np.float32)
    factor = np.maximum(inverse, (1 - mask) * inverse + mask)
    divided: Floats = image * factor
    return divided


def to_luma_chroma(image: Floats) -> Floats:
    """Return (H, W, 3) RGB as luma and two colour differences (BT.601, as JPEG has them)."""
    y = luma(image)
    blue = (image[:, :, 2] - y) * _BLUE_SCALE
    red = (image[:, :, 0] - y) * _RED_SCALE
    return np.stack([y, blue, red], axis=2)


def from_luma_chroma(planes: Floats) -> Floats:
    """Return the RGB image whose ``to_luma_chroma`` is ``planes``."""
    y = planes[:, :, 0]
    blue = y + planes[:, :, 1] / _BLUE_SCALE
    red = y + planes[:, :, 2] / _RED_SCALE
    of_red, of_green, of_blue = LUMA_WEIGHTS.astype(np.float32)
    green = (y - of_red * red - of_blue * blue) / of_green
    return np.stack([red, green, blue], axis=2)
