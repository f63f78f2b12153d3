"""The training loop: any recipe, any outputs, on one processor or on many."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import torch
from torch import nn

from edgeunet.errors import RecipeError, UsageError, WeightsError
from edgeunet.files import check_writable
from edgeunet.models.network import build_network
from edgeunet.models.weights import save_weights
from edgeunet.recipes import Recipe
from edgeunet.schedules import TrainTable
from edgeunet.specs import Task
from edgeunet.train.burst_pairs import Burst
from edgeunet.train.checkpoint import FILE_NAME, Standing, load_checkpoint, save_checkpoint
from edgeunet.train.crops import Crops
from edgeunet.train.curve import FILE_NAME as CURVE_FILE
from edgeunet.train.curve import Curve
from edgeunet.train.fake_quantization import FakeQuantization
from edgeunet.train.initial import Initial, check_whole, freeze, load_matching
from edgeunet.train.interruption import TrainingInterrupted, held_back
from edgeunet.train.loading import batches
from edgeunet.train.losses import JointLoss
from edgeunet.train.processes import (
    is_main_process,
    left_alone,
    make_accelerator,
    mean_over,
)
from edgeunet.train.samples import Sample, pathway_of
from edgeunet.train.validation import IN_BITS, image_tensor
from edgeunet.train.views import Figure, all_figures, make_views, measure

# Keys of [train] that came after the first checkpoints: they count only when they are set.
_LATER_KEYS = (
    *("growth", "noise", "gain", "rotations", "image_loss", "class_weights", "weights"),
    *("labelled_share", "generated", "in_bytes", "statistics_until", "quantized_for"),
    *("frozen", "clean_share", "camera", "pairs_share", "bursts_share"),
)


@dataclass(frozen=True)
class Progress:
    """What a run reports: steps done, the last joint loss, the figures of the last validation."""

    step: int
    steps: int
    loss: float
    figures: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    images: those that were large enough to be trained on. bursts: scenes that were.
    seconds: of all its sessions. figures: as ``measure`` returns them; empty where nothing was
    held out, and in processes that do not write. Of a network that was fine-tuned for 8 bits also
    its figures in these, with ``int8_`` before their names. measured: what each figure is.
    """

    weights: Path
    images: int
    steps: int
    seconds: float
    skipped_steps: int
    mixed_precision: str
    figures: Mapping[str, float] = field(default_factory=dict)
    measured: Sequence[Figure] = ()
    initial: Initial | None = None
    processes: int = 1
    bursts: int = 0


def check_run(recipe: Recipe, out: Path, *, resume: bool, init: Path | None = None) -> TrainTable:
    """Return the schedule, before anything expensive is done.

    Raises RecipeError when the recipe has no [train] or several pathways with one kind of
    labels, UsageError when a new run would write over an earlier one or when frozen parts have
    nothing to begin with, OSError when nothing can be written to ``out``.
    """
    if recipe.train is None:
        raise RecipeError(
            f"recipe {recipe.name!r} cannot be trained: it has no [train]",
            hint="see export/unetmm.toml for one",
        )
    for task in (Task.SEGMENT, Task.CLASSIFY):
        pathway_of(recipe, task)
    if recipe.train.frozen and init is None and not (resume and (out / FILE_NAME).is_file()):
        raise UsageError(
            f"recipe {recipe.name!r} has frozen parts, and no weights to keep in them",
            hint="give the weights they come from with --init",
        )
    # The others would find what the one that writes has just written.
    if not is_main_process():
        return recipe.train
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
    return recipe.train


def weights_path(recipe: Recipe, out: Path) -> Path:
    """Return where a run writes its weights; the card lies beside them."""
    return out / f"{recipe.name}-{recipe.network.width}.safetensors"


def train(
    recipe: Recipe,
    samples: Sequence[Sample],
    out: Path,
    *,
    bursts: Sequence[Burst] = (),
    validation: Sequence[Sample] = (),
    resume: bool = False,
    init: Path | None = None,
    mixed_precision: str = "no",
    fake_quantization: FakeQuantization | None = None,
    save_every: int = 500,
    report: Callable[[Progress], None] = lambda progress: None,
    notice: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Train a recipe and write ``out/NAME-WIDTH.safetensors`` (the average).

    The curve goes to ``out/curve.csv``, the state to ``out/checkpoint.safetensors`` every
    ``save_every`` steps; of several processes the main one writes. A step whose loss or gradient
    is not finite is skipped and counted. ``bursts``: trained on without clean images. ``resume``
    without a checkpoint starts from the beginning; ``init``: weights to begin with.
    ``fake_quantization``: where the schedule is ``quantized_for`` an engine. ``notice`` is told
    what a person should know.
    Raises what ``check_run`` and ``FakeQuantization.begin`` raise, WeightsError, and
    TrainingInterrupted for Ctrl-C and SystemExit, after the steps done are saved.
    """
    table = check_run(recipe, out, resume=resume, init=init)
    if (table.quantized_for is None) != (fake_quantization is None):
        raise ValueError("fake quantization is for a schedule that is quantized_for an engine")
    accelerator = make_accelerator(mixed_precision)
    device, processes = accelerator.device, accelerator.num_processes
    crops = Crops(samples, table, bursts=bursts, process=accelerator.process_index)
    joint_loss = JointLoss(recipe, table, samples, device)
    names = [pathway.output for pathway in recipe.pathways]
    digest, checkpoint = recipe_digest(recipe), out / FILE_NAME
    going_on = resume and checkpoint.is_file()

    network = build_network(recipe, seed=table.seed)
    before = Standing(processes=processes)
    if init is not None:
        before = Standing(processes=processes, initial=load_matching(network, init))
    freeze(network, table.frozen)
    if fake_quantization is not None and not going_on:
        check_whole(before.initial)
        before = replace(before, quantization=fake_quantization.begin(network))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=table.learning_rate, weight_decay=table.weight_decay
    )
    if going_on:
        wanted = before
        before = load_checkpoint(checkpoint, network, average, optimizer, recipe_digest=digest)
        _check_same_run(checkpoint, before, wanted)
    elif before.initial is not None:
        notice(f"starting from {before.initial}")
    acting: nn.Module = network
    in_bits: nn.Module | None = None
    if fake_quantization is not None and before.quantization is not None:
        acting_for = fake_quantization.form(network, before.quantization)
        acting, in_bits = acting_for(network), acting_for(average).to(device)
    network.to(device)
    prepared, optimizer = accelerator.prepare(acting, optimizer)
    average.to(device)
    started, skipped = time.monotonic() - before.seconds, before.skipped_steps
    figures: dict[str, float] | None = None
    columns = all_figures(recipe, validation)
    curve = Curve(out / CURVE_FILE, names, [c.name for c in columns], keep_steps=before.step)
    views = make_views(table, validation) if accelerator.is_main_process else ()

    def measured() -> dict[str, float]:
        found = measure(average, recipe, views)
        if in_bits is not None:
            again = measure(in_bits, recipe, views)
            found |= {f"{IN_BITS}{name}": figure for name, figure in again.items()}
        return found

    def save(done: int) -> None:
        if accelerator.is_main_process:
            save_checkpoint(
                checkpoint,
                network,
                average,
                optimizer,
                replace(
                    before,
                    step=done,
                    seconds=time.monotonic() - started,
                    skipped_steps=skipped,
                ),
                recipe_digest=digest,
            )

    done, saved, whole = before.step, before.step, True
    weights = weights_path(recipe, out)
    try:
        steps = range(before.step, table.steps)
        prepared_batches = batches(crops, steps, ahead=table.camera is not None)
        for step, batch in zip(steps, prepared_batches, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(table, step)
            if table.keeps_statistics(step):
                keep_statistics(network)
            with held_back():
                whole = False
                statistics = [buffer.clone() for buffer in network.buffers()]
                clean, noisy = (image_tensor(x, device) for x in (batch.clean, batch.noisy))
                labels, numbers, noisy_targets = (
                    torch.from_numpy(x).to(device)
                    for x in (batch.labels, batch.numbers, batch.noisy_targets)
                )
                with accelerator.autocast():
                    outputs = prepared(noisy)
                loss, losses = joint_loss(outputs, clean, labels, numbers, noisy_targets)
                value, *values = mean_over(
                    accelerator, torch.stack([loss.detach(), *(losses[n].detach() for n in names)])
                )
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
                    update_average(average, network, table.ema_decay, step)
                else:
                    # Batch norm has taken the batch into its statistics already.
                    for buffer, earlier in zip(network.buffers(), statistics, strict=True):
                        buffer.copy_(earlier)
                    skipped += 1
                    notice(f"step {step + 1} skipped: its loss or gradient is not finite")
                done, whole = step + 1, True
                if done % save_every == 0 or done == table.steps:
                    figures = measured()
                    if accelerator.is_main_process:
                        by_name = dict(zip(names, values, strict=True))
                        with curve.adding(done, value, by_name, figures):
                            save(done)
                    saved = done
            report(Progress(done, table.steps, value, figures or {}, time.monotonic() - started))
        figures = measured() if figures is None else figures
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
    except RuntimeError as error:
        if (alone := left_alone(error)) is not None:
            raise alone from error
        raise
    return Outcome(
        weights,
        images=len(crops),
        steps=table.steps,
        seconds=spent,
        skipped_steps=skipped,
        mixed_precision=mixed_precision,
        figures=figures,
        measured=columns,
        initial=before.initial,
        processes=processes,
        bursts=len(bursts),
    )


def _check_same_run(checkpoint: Path, before: Standing, wanted: Standing) -> None:
    """Raise WeightsError when going on would not be the run that was begun."""
    if before.processes != wanted.processes:
        raise WeightsError(
            f"{checkpoint} is of a run with {before.processes} processes, "
            f"not {wanted.processes}: the batches would be others",
            hint="launch as many as it was started with, or choose another --out",
        )
    if wanted.initial is not None and before.initial != wanted.initial:
        begun = "random weights" if before.initial is None else str(before.initial)
        raise WeightsError(
            f"{checkpoint} is of a run that began with {begun}, not with {wanted.initial}",
            hint="resume without --init, or choose another --out",
        )


def keep_statistics(network: nn.Module) -> None:
    """Have batch norm use its running statistics, which a deployed network uses.

    Without it a network can fail where an image is unlike the average of a batch: `addunet` gave
    11 dB for a photograph without noise, and 31 dB for the same one at sigma 15.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def recipe_digest(recipe: Recipe) -> str:
    """Return a hash over everything that shapes the run: network, pathways and schedule."""
    table = recipe.train
    schedule = msgspec.to_builtins(table)
    if table is not None:
        plain = msgspec.to_builtins(TrainTable(steps=table.steps))
        for key in _LATER_KEYS:
            if schedule[key] == plain[key]:
                del schedule[key]
    parts = (recipe.network, recipe.pathways, schedule)
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
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network's tensors, in place. step: from 0."""
    # Early weights must not linger: the average starts short and grows to its decay.
    decay = min(decay, (step + 1) / (step + 10))
    current = network.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], 1 - decay)
        else:
            tensor.copy_(current[name])


def with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    """Return the recipe with another number of steps; the schedule stretches with it."""
    if steps is None or recipe.train is None:
        return recipe
    table = msgspec.structs.replace(recipe.train, steps=steps)
    return msgspec.structs.replace(recipe, train=table)
