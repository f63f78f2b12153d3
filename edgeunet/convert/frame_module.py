"""The network behind a camera's frames: frames in, frames and label maps out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeunet.models.network import Network
from edgeunet.recipes import Recipe
from edgeunet.specs import Array, FrameType, Task


class FrameModule(nn.Module):
    """Maps ``frame`` (1, H, W, 3) uint8 BGR to one answer per pathway, in the recipe's order.

    denoise: (1, H, W, 3) uint8 BGR.
    segment: (1, H, W) uint8 class index.
    classify: (1, classes) float32 probabilities.

    With float frames, for engines without bytes, all three are float32: the frame has values
    0..255, the denoised one is clipped to that range and not rounded, and class indices are whole
    numbers.

    The network must already be in BGR order (``Network.reverse_image_channels``), so that no
    channel is swapped per frame. The decoder and the image residual read the uint8 frame again,
    because a float copy would be held across the whole network.
    """

    def __init__(
        self, network: Network, recipe: Recipe, frame_type: FrameType = FrameType.UINT8
    ) -> None:
        super().__init__()
        self.network = network
        self.frame_type = frame_type
        self._tasks = {pathway.output: pathway.head for pathway in recipe.pathways}
        self.image_residual = recipe.network.image_residual
        self._in_bytes = frame_type is FrameType.UINT8

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        finished = {name: answer for name, _, answer in self.answers(frame)}
        return tuple(finished[name] for name in self._tasks)

    def answers(self, frame: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield (output name, float result of its head, the answer made from it)."""
        for name, y in self.network.heads(planes(frame), reread=lambda: planes(frame)):
            yield name, y, self.finish(self._tasks[name], y, frame)

    def finish(self, task: Task, y: Tensor, frame: Tensor) -> Tensor:
        """Return the answer made from a head's float result."""
        if task is Task.DENOISE:
            pixels = (y.permute(0, 2, 3, 1) * 255.0).to(torch.float32)
            if self.image_residual:
                pixels = pixels + frame.to(torch.float32)
            clipped = pixels.clamp(0.0, 255.0)
            return clipped.round().to(torch.uint8) if self._in_bytes else clipped
        if task is Task.SEGMENT:
            # TensorRT casts only floats to uint8.
            labels = y.argmax(dim=1).to(torch.float32)
            return labels.to(torch.uint8) if self._in_bytes else labels
        return torch.softmax(y.to(torch.float32), dim=1)


class TorchReference:
    """A network in torch FP32, as ``parity.Reference`` wants it."""

    title = "torch FP32"

    def __init__(self, module: FrameModule, recipe: Recipe) -> None:
        # Before rounding, see `parity.Reference`.
        self._module = FrameModule(module.network, recipe, FrameType.FLOAT32)

    def answers(self, image: NDArray[np.uint8]) -> Iterator[tuple[str, Array, Array]]:
        """See ``parity.Reference``."""
        with torch.inference_mode():
            for name, floats, answer in self._module.answers(torch.from_numpy(image[None])):
                yield name, floats.numpy(), answer.numpy()

    def in_doubles(self) -> None:
        """None: torch sums in a tree, which loses no digits that matter."""


def planes(frame: Tensor) -> Tensor:
    """Return (1, H, W, 3) of 0..255 as (1, 3, H, W) float32 of 0..1."""
    return frame.to(torch.float32).permute(0, 3, 1, 2) * (1.0 / 255.0)
