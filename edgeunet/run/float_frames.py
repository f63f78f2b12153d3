"""Bundles for float frames, run on bytes: the space makes floats of frames, this rounds answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeunet.bundle.manifest import Manifest
from edgeunet.specs import Array, Task


class Rounding:
    """Frames and label maps of a bundle for float frames, rounded into arrays made once.

    A tie goes to the even number, as the graph of a bundle for bytes has it.
    """

    def __init__(self, manifest: Manifest) -> None:
        size = (manifest.height, manifest.width)
        self._bytes: dict[str, Array] = {
            output.name: output.spec(*size).empty()
            for output in manifest.outputs
            if output.task is not Task.CLASSIFY
        }

    def of(self, answers: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return the answers in bytes, overwriting the floats; probabilities stay as they are."""
        for name, array in self._bytes.items():
            floats = answers[name]
            np.rint(floats, out=floats)
            np.copyto(array, floats, casting="unsafe")
        return {**answers, **self._bytes}
