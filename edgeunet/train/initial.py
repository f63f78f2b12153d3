"""Start from the weights of another network: tensors with the same name and shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgeunet.errors import WeightsError
from edgeunet.files import sha256_of
from edgeunet.models.weights import read_tensors


@dataclass(frozen=True)
class Initial:
    """The initial weights of a run: the file, and how many tensors of the network it had."""

    file: str
    sha256: str
    matched: int
    tensors: int

    def __str__(self) -> str:
        return f"{self.file}: {self.matched} of {self.tensors} tensors"


@torch.no_grad()
def load_matching(network: nn.Module, path: Path) -> Initial:
    """Copy every tensor of the file whose name and shape the network has.

    A network with ``temporal`` reads more channels beside the image. Weights of one that reads the
    image alone are taken for the image, and the others become zero.

    Raises WeightsError when the file cannot be read, has no such tensor, or one that is not finite.
    """
    given, _ = read_tensors(path)
    wanted = {
        name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()
    }
    given = {n: _widened(t, wanted[n]) if n in wanted else t for n, t in given.items()}
    matching = {n: t for n, t in given.items() if n in wanted and t.shape == wanted[n].shape}
    if not matching:
        raise WeightsError(
            f"{path.name} has no tensor of this network, in name and shape",
            hint="start from weights of the same blocks, skips and width",
        )
    for name, tensor in matching.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"{path.name} holds values that are not finite, first in {name!r}",
                hint="the training diverged or the file is damaged; use another one",
            )
        wanted[name].copy_(tensor)
    return Initial(path.name, sha256_of(path), len(matching), len(wanted))


def _widened(given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return a convolution's weight of an image with zeros for the inputs that it lacks."""
    if given.ndim != 4 or given.shape[1] != 3 or wanted.ndim != 4:
        return given
    more = wanted.shape[1] - 3
    if more <= 0 or more % 3 or given.shape[0] != wanted.shape[0]:
        return given
    if given.shape[2:] != wanted.shape[2:]:
        return given
    zeros = given.new_zeros(given.shape[0], more, *given.shape[2:])
    return torch.cat([given, zeros], dim=1)


def freeze(network: nn.Module, parts: Sequence[str]) -> None:
    """Keep parts of a network unchanged: no gradients, no weight decay. parts: module names.

    Raises WeightsError when the network has no such part.
    """
    for part in parts:
        found = [p for name, p in network.named_parameters() if f"{name}.".startswith(f"{part}.")]
        if not found:
            raise WeightsError(
                f"[train] frozen names {part!r}, which is no part of this network",
                hint="its parts are "
                + ", ".join(f"{name!r}" for name, _ in network.named_children()),
            )
        for parameter in found:
            parameter.requires_grad_(False)


def check_whole(initial: Initial | None) -> None:
    """Raise WeightsError unless a network was loaded whole, as a fine-tune needs."""
    if initial is None or initial.matched < initial.tensors:
        raise WeightsError(
            f"a network is fine-tuned for 8 bits whole, not from {initial or 'random weights'}",
            hint="give the weights of this very network; train it first, if there are none",
        )
