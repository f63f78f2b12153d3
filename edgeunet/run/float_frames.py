"""Rounds the outputs of a bundle for float frames to bytes.

The ``Space`` converts the uint8 frame to floats.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeunet.bundle.manifest import Manifest
from edgeunet.specs import Array, Task


class Rounding:
    """Rounds images and label maps of a bundle for float frames, into arrays that are made once.

    Ties go to the even number, as in the graph of a bundle for uint8 frames.
    """

    def __init__(self, manifest: Manifest) -> None:
        size = (manifest.height, manifest.width)
        self._bytes: dict[str, Array] = {
            output.name: output.spec(*size).empty()
            for output in manifest.outputs
            if output.task is not Task.CLASSIFY
        }

    def of(self, answers: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return the outputs as uint8; probabilities stay float32.

        The float arrays are overwritten.
        """
        for name, array in self._bytes.items():
            floats = answers[name]
            np.rint(floats, out=floats)
            np.copyto(array, floats, casting="unsafe")
        return {**answers, **self._bytes}
