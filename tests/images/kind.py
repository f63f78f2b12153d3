"""A kind of image file: its bytes, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass

from tests.images.image_writers import (
    Bytes,
)


@dataclass(frozen=True)
class Kind:
    """A file and what it shows.

    truth: (H, W, 3) uint8 RGB; None for a file that is refused. refused: part of the message.
    tolerance: largest difference, of a lossy format or of rounded colour arithmetic.
    without_pillow: OpenCV alone reads it; otherwise it is refused there.
    """

    name: str
    suffix: str
    data: bytes
    truth: Bytes | None
    tolerance: int = 0
    refused: str = ""
    without_pillow: bool = True
