"""The interface between the training loop and quantization-aware fine-tuning.

During a fine-tune, a network computes with the 8 bits of a later export. Its float weights are
trained and written. ``qat/exported_bits.py`` defines these 8 bits, and the loop gets it as a
``FakeQuantization``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
from torch import nn

from edgeunet.models.network import Network
from edgeunet.recipes import Recipe
from edgeunet.specs import Engine

_SHARE_OF_STEPS, _SHARE_OF_RATE = 20, 10


@dataclass(frozen=True)
class Quantization:
    """The 8 bits of one run, which stay the same until its end, also after resuming.

    factors: of channels, see graph/equalize.py.
    intervals: of every tensor that is stored in 8 bits, in execution order.
    """

    engine: Engine
    factors: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]


class FakeQuantization(Protocol):
    """Makes networks that compute in floats what their export computes in 8 bits."""

    def begin(self, network: Network) -> Quantization:
        """Choose the 8 bits for a network; what it computes stays the same.

        Raises RecipeError when there is nothing to quantize.
        """
        ...

    def form(self, network: Network, quantization: Quantization) -> Callable[[Network], nn.Module]:
        """Return a function that turns this network, or a copy, into one that computes in 8 bits.

        Its result has the inputs and outputs of ``Network``. Its parameters are the network's own
        convolutions; parameters that cannot be trained are frozen.
        """
        ...


def with_quantization(recipe: Recipe, target: Engine, steps: int | None) -> Recipe:
    """Return the recipe with the schedule of a short fine-tune for one engine's 8 bits.

    If [train] is such a schedule already, only the engine and the steps are replaced. Otherwise the
    fine-tune has a twentieth of the steps, unless given, a tenth of the learning rate, and all
    images in bytes, as a camera delivers them.
    """
    table = recipe.train
    if table is None:
        return recipe
    if table.quantized_for is not None:
        table = msgspec.structs.replace(table, quantized_for=target, steps=steps or table.steps)
    else:
        rate = table.learning_rate / _SHARE_OF_RATE
        table = msgspec.structs.replace(
            table,
            quantized_for=target,
            steps=steps or max(1, table.steps // _SHARE_OF_STEPS),
            learning_rate=rate,
            final_learning_rate=min(table.final_learning_rate, rate),
            in_bytes=1.0,
        )
    return msgspec.structs.replace(recipe, train=table)
