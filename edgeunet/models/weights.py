"""Weight files: safetensors only, with the network's configuration in the header."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from edgeunet.errors import WeightsError
from edgeunet.files import UNREADABLE, replacing_file, sha256_of
from edgeunet.models.network import Network
from edgeunet.recipes import Recipe

_PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".tar")
_COUNTERS = "num_batches_tracked"

# Header keys: name and SHA-256 of a file in the same folder that holds the missing tensors.
_SHARED, _SHARED_DIGEST = "shared", "shared_sha256"


def save_weights(network: Network, recipe: Recipe, path: Path, *, note: str = "") -> None:
    """Write the network's weights as FP16 safetensors, whole or not at all.

    note: text for the header.
    """
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith(_COUNTERS)
    }
    metadata = {
        "recipe": recipe.name,
        "network": msgspec.json.encode(recipe.network).decode(),
        "note": note,
    }
    with replacing_file(path) as beside:
        # Not save_file: its error for a full disk is no OSError and names no cause.
        beside.write_bytes(save(tensors, metadata))


def leave_out(path: Path, shared: Path, out: Path) -> None:
    """Write weights without the tensors that another file has.

    path: weights of a network that was trained from ``shared`` with some parts frozen.
    shared: the other weights. They must be in the same folder as ``out`` when that is read.
    out: the file to write.
    Raises WeightsError when the two files have no tensor in common.
    """
    tensors, metadata = read_tensors(path)
    others, _ = read_tensors(shared)
    own = {n: t for n, t in tensors.items() if n not in others or not torch.equal(t, others[n])}
    if len(own) == len(tensors):
        raise WeightsError(
            f"{path.name} and {shared.name} have no tensor in common",
            hint="only weights with [train] frozen parts share any",
        )
    metadata |= {_SHARED: shared.name, _SHARED_DIGEST: sha256_of(shared)}
    with replacing_file(out) as beside:
        beside.write_bytes(save(own, metadata))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return (tensors by name, metadata) of a safetensors file.

    Tensors that the file shares with another one are read from there.
    Raises WeightsError when a file is missing or truncated, or when the other file was changed.
    """
    tensors, metadata = _read_one(path)
    if _SHARED in metadata:
        shared = path.parent / Path(metadata[_SHARED]).name
        if not shared.is_file():
            raise WeightsError(
                f"{path.name} holds only what differs from {shared.name}, which is not beside it",
                hint=f"put {shared.name} into {str(path.parent)!r} as well",
            )
        if sha256_of(shared) != metadata.get(_SHARED_DIGEST):
            raise WeightsError(
                f"{path.name} was made for another {shared.name} than the one beside it",
                hint="take both files from the same release",
            )
        tensors = {**_read_one(shared)[0], **tensors}
    return tensors, metadata


def _read_one(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    if not path.is_file():
        raise WeightsError(
            f"there is no weight file {str(path)!r}",
            hint="give a .safetensors file, or leave --weights out for the shipped ones",
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        hint = "copy or download it again; other formats are not read"
        if path.suffix.lower() in _PICKLES:
            hint = "pickle files are not read, they can run code: save it with safetensors"
        raise WeightsError(
            f"{path.name} is not a whole safetensors file: {error}", hint=hint
        ) from error
    return tensors, metadata


def load_weights(network: Network, path: Path) -> None:
    """Load a safetensors file into a network. Names and shapes of all tensors must match.

    Raises WeightsError when the file is missing or truncated, holds values that are not finite, or
    is for another network.
    """
    tensors, metadata = read_tensors(path)
    wanted = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith(_COUNTERS)
    }
    difference = _first_difference(wanted, tensors)
    if difference:
        made_for = metadata.get("recipe")
        hint = "give the weights of this network at this width"
        if made_for:
            hint = f"they were made for {made_for} at width {_width_in(metadata)}: " + hint
        raise WeightsError(f"{path.name} holds weights of another network: {difference}", hint=hint)
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(
            f"{path.name} holds values that are not finite, first in {broken[0]!r}",
            hint="the training diverged or the file is damaged; use another checkpoint",
        )
    network.load_state_dict({n: t.to(wanted[n].dtype) for n, t in tensors.items()}, strict=False)


def _width_in(metadata: dict[str, str]) -> object:
    """Return the width that a file's metadata names, "?" where it names none."""
    try:
        network = msgspec.json.decode(metadata.get("network", "{}"))
    except UNREADABLE:
        return "?"
    return network.get("width", "?") if isinstance(network, dict) else "?"


def _first_difference(
    wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor]
) -> str | None:
    for name, tensor in wanted.items():
        if name not in given:
            return f"{name!r} is missing"
        if given[name].shape != tensor.shape:
            have, want = tuple(given[name].shape), tuple(tensor.shape)
            return f"{name!r} has shape {have}, the network wants {want}"
    extra = sorted(set(given) - set(wanted))
    return f"{extra[0]!r} is not in the network" if extra else None
