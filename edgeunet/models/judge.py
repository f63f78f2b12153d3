"""A small network that gives one value of 0..1 to each place, and clipping that lets it learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgeunet.models.blocks import conv3x3

_HIDDEN = 12
# With plain ReLU, all hidden channels of a judge were dead after 200 steps.
_LEAK = 0.1


class Judge(nn.Sequential):
    """Three convolutions at half of the size, from features to one value of 0..1 per place.

    It begins with 0 everywhere.
    """

    def __init__(self, features: int) -> None:
        last = conv3x3(_HIDDEN, 1)
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)
        super().__init__(
            conv3x3(features, _HIDDEN),
            nn.LeakyReLU(_LEAK),
            conv3x3(_HIDDEN, _HIDDEN),
            nn.LeakyReLU(_LEAK),
            last,
        )

    def forward(self, features: Tensor) -> Tensor:
        y = features
        for layer in self:
            y = layer(y)
        return within(y, learns=self.training)


def within(values: Tensor, *, learns: bool) -> Tensor:
    """Clip to 0..1. ``learns``: gradients pass that lead back into that range.

    Plain clipping has no gradient outside: a judge that trusts nothing would never learn to.
    """
    if not learns:
        return values.clamp(0.0, 1.0)
    clipped: Tensor = _Within.apply(values)  # type: ignore[no-untyped-call]
    return clipped


class _Within(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        leads_out = ((values <= 0) & (gradient > 0)) | ((values >= 1) & (gradient < 0))
        return gradient.masked_fill(leads_out, 0.0)
