"""The training loop. Owns accelerate: devices and mixed precision are its work."""

from __future__ import annotations

import contextlib
import copy
import csv
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from edgeunet.errors import RecipeError, UsageError
from edgeunet.files import check_writable, replacing_file
from edgeunet.metrics import psnr_db
from edgeunet.models.network import Network, build_network
from edgeunet.models.weights import save_weights
from edgeunet.noise import Floats, add_gaussian
from edgeunet.photographs import Photograph
from edgeunet.recipes import Recipe, TrainTable
from edgeunet.specs import Task
from edgeunet.train.checkpoint import FILE_NAME, Standing, load_checkpoint, save_checkpoint
from edgeunet.train.crops import PhotographCrops
from edgeunet.train.interruption import TrainingInterrupted, held_back

CURVE_FILE = "curve.csv"


@dataclass(frozen=True)
class Progress:
    """What a run reports: steps done, the last loss, PSNR on the validation images."""

    step: int
    steps: int
    loss: float
    psnr: float | None
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    images: those that were large enough to be trained on. seconds: of all its sessions.
    """

    weights: Path
    images: int
    steps: int
    seconds: float
    skipped_steps: int
    psnr: float | None
    mixed_precision: str


def check_run(recipe: Recipe, out: Path, *, resume: bool) -> tuple[TrainTable, str]:
    """Return the schedule and the output to train, before anything expensive is done.

    Raises RecipeError when the recipe has no [train] or no denoise pathway, UsageError when a
    new run would write over an earlier one, OSError when nothing can be written to ``out``.
    """
    output = next((p.output for p in recipe.pathways if p.head is Task.DENOISE), None)
    if recipe.train is None or output is None:
        raise RecipeError(
            f"recipe {recipe.name!r} cannot be trained: it needs [train] and a denoise pathway",
            hint="see export/unetmm.toml for both",
        )
    if not resume and (out / FILE_NAME).exists():
        raise UsageError(
            f"{out} holds the checkpoint of an earlier run",
            hint="go on with it: --resume; or start anew in another --out",
        )
    if not (out / FILE_NAME).exists():
        weights = weights_path(recipe, out)
        for path in (weights, weights.with_suffix(".md"), out / CURVE_FILE):
            if path.exists():
                raise UsageError(
                    f"{out} holds {path.name} of an earlier run, and no checkpoint to go on from",
                    hint="give another --out",
                )
    check_writable(out / FILE_NAME)
    return recipe.train, output


def weights_path(recipe: Recipe, out: Path) -> Path:
    """Return where a run writes its weights; the card lies beside them."""
    return out / f"{recipe.name}-{recipe.network.width}.safetensors"


def train(
    recipe: Recipe,
    photographs: Sequence[Photograph],
    out: Path,
    *,
    validation: Sequence[Photograph] = (),
    resume: bool = False,
    mixed_precision: str = "no",
    save_every: int = 500,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Train a denoising recipe and write ``out/NAME-WIDTH.safetensors`` (the average).

    The curve goes to ``out/curve.csv``, the state to ``out/checkpoint.safetensors`` every
    ``save_every`` steps. A step whose loss or gradient is not finite is skipped and counted.
    ``resume`` without a checkpoint starts from the beginning. Raises what ``check_run`` raises,
    and TrainingInterrupted for Ctrl-C and SystemExit, after the steps done are saved.
    """
    table, output = check_run(recipe, out, resume=resume)
    accelerator = _accelerator(mixed_precision)
    crops = PhotographCrops(photographs, table)
    network = build_network(recipe, seed=table.seed)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=table.learning_rate, weight_decay=table.weight_decay
    )
    digest = recipe_digest(recipe)
    checkpoint = out / FILE_NAME
    before = Standing()
    if resume and checkpoint.is_file():
        before = load_checkpoint(checkpoint, network, average, optimizer, recipe_digest=digest)
    prepared, optimizer = accelerator.prepare(network, optimizer)
    average.to(accelerator.device)
    started, skipped, psnr = time.monotonic() - before.seconds, before.skipped_steps, None
    curve = _Curve(out / CURVE_FILE, keep_steps=before.step)

    def save(done: int) -> None:
        if accelerator.is_main_process:
            save_checkpoint(
                checkpoint,
                accelerator.unwrap_model(prepared),
                average,
                optimizer,
                Standing(done, time.monotonic() - started, skipped),
                recipe_digest=digest,
            )

    done, saved, whole = before.step, before.step, True
    weights = weights_path(recipe, out)
    try:
        for step in range(before.step, table.steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(table, step)
            batch = crops.batch(step)
            with held_back():
                whole = False
                statistics = [buffer.clone() for buffer in network.buffers()]
                clean = _tensor(batch.clean, accelerator.device)
                noisy = _tensor(batch.noisy, accelerator.device)
                with accelerator.autocast():
                    denoised = prepared(noisy)[output]
                loss = (denoised.float() - clean).abs().mean()
                value = float(loss.detach())
                optimizer.zero_grad()
                finite = math.isfinite(value)
                if finite:
                    accelerator.backward(loss)
                    norm = accelerator.clip_grad_norm_(prepared.parameters(), 1.0)
                    # FP16's scaler finds an overflow itself, and learns from it only if it is
                    # stepped.
                    finite = accelerator.scaler is not None or math.isfinite(float(norm))
                if finite:
                    optimizer.step()
                    current = accelerator.unwrap_model(prepared)
                    _update_average(average, current, table.ema_decay, step)
                else:
                    # Batch norm has taken the batch into its statistics already.
                    for buffer, earlier in zip(network.buffers(), statistics, strict=True):
                        buffer.copy_(earlier)
                    skipped += 1
                done, whole = step + 1, True
                if done % save_every == 0 or done == table.steps:
                    if validation:
                        psnr = validate(average, output, validation, sigma=25.0)
                    with curve.adding(done, value, psnr):
                        save(done)
                    saved = done
            report(Progress(done, table.steps, value, psnr, time.monotonic() - started))
        if psnr is None and validation:
            psnr = validate(average, output, validation, sigma=25.0)
        spent = time.monotonic() - started
        if accelerator.is_main_process:
            save_weights(average, recipe, weights, note=f"{table.steps} steps, {spent:.0f} s")
    except (KeyboardInterrupt, SystemExit) as error:
        # A full disk must not hide the interruption: the checkpoint before is still there.
        with contextlib.suppress(OSError):
            if whole and done > saved:
                save(done)
                saved = done
        raise TrainingInterrupted(done, saved) from error
    return Outcome(
        weights,
        images=len(crops),
        steps=table.steps,
        seconds=spent,
        skipped_steps=skipped,
        psnr=psnr,
        mixed_precision=mixed_precision,
    )


def _accelerator(mixed_precision: str) -> Accelerator:
    try:
        return Accelerator(mixed_precision=mixed_precision)
    except ValueError as error:
        raise UsageError(
            f"this machine cannot train in {mixed_precision}: {error}",
            hint="use --mixed-precision no",
        ) from error


def recipe_digest(recipe: Recipe) -> str:
    """Return a hash over everything that shapes the run: network, pathways and schedule."""
    parts = (recipe.network, recipe.pathways, recipe.train)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def learning_rate(table: TrainTable, step: int) -> float:
    """Linear warm-up, then a cosine to ``final_learning_rate`` at the last step."""
    warmup = min(table.warmup_steps, table.steps // 10)
    if step < warmup:
        return table.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, table.steps - warmup)
    span = table.learning_rate - table.final_learning_rate
    return table.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * share))


@torch.no_grad()
def validate(
    network: nn.Module, output: str, photographs: Sequence[Photograph], *, sigma: float
) -> float:
    """Return the mean PSNR in dB over photographs at one sigma: float noise, not clipped,
    a fixed draw per image; the output is clipped to 0..1.
    """
    device = next(network.parameters()).device
    network.eval()
    figures = []
    for index, photograph in enumerate(photographs):
        clean = photograph.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
        noisy = add_gaussian(clean, sigma, np.random.default_rng([2024, index]))
        denoised = network(_tensor(noisy, device))[output].clamp(0, 1)
        figures.append(psnr_db(denoised.cpu().numpy(), clean))
    network.train()
    return float(np.mean(figures))


def _tensor(values: Floats, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values)).to(device)
    return tensor.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _update_average(average: Network, network: Network, decay: float, step: int) -> None:
    # Early weights must not linger: the average starts short and grows to its decay.
    decay = min(decay, (step + 1) / (step + 10))
    current = network.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], 1 - decay)
        else:
            tensor.copy_(current[name])


class _Curve:
    """``step, loss, psnr_db`` as CSV; on resume, lines past the checkpoint are dropped."""

    def __init__(self, path: Path, *, keep_steps: int) -> None:
        self._path = path
        self._rows: list[list[str]] = []
        if keep_steps and path.is_file():
            with path.open(newline="") as stream:
                rows = list(csv.reader(stream))[1:]
            self._rows = [row for row in rows if int(row[0]) <= keep_steps]

    @contextlib.contextmanager
    def adding(self, step: int, loss: float, psnr: float | None) -> Iterator[None]:
        """Write one more line when the block ends well: the checkpoint of that step is there."""
        line = [str(step), f"{loss:.6f}", "" if psnr is None else f"{psnr:.3f}"]
        with replacing_file(self._path) as beside:
            with beside.open("w", newline="") as stream:
                csv.writer(stream).writerows([["step", "loss", "psnr_db"], *self._rows, line])
            yield
        self._rows.append(line)


def with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    """Return the recipe with another number of steps; the schedule stretches with it."""
    if steps is None or recipe.train is None:
        return recipe
    table = msgspec.structs.replace(recipe.train, steps=steps)
    return msgspec.structs.replace(recipe, train=table)
