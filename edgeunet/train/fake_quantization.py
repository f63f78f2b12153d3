"""Quantization-aware fine-tuning: what the loop knows of it.

While it is fine-tuned, a network computes with the 8 bits that an export will give it; what is
learned and written are its ordinary float weights. What those 8 bits are is the export's matter
(``qat/exported_bits.py``): the loop is handed it as a ``FakeQuantization``.
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
    """The 8 bits of one run: they stay as they are until its end, over every resumption.

    factors: of channels, see graph/equalize.py. intervals: of every tensor that is stored in 8
    bits, in execution order.
    """

    engine: Engine
    factors: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]


class FakeQuantization(Protocol):
    """Makes networks that compute in floats what an export of theirs computes in 8 bits."""

    def begin(self, network: Network) -> Quantization:
        """Choose the 8 bits for a network as it is now; what it computes stays the same.

        Raises RecipeError when there is nothing to quantize.
        """
        ...

    def form(self, network: Network, quantization: Quantization) -> Callable[[Network], nn.Module]:
        """Return what makes, of this network or a copy of it, one that computes in 8 bits.

        The result takes and gives what ``Network`` does and has the network's own convolutions
        as parameters; parameters that nothing can be learned for are frozen.
        """
        ...


def with_quantization(recipe: Recipe, target: Engine, steps: int | None) -> Recipe:
    """Return the recipe with the schedule of a short fine-tune for one engine's 8 bits.

    Where its [train] is one already, target and steps alone are replaced. Else it is a twentieth
    of the steps, unless given, from a tenth of the learning rate, all images in bytes, as a
    camera hands them over.
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
