"""How a frame is turned and mirrored to stand upright, by its file's display matrix."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeunet.specs import Image

_MATRIX_BYTES = 36
_ONE = 1 << 16


@dataclass(frozen=True)
class Turn:
    """Rows and columns change places first, then rows and columns are reversed.

    oblique: the file asks for an angle that is no quarter turn, which is not done.
    """

    swaps: bool = False
    reverses_rows: bool = False
    reverses_columns: bool = False
    oblique: bool = False

    def applied(self, image: Image) -> Image:
        """Return an image (H, W, 3) uint8 upright; the image itself where nothing is to be done."""
        if not (self.swaps or self.reverses_rows or self.reverses_columns):
            return image
        turned = image.transpose(1, 0, 2) if self.swaps else image
        rows = slice(None, None, -1 if self.reverses_rows else 1)
        columns = slice(None, None, -1 if self.reverses_columns else 1)
        return np.ascontiguousarray(turned[rows, columns])


def turn_of(frame: Any) -> Turn:
    """Return how PyAV's VideoFrame is to be turned."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) >= _MATRIX_BYTES:
            return turn_of_matrix(bytes(data)[:_MATRIX_BYTES])
    return Turn()


def turn_of_matrix(matrix: bytes) -> Turn:
    """Return the turn of a display matrix, nine int32 as FFmpeg's display.h describes them.

    It takes column x and row y of a stored pixel to column ``a x + c y`` and row ``b x + d y``.
    """
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if not b and not c and abs(a) == abs(d) == _ONE:
        return Turn(reverses_rows=d < 0, reverses_columns=a < 0)
    if not a and not d and abs(b) == abs(c) == _ONE:
        return Turn(swaps=True, reverses_rows=b < 0, reverses_columns=c < 0)
    return Turn(oblique=True)
