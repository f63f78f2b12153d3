"""Networks with weights that a trained one could have: nothing zero, nothing one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from edgeunet.models import Network, build_network
from edgeunet.recipes import Recipe


def scattered(recipe: Recipe, *, scale: float = 1.0) -> Network:
    """Return an evaluation-mode network whose scales, gates and statistics are all random."""
    network = build_network(recipe)
    generator = torch.Generator().manual_seed(7)

    def draw(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("beta", "gamma")):
                parameter.copy_(0.3 * draw(parameter) + 0.2)
            elif ".norm" in name or name.endswith(("1.weight", "4.weight")):
                parameter.add_(0.2 * draw(parameter))
            parameter.mul_(scale)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.2 * draw(buffer))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + draw(buffer).abs())
    return network.eval()


@pytest.fixture
def scattered_network() -> Callable[..., Network]:
    return scattered
