"""A recipe with its weights in torch FP32, the reference for every bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeunet.errors import WeightsError
from edgeunet.evaluate.backends import Answer, Head, head_of
from edgeunet.evaluate.protocol import NoiseKind, Planes
from edgeunet.models import build_network
from edgeunet.models.weights import load_weights
from edgeunet.network_facts import NetworkFacts
from edgeunet.pixels import as_floats
from edgeunet.recipes import Recipe
from edgeunet.specs import Array, Task


class TorchBackend:
    """The network in torch on the CPU.

    The denoised image has the input's dtype, as with a bundle.
    """

    engine = "torch"
    precision = "fp32"
    kinds = (NoiseKind.FLOAT, NoiseKind.UINT8)
    scale = 1

    def __init__(
        self, recipe: Recipe, weights: Path, *, frame: tuple[int, int] | None = None
    ) -> None:
        """Build the network and load its weights.

        frame: (height, width) that images are cropped to, for comparisons; None for any size.
        """
        self.name = recipe.name
        self.network: NetworkFacts = recipe
        self.weights = weights.name
        self.frame = frame
        self.heads = tuple(
            Head.of(pathway.output, pathway.head, pathway.labels) for pathway in recipe.pathways
        )
        self._network = build_network(recipe).eval()
        load_weights(self._network, weights)

    @property
    def remembers(self) -> bool:
        return self._network.recurrence is not None

    def step(self, image: Planes, memory: Any) -> tuple[Answer, Any]:
        with torch.inference_mode():
            outputs, after = self._network.step(_batch(image), memory)
        return self._answer(image, outputs), after

    def run(self, image: Planes) -> Answer:
        """Run the network on one image. Raises WeightsError when an output is not finite."""
        with torch.inference_mode():
            outputs = self._network(_batch(image))
        return self._answer(image, outputs)

    def _answer(self, image: Planes, outputs: Mapping[str, torch.Tensor]) -> Answer:
        found: dict[Task, Array] = {}
        with torch.inference_mode():
            for task in Task:
                head = head_of(self, task)
                if head is None:
                    continue
                y = outputs[head.output][0]
                if not torch.isfinite(y).all():
                    raise WeightsError(
                        f"the network's {head.output!r} is not finite with {self.weights}",
                        hint="its weights are unusable: train again, or give others",
                    )
                found[task] = _finished(task, y, in_bytes=image.dtype == np.uint8)
        return Answer(found.get(Task.DENOISE), found.get(Task.SEGMENT), found.get(Task.CLASSIFY))

    def close(self) -> None:
        return None


def _batch(image: Planes) -> torch.Tensor:
    return torch.from_numpy(as_floats(image))[None]


def _finished(task: Task, y: torch.Tensor, *, in_bytes: bool) -> Array:
    if task is Task.SEGMENT:
        return y.argmax(dim=0).to(torch.uint8).numpy()
    if task is Task.CLASSIFY:
        return torch.softmax(y, dim=0).numpy()
    pixels = y.clamp(0, 1)
    if in_bytes:
        pixels = pixels.mul(255).round().to(torch.uint8)
    return pixels.numpy()
