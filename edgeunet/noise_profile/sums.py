"""Running sums of everything that is measured of noise."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from edgeunet.camera.colour import to_luma_chroma
from edgeunet.names import shown
from edgeunet.noise_profile.curves import CurveSums, Mask
from edgeunet.noise_profile.profile import SCHEMA_VERSION, Curves, NoiseProfile
from edgeunet.noise_profile.texture import TextureSums
from edgeunet.pixels import Floats


class NoiseSums:
    """Running sums over images of noise, in levels of 0..255."""

    def __init__(self) -> None:
        self._colours = [CurveSums() for _ in range(3)]
        self._planes = [CurveSums() for _ in range(3)]
        self._texture = TextureSums()

    def add(self, signal: Floats, residual: Floats, counted: Mask | None = None) -> None:
        """Add the noise of one image.

        signal, residual: (H, W, 3) float32 RGB, 0..255.
        counted: (H, W) mask of the pixels that count; None for all.
        """
        for channel, curve in enumerate(self._colours):
            curve.add(signal[:, :, channel], residual[:, :, channel], counted)
        luma = to_luma_chroma(signal)[:, :, 0]
        planes = np.ascontiguousarray(to_luma_chroma(residual).transpose(2, 0, 1))
        for plane, curve in zip(planes, self._planes, strict=True):
            plane[~curve.add(luma, plane, counted)] = 0
        self._texture.add(planes)

    def add_pair(self, first: Floats, second: Floats) -> None:
        """Add two shots of one scene, (H, W, 3) float32, RGB, 0..255."""
        self.add((first + second) / np.float32(2), (second - first) / np.float32(math.sqrt(2)))

    def profile(
        self,
        source: str,
        method: Literal["temporal", "spatial", "pairs"],
        shots: int,
        size: tuple[int, int],
    ) -> NoiseProfile:
        """Return the profile. size: (height, width) of a shot."""
        blur = 1 / math.sqrt(shots) if method == "temporal" else 0.0
        red, green, blue = (sums.curve(blur) for sums in self._colours)
        luma, cb, cr = (sums.curve(blur) for sums in self._planes)
        return NoiseProfile(
            schema=SCHEMA_VERSION,
            source=shown(source),
            method=method,
            shots=shots,
            height=size[0],
            width=size[1],
            curves=Curves(red=red, green=green, blue=blue, luma=luma, cb=cb, cr=cr),
            correlation=self._texture.correlations(),
            grid=self._texture.grid(),
            row_offsets=self._texture.row_offsets(),
            column_offsets=self._texture.column_offsets(),
        )
