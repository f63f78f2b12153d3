"""The training loop: any recipe, any outputs, on one processor or on many."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from edgeunet.models.network import Network, build_network
from edgeunet.models.weights import save_weights
from edgeunet.recipes import Recipe
from edgeunet.schedules import TrainTable
from edgeunet.specs import Task
from edgeunet.train.checkpoint import FILE_NAME, Standing, load_checkpoint, save_checkpoint
from edgeunet.train.clip_crops import ClipCrops
from edgeunet.train.crops import Batch, Crops
from edgeunet.train.curve import FILE_NAME as CURVE_FILE
from edgeunet.train.curve import Curve
from edgeunet.train.initial import check_whole, freeze, load_matching
from edgeunet.train.interruption import TrainingInterrupted, held_back
from edgeunet.train.loading import batches
from edgeunet.train.losses import JointLoss, flicker_loss, fused_loss
from edgeunet.train.optimization import (
    keep_statistics,
    learning_rate,
    only_recurrence_learns,
    parameter_groups,
    update_average,
)
from edgeunet.train.processes import left_alone, make_accelerator, mean_over
from edgeunet.train.run_checks import check_run, check_same_run, recipe_digest, weights_path
from edgeunet.train.run_records import Outcome, Progress, TrainingOptions
from edgeunet.train.samples import Sample
from edgeunet.train.unrolled import Unrolled, clips_psnr_db
from edgeunet.train.validation import IN_BITS, image_tensor
from edgeunet.train.views import CLIPS, all_figures, make_views, measure

_NO_OPTIONS = TrainingOptions()


def train(
    recipe: Recipe, samples: Sequence[Sample], out: Path, options: TrainingOptions = _NO_OPTIONS
) -> Outcome:
    """Train a recipe and write the averaged weights to ``out/NAME-WIDTH.safetensors``.

    Losses and figures go to ``out/curve.csv``, the state to ``out/checkpoint.safetensors``. If
    several processes train together, only the main one writes. A step whose loss or gradient is
    not finite is skipped and counted.

    Raises what ``check_run``, ``check_same_run``, ``load_matching``, ``load_checkpoint`` and
    ``FakeQuantization.begin`` raise. Raises TrainingInterrupted for Ctrl-C and SystemExit, after
    the steps done are saved.
    """
    table = check_run(recipe, out, resume=options.resume, init=options.init)
    if (table.quantized_for is None) != (options.fake_quantization is None):
        raise ValueError("fake quantization is for a schedule that is quantized_for an engine")
    return _Run(recipe, table, samples, out, options).finish()


class _Run:
    """One session of a run: its networks, its optimizer, and the steps done so far."""

    def __init__(
        self,
        recipe: Recipe,
        table: TrainTable,
        samples: Sequence[Sample],
        out: Path,
        options: TrainingOptions,
    ) -> None:
        self._recipe, self._table, self._options = recipe, table, options
        self._checkpoint, self._weights = out / FILE_NAME, weights_path(recipe, out)
        self._digest = recipe_digest(recipe)
        self._accelerator = make_accelerator(options.mixed_precision)
        self._device = self._accelerator.device
        self._crops = make_crops(samples, table, options, self._accelerator.process_index)
        self._joint_loss = JointLoss(recipe, table, samples, self._device)
        self._outputs = [pathway.output for pathway in recipe.pathways]
        self._images = [p.output for p in recipe.pathways if p.head is Task.DENOISE]
        self._prepare_networks()
        self._started = time.monotonic() - self._before.seconds
        self._skipped = self._before.skipped_steps
        # The step that is done, the step of the last checkpoint, and whether no step is under way.
        self._done, self._saved, self._whole = self._before.step, self._before.step, True
        self._figures: dict[str, float] | None = None
        self._measured = all_figures(recipe, options.validation, clips=bool(options.held_out_clips))
        self._curve = Curve(
            out / CURVE_FILE,
            self._outputs,
            [figure.name for figure in self._measured],
            keep_steps=self._before.step,
        )
        main = self._accelerator.is_main_process
        self._views = make_views(table, options.validation) if main else ()

    def finish(self) -> Outcome:
        """Do the steps that are left, write the weights, and return the outcome."""
        table = self._table
        try:
            steps = range(self._before.step, table.steps)
            slow = table.camera is not None or table.clips is not None
            prepared_batches = batches(self._crops, steps, ahead=slow)
            for step, batch in zip(steps, prepared_batches, strict=True):
                loss = self._step(step, batch)
                self._options.report(
                    Progress(self._done, table.steps, loss, self._figures or {}, self._seconds())
                )
            figures = self._measure() if self._figures is None else self._figures
            spent = self._seconds()
            if self._accelerator.is_main_process:
                note = f"{table.steps} steps, {spent:.0f} s"
                save_weights(self._average, self._recipe, self._weights, note=note)
        except (KeyboardInterrupt, SystemExit) as error:
            # A full disk must not hide the interruption: the checkpoint before is still there.
            with contextlib.suppress(OSError):
                if self._whole and self._done > self._saved:
                    self._save()
                    self._saved = self._done
            raise TrainingInterrupted(self._done, self._saved) from error
        except RuntimeError as error:
            if (alone := left_alone(error)) is not None:
                raise alone from error
            raise
        return Outcome(
            self._weights,
            images=len(self._crops),
            steps=table.steps,
            seconds=spent,
            skipped_steps=self._skipped,
            mixed_precision=self._options.mixed_precision,
            figures=figures,
            measured=self._measured,
            initial=self._before.initial,
            processes=self._accelerator.num_processes,
            bursts=len(self._options.bursts),
            clips=len(self._options.clips),
        )

    def _prepare_networks(self) -> None:
        """Make the network, its average and the optimizer, new or from the checkpoint."""
        table, options = self._table, self._options
        resumed = options.resume and self._checkpoint.is_file()
        network, begun = self._new_network(resumed=resumed)
        average = copy.deepcopy(network).requires_grad_(False)
        optimizer = torch.optim.AdamW(
            parameter_groups(network, table),
            lr=table.learning_rate,
            weight_decay=table.weight_decay,
        )
        self._before = begun
        if resumed:
            self._before = load_checkpoint(
                self._checkpoint, network, average, optimizer, recipe_digest=self._digest
            )
            check_same_run(self._checkpoint, self._before, begun)
        elif begun.initial is not None:
            options.notice(f"starting from {begun.initial}")
        # With fake quantization, other modules compute, with the weights of these networks.
        computing: nn.Module = network
        self._unrolled: Unrolled | None = None
        self._average_in_bits: nn.Module | None = None
        if options.fake_quantization is not None and self._before.quantization is not None:
            in_bits = options.fake_quantization.form(network, self._before.quantization)
            computing, self._average_in_bits = in_bits(network), in_bits(average).to(self._device)
        if network.recurrence is not None and table.clips is not None:
            computing = self._unrolled = Unrolled(network)
        network.to(self._device)
        self._prepared, self._optimizer = self._accelerator.prepare(computing, optimizer)
        self._network, self._average = network, average.to(self._device)

    def _new_network(self, *, resumed: bool) -> tuple[Network, Standing]:
        """Return the network at its start, on the CPU, and a description of that start.

        resumed: leave the quantization out, because the checkpoint holds it.
        """
        options, processes = self._options, self._accelerator.num_processes
        network = build_network(self._recipe, seed=self._table.seed)
        begun = Standing(processes=processes)
        if options.init is not None:
            begun = Standing(processes=processes, initial=load_matching(network, options.init))
        freeze(network, self._table.frozen)
        if options.fake_quantization is not None and not resumed:
            check_whole(begun.initial)
            begun = replace(begun, quantization=options.fake_quantization.begin(network))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network, begun

    def _step(self, step: int, batch: Batch) -> float:
        """Do one step, counted from 0, with its checkpoint if one is due; return the joint loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["factor"] * learning_rate(self._table, step)
        if self._table.keeps_statistics(step):
            keep_statistics(self._network)
        with held_back():
            self._whole = False
            value, values = self._learn(step, batch)
            self._done, self._whole = step + 1, True
            if self._done % self._options.save_every == 0 or self._done == self._table.steps:
                self._record(value, values)
        return value

    def _learn(self, step: int, batch: Batch) -> tuple[float, list[float]]:
        """Update the weights from one batch; return the joint loss and the loss of each output.

        Losses are means over all processes. If the loss or the gradient is not finite, the
        weights stay, and the step is counted as skipped.
        """
        statistics = [buffer.clone() for buffer in self._network.buffers()]
        clean, noisy = (image_tensor(x, self._device) for x in (batch.clean, batch.noisy))
        labels, numbers, noisy_targets = (
            torch.from_numpy(x).to(self._device)
            for x in (batch.labels, batch.numbers, batch.noisy_targets)
        )
        accelerator = self._accelerator
        if self._unrolled is not None:
            self._unrolled.frames = batch.frames
        with accelerator.autocast():
            outputs = self._prepared(noisy)
        loss, losses = self._joint_loss(outputs, clean, labels, numbers, noisy_targets)
        if self._unrolled is not None and (plan := self._table.clips) is not None:
            if (fused := self._unrolled.fused) is not None:
                loss = loss + plan.fused_weight * fused_loss(fused.float(), clean)
            for name in self._images if plan.flicker_weight else ():
                change = flicker_loss(outputs[name].float(), clean, batch.frames)
                loss = loss + plan.flicker_weight * change
        detached = torch.stack([loss.detach(), *(losses[n].detach() for n in self._outputs)])
        value, *values = mean_over(accelerator, detached)
        self._optimizer.zero_grad()
        finite = math.isfinite(value)
        if finite:
            accelerator.backward(loss)
            only_recurrence_learns(self._network, self._table, step)
            norm = accelerator.clip_grad_norm_(self._prepared.parameters(), 1.0)
            # FP16's scaler finds an overflow itself, and learns from it only if it is stepped.
            finite = accelerator.scaler is not None or math.isfinite(float(norm))
        if finite:
            self._optimizer.step()
            update_average(self._average, self._network, self._table.ema_decay, step)
        else:
            # Batch norm has taken the batch into its statistics already.
            for buffer, earlier in zip(self._network.buffers(), statistics, strict=True):
                buffer.copy_(earlier)
            self._skipped += 1
            self._options.notice(f"step {step + 1} skipped: its loss or gradient is not finite")
        return value, values

    def _record(self, loss: float, losses: Sequence[float]) -> None:
        """Measure the figures, and write a line of the curve together with the checkpoint."""
        self._figures = self._measure()
        if self._accelerator.is_main_process:
            by_name = dict(zip(self._outputs, losses, strict=True))
            with self._curve.adding(self._done, loss, by_name, self._figures):
                self._save()
        self._saved = self._done

    def _measure(self) -> dict[str, float]:
        """Return the figures of the average; after a fine-tune for 8 bits, also those in 8 bits."""
        found = measure(self._average, self._recipe, self._views)
        if self._average_in_bits is not None:
            again = measure(self._average_in_bits, self._recipe, self._views)
            found |= {f"{IN_BITS}{name}": figure for name, figure in again.items()}
        if self._options.held_out_clips and self._accelerator.is_main_process:
            clips = self._options.held_out_clips
            found[CLIPS] = clips_psnr_db(self._average, clips, self._table)
        return found

    def _save(self) -> None:
        """Write the checkpoint of the steps done, in the main process alone."""
        if self._accelerator.is_main_process:
            save_checkpoint(
                self._checkpoint,
                self._network,
                self._average,
                self._optimizer,
                replace(
                    self._before,
                    step=self._done,
                    seconds=self._seconds(),
                    skipped_steps=self._skipped,
                ),
                recipe_digest=self._digest,
            )

    def _seconds(self) -> float:
        """Return the time spent, earlier sessions included."""
        return time.monotonic() - self._started


def make_crops(
    samples: Sequence[Sample], table: TrainTable, options: TrainingOptions, process: int
) -> Crops | ClipCrops:
    """Return what makes the batches of a run: crops of images, or of clips."""
    if table.clips is not None:
        return ClipCrops(options.clips, samples, table, table.clips, process=process)
    return Crops(samples, table, bursts=options.bursts, process=process)
