"""Parity of a network that remembers: on the first frame of a clip, and on the third."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edgeunet.convert.parity import ParityFigure, Sheet, check_parity
from edgeunet.convert.remembering_frame import FLOATS, RememberingParts
from edgeunet.network_facts import NetworkFacts
from edgeunet.recipes import Recipe
from edgeunet.specs import COUNT, FRAME, FUSED, PREVIOUS, Array, Precision

# Each frame of a clip is moved by so many rows and columns against the one before, and has noise.
_MOTION = (1, 3)
_SIGMA = 10.0
_FRAMES = 3
LATER = ", third frame"
"""Ends the name of what is compared on the third frame of a clip."""


class RememberingRunner(Protocol):
    """What is checked: an executor of a bundle that remembers frames."""

    def run(self, image: NDArray[np.uint8]) -> Mapping[str, Array]: ...

    def restart(self) -> None: ...

    def memory(self) -> dict[str, Array]: ...


class RememberingReference:
    """A network that remembers in torch FP32, as ``parity.Reference`` wants it.

    memory: that of the frame before, as an executor keeps it; empty for a first frame.
    """

    title = "torch FP32"

    def __init__(self, parts: RememberingParts, recipe: Recipe) -> None:
        self._parts, self._recipe = parts, recipe
        self.memory: Mapping[str, Array] = {}

    def answers(self, image: NDArray[np.uint8]) -> Iterator[tuple[str, Array, Array]]:
        """See ``parity.Reference``."""
        height, width = image.shape[:2]
        multiple = 1 << self._recipe.network.levels
        rows, columns = (-(-side // multiple) * multiple for side in (height, width))
        padded = np.zeros((1, rows, columns, 3), np.uint8)
        padded[0, :height, :width] = image
        nothing = {
            PREVIOUS: np.zeros_like(padded),
            COUNT: np.zeros((1, 1, rows // 2, columns // 2), np.uint8),
            FUSED: np.zeros_like(padded),
        }
        given = {FRAME: padded, **nothing, **self.memory}
        with torch.inference_mode():
            made = self._parts.run({name: torch.from_numpy(a) for name, a in given.items()})
        for pathway in self._recipe.pathways:
            floats, answer = made[f"{pathway.output}{FLOATS}"], made[pathway.output]
            if answer.ndim > 2:
                answer, floats = answer[:, :height, :width], floats[..., :height, :width]
            yield pathway.output, floats.numpy(), answer.numpy()


def check_clips(
    reference: RememberingReference,
    runner: RememberingRunner,
    network: NetworkFacts,
    precision: Precision,
    sheets: Sequence[Sheet],
) -> list[ParityFigure]:
    """Run a clip made of every sheet, and return the figures of its first and third frame.

    torch gets the memory that the runner had before the frame, so that one byte that is rounded
    otherwise does not count in all later frames. Raises what ``check_parity`` raises.
    """
    figures = []
    for sheet in sheets:
        runner.restart()
        for number, image in enumerate(_clip(sheet.image)):
            if number not in (0, _FRAMES - 1):
                runner.run(image)
                continue
            reference.memory = runner.memory()
            frame = Sheet(image, sheet.fields)
            found = check_parity(reference, runner.run, network, precision, [frame])
            suffix = LATER if number else ""
            figures += [replace(figure, frame=f"{figure.frame}{suffix}") for figure in found]
    return figures


def _clip(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    generator = np.random.default_rng(0)
    frames = [image]
    for number in range(1, _FRAMES):
        moved = np.roll(image, (number * _MOTION[0], number * _MOTION[1]), (0, 1))
        noisy = moved + generator.normal(0, _SIGMA, moved.shape)
        frames.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return frames
