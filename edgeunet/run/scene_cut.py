"""Tells that a frame shows another scene than the one before it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SCENE = "scene"
"""The name in a memory of what the next frame is compared with, ``SceneCut.seen``."""

_BLOCK = 16
# Of a block's mean, in 8-bit levels. The difference of two such means has a standard deviation of
# 5.3 in white noise of sigma 60.
_MOVED = 12.0
_SHARE = 0.5


class SceneCut:
    """Compares the means of blocks of 16x16 pixels with those of the frame before.

    It is a cut when more than half of the blocks changed by more than 12 levels beyond the
    change of the whole frame's mean, so a lamp that is switched on is none.
    """

    def __init__(self, *, looks: bool = True) -> None:
        """looks: whether it compares at all; a network without a memory has no use for it."""
        self._looks = looks
        self._before: npt.NDArray[np.float32] | None = None

    @property
    def seen(self) -> npt.NDArray[np.float32] | None:
        """What the next frame is compared with: (H // 16, W // 16) float32, 0..255; None if it is
        a first one, or nothing is compared.
        """
        return self._before

    def go_on(self, seen: npt.NDArray[np.float32] | None) -> None:
        """Compare the next frame with what ``seen`` was after another one."""
        self._before = seen

    def forget(self) -> None:
        """Take the next frame for a first one."""
        self._before = None

    def is_cut(self, image: npt.NDArray[np.uint8]) -> bool:
        """Return whether a frame, (H, W, 3) uint8, begins another scene. The first one does not."""
        if not self._looks:
            return False
        means, before = _block_means(image), self._before
        self._before = means
        if before is None:
            return False
        change = means - before
        # The middle one; np.median would load numpy.ma, over 1 MiB, while frames run.
        of_the_frame = np.sort(change, axis=None)[change.size // 2]
        moved = np.abs(change - of_the_frame) > _MOVED
        return bool(np.mean(moved) > _SHARE)


def blocks_of(height: int, width: int) -> tuple[int, int]:
    """Return how many rows and columns of whole blocks a frame has."""
    side = min(_BLOCK, height, width)
    return height // side, width // side


def _block_means(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the mean of every whole block of the green channel, (H // 16, W // 16) float32."""
    side = min(_BLOCK, *image.shape[:2])
    rows, columns = blocks_of(*image.shape[:2])
    green = image[: rows * side, : columns * side, 1]
    blocks = green.reshape(rows, side, columns, side)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32), np.float32)
