"""Short trainings under equal conditions: the same batches, steps and schedule for every arm.

Deliberately not ``edgeunet train``: pairs of networks are trained here as well, nothing is resumed
within a run, and every arm goes through the same few lines.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from edgeunet.evaluate.backends import Answer, Head, head_of
from edgeunet.evaluate.protocol import NoiseKind, Planes
from edgeunet.models.network import Network
from edgeunet.network_facts import NetworkFacts
from edgeunet.pixels import as_floats
from edgeunet.recipes import Recipe
from edgeunet.specs import Task
from edgeunet.train.crops import Crops
from edgeunet.train.losses import JointLoss
from edgeunet.train.optimization import keep_statistics, learning_rate, update_average
from edgeunet.train.samples import Sample
from edgeunet.train.validation import image_tensor

_REPORT_EVERY = 100


class Pair(nn.Module):
    """Two networks: one denoises, one labels. chained: the second sees what the first gives."""

    def __init__(self, denoiser: Network, labeller: Network, *, chained: bool) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.labeller = labeller
        self._chained = chained

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """image: (N, 3, H, W) 0..1. Returns every output of both."""
        outputs = self.denoiser(image)
        seen = outputs["denoised"] if self._chained else image
        return {**outputs, **self.labeller(seen)}

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """What gradients are clipped over: apart where nothing joins the two."""
        return (self,) if self._chained else (self.denoiser, self.labeller)


def train_short(
    network: nn.Module,
    recipe: Recipe,
    samples: Sequence[Sample],
    *,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> nn.Module:
    """Train with the recipe's [train] and return the average of the weights, ready to evaluate.

    recipe: its pathways name the network's outputs. BF16 products where the processor has them.
    """
    table = recipe.train
    assert table is not None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    crops = Crops(samples, table)
    loss_of = JointLoss(recipe, table, samples, device)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    average = copy.deepcopy(network).requires_grad_(False)
    parts = network.parts if isinstance(network, Pair) else (network,)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=table.learning_rate, weight_decay=table.weight_decay
    )
    for step in range(table.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(table, step)
        if table.keeps_statistics(step):
            keep_statistics(network)
        batch = crops.batch(step)
        clean, noisy = (image_tensor(x, device) for x in (batch.clean, batch.noisy))
        labels, numbers = (torch.from_numpy(x).to(device) for x in (batch.labels, batch.numbers))
        with torch.autocast(device.type, torch.bfloat16):
            outputs = network(noisy)
        loss, _ = loss_of(outputs, clean, labels, numbers)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        for part in parts:
            nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        update_average(average, network, table.ema_decay, step)
        if (step + 1) % _REPORT_EVERY == 0:
            report(step + 1, float(loss))
    return average.eval()


class Trained:
    """A trained network as ``edgeunet.evaluate`` takes it: float images, torch FP32."""

    engine = "torch"
    precision = "fp32"
    kinds = (NoiseKind.FLOAT,)
    weights = "of a short training"
    frame = None
    scale = 1

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self.name = recipe.name
        self.network: NetworkFacts = recipe
        self.heads = tuple(
            Head(pathway.output, pathway.head, tuple(label.name for label in pathway.labels))
            for pathway in recipe.pathways
        )
        self._network = network
        self._device = next(network.parameters()).device

    def run(self, image: Planes) -> Answer:
        """image: (3, H, W), 0..1."""
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(as_floats(image))[None].to(self._device))
        found = {
            task: None if head is None else outputs[head.output][0].cpu()
            for task in Task
            for head in [head_of(self, task)]
        }
        denoised, labels, scores = (found[task] for task in Task)
        return Answer(
            None if denoised is None else denoised.clamp(0, 1).numpy(),
            None if labels is None else labels.argmax(dim=0).to(torch.uint8).numpy(),
            None if scores is None else scores.softmax(dim=0).numpy(),
        )

    def close(self) -> None:
        return None
