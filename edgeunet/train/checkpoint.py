"""The checkpoint of a run: weights, their average and the optimizer, as safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from edgeunet.errors import WeightsError
from edgeunet.files import UNREADABLE, replacing_file
from edgeunet.train.fake_quantization import Quantization
from edgeunet.train.initial import Initial

FILE_NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Standing:
    """The state of a run beside its tensors.

    step: number of steps done.
    seconds: time spent, all sessions together.
    skipped_steps: number of skipped steps.
    processes: number of processes that train together.
    initial: the initial weights.
    quantization: the 8 bits that the run computes with, if any.
    """

    step: int = 0
    seconds: float = 0.0
    skipped_steps: int = 0
    processes: int = 1
    initial: Initial | None = None
    quantization: Quantization | None = None


def save_checkpoint(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    standing: Standing,
    *,
    recipe_digest: str,
) -> None:
    """Write the state of a run, whole or not at all."""
    tensors = {f"network.{n}": t for n, t in network.state_dict().items()}
    tensors |= {f"average.{n}": t for n, t in average.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{n}": torch.as_tensor(t) for n, t in state.items()}
    tensors = {n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()}
    metadata = {
        "step": str(standing.step),
        "seconds": str(standing.seconds),
        "skipped_steps": str(standing.skipped_steps),
        "processes": str(standing.processes),
        "recipe": recipe_digest,
    }
    if standing.initial is not None:
        metadata["initial"] = msgspec.json.encode(standing.initial).decode()
    if standing.quantization is not None:
        metadata["quantization"] = msgspec.json.encode(standing.quantization).decode()
    with replacing_file(path) as beside:
        # save_file does not raise OSError for a full disk.
        beside.write_bytes(save(tensors, metadata))


def load_checkpoint(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    recipe_digest: str,
) -> Standing:
    """Restore a run in place, and return its standing.

    Raises WeightsError when the file is damaged or belongs to another recipe.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a whole checkpoint: {error}",
            hint="remove it to start from the beginning",
        ) from error
    if metadata.get("recipe") != recipe_digest:
        raise WeightsError(
            f"{path} was made by another recipe",
            hint="resume with the recipe, --width and --steps it was started with (and --qat or "
            "--bursts, if it was), or choose another --out",
        )
    try:
        return _restored(tensors, metadata, network, average, optimizer)
    except (KeyError, ValueError, RuntimeError, *UNREADABLE) as error:
        # Names, shapes and numbers as this recipe's runs never write them.
        raise WeightsError(
            f"{path} is damaged: {' '.join(str(error).split())}",
            hint="remove it to start from the beginning",
        ) from error


def _restored(
    tensors: dict[str, torch.Tensor],
    metadata: dict[str, str],
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Standing:
    network.load_state_dict(_below("network.", tensors))
    average.load_state_dict(_below("average.", tensors))
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in _below("optimizer.", tensors).items():
        index, _, field = name.partition(".")
        states.setdefault(int(index), {})[field] = tensor
    layout = optimizer.state_dict()
    optimizer.load_state_dict({"state": states, "param_groups": layout["param_groups"]})
    initial, quantization = metadata.get("initial"), metadata.get("quantization")
    return Standing(
        int(metadata["step"]),
        float(metadata["seconds"]),
        int(metadata.get("skipped_steps", "0")),
        int(metadata.get("processes", "1")),
        None if initial is None else msgspec.json.decode(initial, type=Initial),
        None if quantization is None else msgspec.json.decode(quantization, type=Quantization),
    )


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
