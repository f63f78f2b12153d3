"""The network as a camera sees it: uint8 frames in, uint8 frames and label maps out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgeunet.models.network import Network
from edgeunet.recipes import Recipe
from edgeunet.specs import Task


class FrameModule(nn.Module):
    """``frame`` (1, H, W, 3) uint8 BGR in, one answer per pathway out, in the recipe's order.

    denoise: (1, H, W, 3) uint8 BGR. segment: (1, H, W) uint8 class index.
    classify: (1, classes) float32 probabilities.

    The network must already be in BGR order (``Network.reverse_image_channels``), so that no
    channel is swapped per frame. The decoder and the image residual read the uint8 frame
    again: a float copy of the frame would be held across the whole network.
    """

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self._tasks = {pathway.output: pathway.head for pathway in recipe.pathways}
        self.image_residual = recipe.network.image_residual

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        finished = {name: answer for name, _, answer in self.answers(frame)}
        return tuple(finished[name] for name in self._tasks)

    def answers(self, frame: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield (output, what its head says in floats, the answer made from it)."""
        for name, y in self.network.heads(_planes(frame), reread=lambda: _planes(frame)):
            yield name, y, self._finish(self._tasks[name], y, frame)

    def _finish(self, task: Task, y: Tensor, frame: Tensor) -> Tensor:
        if task is Task.DENOISE:
            pixels = (y.permute(0, 2, 3, 1) * 255.0).to(torch.float32)
            if self.image_residual:
                pixels = pixels + frame.to(torch.float32)
            return pixels.clamp(0.0, 255.0).round().to(torch.uint8)
        if task is Task.SEGMENT:
            # TensorRT makes uint8 only from a float, so the index takes that way.
            return y.argmax(dim=1).to(torch.float32).to(torch.uint8)
        return torch.softmax(y.to(torch.float32), dim=1)


def _planes(frame: Tensor) -> Tensor:
    """(1, H, W, 3) uint8, 0..255, to (1, 3, H, W) float32, 0..1."""
    return frame.to(torch.float32).permute(0, 3, 1, 2) * (1.0 / 255.0)
