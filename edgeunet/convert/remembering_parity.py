"""Parity of a network that remembers: on the first frame of a clip, and on a later one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from edgeunet.contracts import ForeignNetwork
from edgeunet.convert.parity import ParityFigure, Reference, Sheet, check_parity
from edgeunet.convert.remembering_frame import FLOATS, RememberingParts
from edgeunet.network_facts import NetworkFacts
from edgeunet.recipes import Recipe
from edgeunet.specs import COUNT, FRAME, FUSED, PREVIOUS, Array, Precision

# Each frame of a clip is moved by so many rows and columns against the one before, and has noise.
_MOTION = (1, 3)
_SIGMA = 10.0
_FRAMES = 3
_ORDINALS = {2: "third", 3: "fourth", 4: "fifth", 5: "sixth", 6: "seventh", 7: "eighth"}


class RememberingRunner(Protocol):
    """What is checked: an executor of a bundle that remembers frames."""

    def run(self, image: NDArray[np.uint8]) -> Mapping[str, Array]: ...

    def restart(self) -> None: ...

    def memory(self) -> dict[str, Array]: ...

    def remember(self, kept: Mapping[str, Array]) -> None: ...


@runtime_checkable
class ClipReference(Reference, Protocol):
    """A network that remembers, as it was given."""

    def follow(self, earlier: Sequence[NDArray[np.uint8]], kept: Mapping[str, Array]) -> None:
        """Take what came before the next frame that is asked for.

        earlier: the frames of the clip before it. kept: what an executor kept of them.
        """
        ...


class RememberingReference:
    """A network that remembers in torch FP32, as ``parity.Reference`` wants it.

    memory: that of the frame before, as an executor keeps it; empty for a first frame.
    """

    title = "torch FP32"

    def __init__(self, parts: RememberingParts, recipe: Recipe) -> None:
        self._parts, self._recipe = parts, recipe
        self.memory: Mapping[str, Array] = {}

    def follow(self, earlier: Sequence[NDArray[np.uint8]], kept: Mapping[str, Array]) -> None:
        """See ``ClipReference``. The memory is the executor's, so that rounding does not add up."""
        self.memory = kept

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

    def in_doubles(self) -> None:
        """None: torch sums in a tree, which loses no digits that matter."""


def check_clips(
    reference: ClipReference,
    runner: RememberingRunner,
    network: NetworkFacts,
    precision: Precision,
    sheets: Sequence[Sheet],
) -> list[ParityFigure]:
    """Run a clip made of every sheet, and return the figures of its first and last frame.

    The clip has three frames, or more where a network reads more, so that none is repeated for its
    last frame. Raises what ``check_parity`` raises.
    """
    figures = []
    last = _FRAMES - 1
    if isinstance(network, ForeignNetwork):
        last = max(last, network.earlier)
    for sheet in sheets:
        runner.restart()
        clip = clip_of(sheet.image, last + 1)
        for number, image in enumerate(clip):
            if number not in (0, last):
                runner.run(image)
                continue
            reference.follow(clip[:number], runner.memory())
            frame = Sheet(image, sheet.fields)
            found = check_parity(reference, runner.run, network, precision, [frame])
            suffix = f", {_ORDINALS.get(last, f'{last + 1}th')} frame" if number else ""
            figures += [replace(figure, frame=f"{figure.frame}{suffix}") for figure in found]
    return figures


def after_a_clip(sheet: Sheet, runner: RememberingRunner, floats: RememberingRunner) -> Sheet:
    """Give two executors one memory, that of a clip of a sheet, and return the clip's last frame.

    The clip goes through ``runner``.
    """
    *earlier, last = clip_of(sheet.image, _FRAMES)
    runner.restart()
    for image in earlier:
        runner.run(image)
    floats.remember(runner.memory())
    return Sheet(last, sheet.fields)


def clip_of(image: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """Return a clip of so many frames, which begins with a picture that moves and has noise."""
    generator = np.random.default_rng(0)
    frames = [image]
    for number in range(1, count):
        moved = np.roll(image, (number * _MOTION[0], number * _MOTION[1]), (0, 1))
        noisy = moved + generator.normal(0, _SIGMA, moved.shape)
        frames.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return frames
