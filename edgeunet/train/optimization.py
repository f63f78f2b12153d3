"""The parts of one training step: learning rate, weight average, and batch norm statistics."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from edgeunet.models.network import Network
from edgeunet.schedules import TrainTable


def learning_rate(table: TrainTable, step: int) -> float:
    """Return the learning rate of a step, counted from 0.

    It warms up linearly, then falls along a half cosine to ``final_learning_rate``. While only
    what uses the memory learns, it is the gate's.
    """
    if table.clips is not None and step < table.clips.gate_steps:
        return table.clips.gate_learning_rate
    warmup = min(table.warmup_steps, table.steps // 10)
    if step < warmup:
        return table.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, table.steps - warmup)
    span = table.learning_rate - table.final_learning_rate
    return table.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * share))


def parameter_groups(network: Network, table: TrainTable) -> list[dict[str, Any]]:
    """Return the groups of parameters, each with the factor of its learning rate.

    The recurrence is new where the rest begins with trained weights, so it learns faster.
    """
    if network.recurrence is None or table.clips is None:
        return [{"params": list(network.parameters()), "factor": 1.0}]
    new = set(network.recurrence.parameters())
    return [
        {"params": [p for p in network.parameters() if p not in new], "factor": 1.0},
        {"params": list(network.recurrence.parameters()), "factor": table.clips.rate_factor},
    ]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the exponential average of the weights towards the network, in place.

    average, network: modules of the same class.
    decay: the share of the average that is kept, 0..1.
    step: counted from 0. Early steps use a smaller decay, so that early weights do not linger.
    """
    decay = min(decay, (step + 1) / (step + 10))
    current = network.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], 1 - decay)
        else:
            tensor.copy_(current[name])


def only_recurrence_learns(network: Network, table: TrainTable, step: int) -> None:
    """Drop the gradients of all other parts, in the steps that belong to the gate.

    AdamW leaves a weight without gradient as it is.
    """
    if table.clips is None or step >= table.clips.gate_steps or network.recurrence is None:
        return
    learning = set(network.recurrence.parameters())
    for parameter in network.parameters():
        if parameter not in learning:
            parameter.grad = None


def keep_statistics(network: nn.Module) -> None:
    """Make batch norm use its running statistics, as a deployed network does.

    With batch statistics alone, a network can fail on an image that is unlike the average of a
    batch: `addunet` gave 11 dB for a photograph without noise, and 31 dB for the same one at
    sigma 15.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
