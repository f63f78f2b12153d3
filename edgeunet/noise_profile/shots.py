"""Measure noise as differences between shots of a static scene, one shot at a time.

The previous shot and running sums are kept, so memory does not grow with the number of shots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.noise_profile.motion import (
    BLOCK,
    MOST_MOVED,
    Change,
    change_between,
    grown,
    without_light,
)
from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.noise_profile.sums import NoiseSums
from edgeunet.pixels import Bytes, Floats

SMALLEST_SIDE = 2 * BLOCK
"""Of a shot, in pixels."""


_MOST_DISPLACED = 0.05
_NOTED_LEVELS = 2.0
# Side in pixels of the blocks that codecs repeat, and the share of them that gives a warning.
_CODED = 16
_NOTED_REPEATED = 0.1

_HINT = "fix camera and scene so that nothing moves, or measure shots in which nothing does"


@dataclass(frozen=True)
class _Shot:
    image: Bytes
    floats: Floats
    name: str


class StaticShots:
    """Collects shots of one scene; ``profile`` returns their noise."""

    def __init__(self) -> None:
        self._sums = NoiseSums()
        self._before: _Shot | None = None
        self._total: Floats | None = None
        self._shots = 0
        self._same = 0
        self._light = (0.0, "")
        self._moved = (0.0, "")
        self._repeated: list[float] = []

    def add(self, image: Bytes, name: str) -> None:
        """Add a shot, (H, W, 3) uint8 RGB; all have one size.

        name: for messages.
        Raises SourceError when the scene or the camera moved since the previous shot.
        """
        shot = _Shot(image, image.astype(np.float32), name)
        before = self._before
        if before is not None and np.array_equal(before.image, image):
            self._same += 1
            self._repeated.append(1.0)
            return
        self._before = shot
        self._shots += 1
        if before is None or self._total is None:
            self._total = shot.floats.copy()
            return
        change = change_between(before.floats, shot.floats)
        self._judge(change, before.name, name)
        self._note_repetition(before, shot)
        self._total += shot.floats
        second = without_light(before.floats, shot.floats, change.light)
        residual = (second - before.floats) / np.float32(math.sqrt(2))
        residual -= residual.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        counted = ~grown(change.moved, *image.shape[:2])
        # The mean of all shots so far is the best estimate of the scene.
        self._sums.add(self._total / np.float32(self._shots), residual, counted)

    @property
    def shots(self) -> int:
        """How many shots there are that differ from the one before."""
        return self._shots

    def profile(self, source: str) -> NoiseProfile:
        """Return the noise. Raises SourceError for fewer than two different shots."""
        if self._shots < 2 or self._before is None:
            raise SourceError(
                f"{source!r} has only {self._same + self._shots} shots, and all are the same",
                hint="give two or more shots of a static scene, each exposed anew",
            )
        size = (self._before.image.shape[0], self._before.image.shape[1])
        return self._sums.profile(source, "temporal", self._shots, size)

    def warnings(self) -> list[str]:
        """Return messages about the shots for the user."""
        lines = []
        if self._same:
            lines.append(f"{_shots(self._same)} the same as the one before, and left out")
        share, where = self._moved
        if share:
            lines.append(f"something moved {where}: up to {share:.1%} of the picture is left out")
        levels, where = self._light
        if abs(levels) > _NOTED_LEVELS:
            lines.append(
                f"the brightness changes by {levels:+.1f} levels {where}; it is taken out, but "
                "better fix exposure and light"
            )
        repeated = float(np.mean(self._repeated)) if self._repeated else 0.0
        if repeated > _NOTED_REPEATED:
            lines.append(
                f"{repeated:.0%} of the picture is repeated from shot to shot, as a video codec "
                "does: the noise in each shot is stronger than measured"
            )
        return lines

    def _judge(self, change: Change, before: str, name: str) -> None:
        where = f"between {before} and {name}"
        if change.displaced > _MOST_DISPLACED:
            pixels = math.hypot(*change.displacement)
            raise SourceError(
                f"the picture moves by about {pixels:.1f} pixels {where}: that is "
                f"{change.displaced:.0%} of their difference, and not noise",
                hint=_HINT,
            )
        share = 1.0 if change.different else float(change.moved.mean())
        if share > MOST_MOVED:
            raise SourceError(
                f"the scene is not static: {share:.0%} of the picture changes {where} by more "
                "than noise",
                hint=_HINT,
            )
        if share > self._moved[0]:
            self._moved = (share, where)
        if abs(change.brightness) > abs(self._light[0]):
            self._light = (change.brightness, where)

    def _note_repetition(self, before: _Shot, shot: _Shot) -> None:
        """Record the share of blocks in which no pixel changed, as happens in coded clips.

        Blocks that are black or white throughout do not count.
        """
        height, width = (side // _CODED * _CODED for side in shot.image.shape[:2])
        shape = (height // _CODED, _CODED, width // _CODED, _CODED * 3)
        now = shot.image[:height, :width].reshape(shape)
        then = before.image[:height, :width].reshape(shape)
        open_ = ((now > 0) & (now < 255)).any(axis=(1, 3))
        if open_.any():
            self._repeated.append(float((now == then).all(axis=(1, 3))[open_].mean()))


def _shots(count: int) -> str:
    return "1 shot is" if count == 1 else f"{count} shots are"
