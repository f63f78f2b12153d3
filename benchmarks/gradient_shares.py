"""How much say has each output of a joint network over the weights that they share?

    python -m benchmarks.gradient_shares MODEL --data DIR [--weights FILE] [--batches N]

Every batch of the recipe's schedule gives a gradient per output, by its loss alone. Per shared part
of the network: ``rms_norm``, the root of its mean square over the batches; ``weighted``, the same
times the output's weight in the recipe; ``equal_weight``, the weight at which it would be as large
as the first output's. AdamW takes steps of one size whatever the sum's scale, so in a shared part
the output with the larger gradient decides where they go, and noise of its batches covers the
other. Uncertainty weighting (Kendall et al., CVPR 2018) and GradNorm (Chen et al., ICML 2018) look
for such weights while they train; here they are looked up once, for the recipe.

data: a folder with images and labels, as ``edgeunet train`` takes it. weights: default the shipped.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.helpers.record import write_csv
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.models.network import build_network
from edgeunet.models.weights import load_weights
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.train.crops import Crops
from edgeunet.train.losses import JointLoss
from edgeunet.train.run_images import read_data
from edgeunet.train.samples import Sample
from edgeunet.train.validation import image_tensor

NAME = "gradient_shares"

Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a recipe with several outputs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--batches", type=int, default=32)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.model)
    if recipe.train is None or len(recipe.pathways) < 2:
        parser.error(f"{recipe.name} has one output, or no [train]")
    weights = arguments.weights or shipped_weights(recipe.name, recipe)
    if weights is None:
        parser.error(f"there are no shipped weights of {recipe.name}: give --weights")
    data = read_data([arguments.data], recipe, recipe.train, notice=note)
    rows = shares(recipe, weights, data.training, arguments.batches)
    path = write_csv(NAME, rows)
    print_table("gradients by output", list(rows[0]), [[str(v) for v in r.values()] for r in rows])
    print(path)


def shares(recipe: Recipe, weights: Path, samples: Sequence[Sample], batches: int) -> list[Row]:
    """Return a row per shared part and output."""
    assert recipe.train is not None
    network = build_network(recipe, seed=0)
    load_weights(network, weights)
    crops = Crops(samples, recipe.train)
    device = torch.device("cpu")
    loss_of = JointLoss(recipe, recipe.train, samples, device)
    names, parameters = zip(*network.named_parameters(), strict=True)
    parts = [_part(name) for name in names]
    squares: dict[tuple[str, str], float] = defaultdict(float)
    for step in range(batches):
        batch = crops.batch(step)
        clean, noisy = (image_tensor(x, device) for x in (batch.clean, batch.noisy))
        labels, numbers = (torch.from_numpy(x) for x in (batch.labels, batch.numbers))
        _, losses = loss_of(network(noisy), clean, labels, numbers)
        for output, loss in losses.items():
            found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            for part, gradient in zip(parts, found, strict=True):
                if gradient is not None:
                    squares[part, output] += float(gradient.square().sum())
    outputs = [pathway.output for pathway in recipe.pathways]
    shared = [p for p in dict.fromkeys(parts) if all((p, output) in squares for output in outputs)]
    return [
        _row(recipe, part, output, {o: math.sqrt(squares[part, o] / batches) for o in outputs})
        for part in shared
        for output in outputs
    ]


def _part(parameter: str) -> str:
    """``encoder.0`` of ``encoder.0.1.weight``, ``stem`` of ``stem.bias``."""
    return ".".join(parameter.split(".")[:-1][:2])


def _row(recipe: Recipe, part: str, output: str, norms: dict[str, float]) -> Row:
    assert recipe.train is not None
    first = recipe.pathways[0].output
    weight, norm = recipe.train.weight(output), norms[output]
    equal = recipe.train.weight(first) * norms[first] / norm if norm else math.inf
    return {
        "model": recipe.name,
        "width": recipe.network.width,
        "part": part,
        "output": output,
        "rms_norm": f"{norm:.3g}",
        "weight": f"{weight:g}",
        "weighted": f"{weight * norm:.3g}",
        "equal_weight": f"{equal:.2g}",
    }


if __name__ == "__main__":
    main()
