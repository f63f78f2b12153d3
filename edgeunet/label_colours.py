"""The colours that class numbers are drawn in, and the way back from colours to numbers."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeunet.specs import ClassLabel

VOID = 255
"""The number of pixels that belong to no class. The first number after the classes is void too."""

Colour = tuple[int, int, int]

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def colour_table(labels: Sequence[ClassLabel]) -> NDArray[np.uint8]:
    """Return BGR colours by class number, (256, 3) uint8.

    Classes have the colours of the recipe. When no class has one, hues are spread out.
    """
    table = np.zeros((256, 3), dtype=np.uint8)
    coloured = any(any(label.colour) for label in labels)
    for index in range(256):
        if coloured:
            red, green, blue = labels[index].colour if index < len(labels) else _WHITE
        else:
            # Steps of the golden ratio around the colour circle keep the hues apart.
            hue = (index * 0.61803399) % 1.0
            red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.7, 0.95))
        table[index] = (blue, green, red)
    return table


def numbers_by_colour(labels: Sequence[ClassLabel]) -> dict[Colour, int]:
    """Return RGB colour -> class number, for the colours that only one class is drawn in."""
    drawn = [(int(r), int(g), int(b)) for b, g, r in colour_table(labels)[: len(labels)]]
    return {colour: number for number, colour in enumerate(drawn) if drawn.count(colour) == 1}


def numbers_of(
    colours: NDArray[np.uint8], labels: Sequence[ClassLabel]
) -> NDArray[np.uint8] | Colour:
    """Return the class numbers (H, W) uint8 of an image drawn in the classes' colours.

    colours: (H, W, 3) uint8 RGB. White and black are void where no class has them.
    Returns a colour instead, the first that is no class's, when there is one.
    """
    known = numbers_by_colour(labels)
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    values, places = np.unique(packed, return_inverse=True)
    numbers = np.full(len(values), VOID, np.uint8)
    found = False
    for index, value in enumerate(values.tolist()):
        colour = (value >> 16, value >> 8 & 255, value & 255)
        if colour in known:
            numbers[index] = known[colour]
            found = True
        elif colour not in (_WHITE, _BLACK) or any(label.colour == colour for label in labels):
            return colour
    if not found:
        first = int(values[0])
        return (first >> 16, first >> 8 & 255, first & 255)
    return numbers[places].reshape(colours.shape[:2])
