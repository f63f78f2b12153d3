"""The model card beside a weight file: what it was trained on, how, and what it gives."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from pathlib import Path

import torch

from edgeunet.files import replacing_file
from edgeunet.recipes import Recipe
from edgeunet.train.loop import Outcome


def write_card(
    outcome: Outcome, recipe: Recipe, model: str, data: Sequence[Path], *, held_out: int
) -> Path:
    """Write ``NAME-WIDTH.md`` beside the weights and return its path.

    model, data: the recipe and the folders as the person gave them, to be given again.
    """
    table = recipe.train
    if table is None:
        raise RuntimeError("a trained recipe has a [train] table")
    psnr = "not measured" if outcome.psnr is None else f"{outcome.psnr:.2f} dB"
    low, high = table.sigma
    command = ["edgeunet", "train", model, "--width", str(recipe.network.width)]
    command += [word for folder in data for word in ("--data", str(folder))]
    command += ["--steps", str(outcome.steps), "--mixed-precision", outcome.mixed_precision]
    # Another folder: a run does not write over an earlier one.
    command += ["--out", f"runs/{outcome.weights.stem}-again"]
    lines = [
        f"# {outcome.weights.stem}",
        "",
        f"{recipe.title} ({recipe.source}).",
        "",
        "| | |",
        "|---|---|",
        f"| recipe | `{recipe.name}`, width {recipe.network.width} |",
        f"| data | {', '.join(f'`{folder.resolve().name}`' for folder in data)}: "
        f"{outcome.images} {'image' if outcome.images == 1 else 'images'}, "
        f"{held_out} more held out |",
        f"| noise | additive white Gaussian, sigma {low:g}..{high:g} (8-bit units), blind, "
        "not clipped |",
        f"| loss | L1, crops of {table.crop}x{table.crop}, batch {table.batch}, flips and "
        "quarter turns |",
        f"| optimizer | AdamW, {table.learning_rate:g} to {table.final_learning_rate:g} by "
        f"cosine, weight decay {table.weight_decay:g}, average of weights {table.ema_decay:g} |",
        f"| steps | {outcome.steps} ({outcome.skipped_steps} skipped), {outcome.seconds:.0f} s |",
        f"| machine | torch {torch.__version__}, {_device_name()}, "
        f"mixed precision: {outcome.mixed_precision} |",
        f"| PSNR on the held-out images, sigma 25 | {psnr} |",
        "",
        "The weights inherit the terms of the images they were trained on; check those before "
        "you use them commercially.",
        "",
        "Repeat it with:",
        "",
        "```sh",
        shlex.join(command),
        "```",
        "",
    ]
    path = outcome.weights.with_suffix(".md")
    with replacing_file(path) as beside:
        beside.write_text("\n".join(lines))
    return path


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
