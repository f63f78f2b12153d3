"""Applies a share of the denoising: a mix of the frame and the network's output."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import UsageError
from edgeunet.specs import Array, Image, Task

FULL = 1.0


def check_strength(strength: float) -> None:
    """Raise UsageError for a strength outside 0..1, or NaN."""
    if not 0.0 <= strength <= FULL:
        raise UsageError(
            f"{strength:g} is not a strength",
            hint="use a number from 0, the frame itself, to 1, the network's answer",
        )


class Blender:
    """Mixes frames with their denoised versions, in a buffer that is made once."""

    def __init__(self, strength: float, manifest: Manifest) -> None:
        """Prepare for frames of a bundle. Raises UsageError when it has no denoised output."""
        outputs = [
            output.name
            for output in manifest.outputs
            if output.task is Task.DENOISE and output.shape is None
        ]
        if not outputs:
            raise UsageError(
                f"{manifest.name} has no denoised output of the frame's size, which a strength is "
                "for",
                hint="leave --strength out, or run a bundle that denoises",
            )
        # Imported here, so that a run without OpenCV fails before its first frame.
        from edgeunet.media import opencv

        self._blend = opencv.blend
        self._strength = strength
        self._output = outputs[0]
        self._mixed: Image = np.empty((1, manifest.height, manifest.width, 3), np.uint8)

    def blended(self, frame: Image, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs with the denoised one, (1, H, W, 3) uint8 BGR, mixed with the frame.

        frame: (H, W, 3) uint8 BGR, the network's input.
        The next call overwrites the mixed frame.
        """
        denoised: Image = outputs[self._output]
        self._blend(frame, denoised[0], self._strength, self._mixed[0])
        return {**outputs, self._output: self._mixed}
