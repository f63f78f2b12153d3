"""Measure the loss of each convolution in 8 bits, and select those that stay in floats.

A loss is in dB of PSNR to the frame without noise. It is measured on noisy frames of the
calibration set that no range was measured on. Of several noise levels, the worst counts.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgeunet.calibration import CalibrationSet
from edgeunet.calibration.ranges import held_back
from edgeunet.calibration.set_frames import Frame
from edgeunet.contracts import ForeignNetwork
from edgeunet.convert.recalled_inputs import Recall, given_pairs
from edgeunet.errors import RecipeError, UsageError
from edgeunet.graph.int8_placement import points_of, weight_name
from edgeunet.graph.macs import macs_of_node
from edgeunet.graph.quantized import Interval, quantize
from edgeunet.graph.summary import write_model
from edgeunet.metrics import ConfusionMatrix, psnr_of_error_db
from edgeunet.network_facts import NetworkFacts
from edgeunet.ort.frame_runner import Given, runner_of
from edgeunet.specs import Array, Engine, Task


@dataclass(frozen=True)
class LayerLoss:
    """The losses with only one convolution in 8 bits.

    number: of the convolution, in execution order.
    loss_db: loss of PSNR.
    miou_points: 100 minus the mIoU in per cent with the float network's label maps; None without
        any.
    macs_share: its share of the network's multiply-accumulates.
    """

    number: int
    name: str
    loss_db: float
    miou_points: float | None
    macs_share: float


@dataclass(frozen=True)
class Selection:
    """The convolutions that stay in floats, and the loss that remains.

    ranking: all convolutions, the most sensitive first; empty if it was not measured.
    kept: the first ones of the ranking, which stay in floats.
    miou_points: see LayerLoss.
    """

    ranking: tuple[LayerLoss, ...]
    kept: tuple[LayerLoss, ...]
    loss_db: float
    miou_points: float | None


def select_floats(
    model: ir.Model,
    facts: NetworkFacts,
    calibration: CalibrationSet,
    intervals: Sequence[Interval],
    engine: Engine,
    max_drop_db: float | None,
    report: Callable[[str], None] = lambda text: None,
    *,
    rank: bool = False,
    recall: Recall | None = None,
) -> Selection:
    """Return the first convolutions of the ranking that have to stay in floats for a given loss.

    model: the float graph at the set's frame size.
    max_drop_db: largest loss; None keeps no convolution in floats.
    rank: measure the ranking even if it is not needed. Raises UsageError for a network that does
        not denoise, RecipeError for a set without noisy frames.
    """
    names = _judged_outputs(facts, "--sensitivity" if max_drop_db is None else "--max-drop")
    limit = math.inf if max_drop_db is None else max_drop_db
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
        shown = _shown(calibration, recall)
        trial = _Trial(model, names, shown, intervals, engine, Path(folder))
        everything = trial.loss(())
        if everything.db <= limit and not rank:
            return Selection((), (), *everything)
        ranking = _ranking(model, engine, trial, report)
        ranked = [one.number for one in ranking]
        kept = 0 if everything.db <= limit else _fewest(trial, ranked, limit)
        found = trial.loss(ranked[:kept])
    return Selection(ranking, ranking[:kept], *found)


def _judged_outputs(facts: NetworkFacts, flag: str) -> list[str]:
    """Return the outputs whose loss is measured: the image, and label maps if there are any.

    Raises UsageError, with the name of the option, for a network that does not denoise.
    """
    if isinstance(facts, ForeignNetwork) and facts.remembers:
        raise UsageError(
            f"{flag} is a loss of PSNR to a frame without noise, and {facts.name} reads several: "
            "which of them its image is about is not known",
            hint=f"leave {flag} out; the export states the PSNR to the network in floats",
        )
    outputs = {p.head: p.output for p in reversed(facts.pathways) if p.scale == 1}
    if Task.DENOISE not in outputs:
        raise UsageError(
            f"{flag} is a loss of PSNR, and {facts.name} has no image of the frame's size",
            hint=f"leave {flag} out",
        )
    return [outputs[task] for task in (Task.DENOISE, Task.SEGMENT) if task in outputs]


def _fewest(trial: _Trial, ranked: Sequence[int], limit_db: float) -> int:
    """Return how many of the ranked convolutions must stay in floats, at least one, by bisection.

    With all of them in floats there is no loss, so a solution exists.
    """
    least, most = 1, len(ranked)
    while least < most:
        middle = (least + most) // 2
        if trial.loss(ranked[:middle]).db <= limit_db:
            most = middle
        else:
            least = middle + 1
    return least


def _ranking(
    model: ir.Model, engine: Engine, trial: _Trial, report: Callable[[str], None]
) -> tuple[LayerLoss, ...]:
    points = points_of(model, engine)
    numbers = [i for i, n in enumerate(points.convolutions) if n in points.quantized]
    every = sum(macs_of_node(node) for node in model.graph)
    report(f"measuring what each of {len(numbers)} convolutions loses alone")
    losses = []
    for number in numbers:
        node = points.convolutions[number]
        db, miou_points = trial.loss([other for other in numbers if other != number])
        share = macs_of_node(node) / max(every, 1)
        losses.append(LayerLoss(number, weight_name(node), db, miou_points, share))
    return tuple(sorted(losses, key=lambda one: -one.loss_db))


class _Loss(NamedTuple):
    db: float
    miou_points: float | None


class _Trial:
    """Compares quantized graphs with the float graph on noisy frames."""

    def __init__(
        self,
        model: ir.Model,
        outputs: Sequence[str],
        shown: Sequence[tuple[float, Frame, Given]],
        intervals: Sequence[Interval],
        engine: Engine,
        folder: Path,
    ) -> None:
        """Store what is compared.

        outputs: the denoised frame, and a label map if there is one.
        shown: (sigma, clean frame, what the network reads) of each trial frame.
        """
        self._model, self._outputs, self._shown = model, outputs, shown
        self._intervals, self._engine, self._folder = intervals, engine, folder
        self._known: dict[frozenset[int], _Loss] = {}
        self._labels: list[Array] = []
        self._float_db, _ = self._figures(model)

    def loss(self, kept: Collection[int]) -> _Loss:
        """Return the largest loss over all noise levels. kept: convolutions in floats."""
        key = frozenset(kept)
        if key not in self._known:
            model = self._model.clone()
            quantize(model, self._intervals, self._engine, kept=key)
            given, miou_points = self._figures(model)
            worst = max(self._float_db[sigma] - given[sigma] for sigma in given)
            self._known[key] = _Loss(worst, miou_points)
        return self._known[key]

    def _figures(self, model: ir.Model) -> tuple[Mapping[float, float], float | None]:
        """Return the PSNR to the clean frames by noise level, and the disagreement of labels."""
        write_model(model, self._folder / "trial.onnx")
        run = runner_of(self._folder / "trial.onnx", self._outputs)
        errors: dict[float, list[float]] = {}
        found: list[Array] = []
        for sigma, clean, noisy in self._shown:
            denoised, *labels = run(noisy)
            errors.setdefault(sigma, []).append(_squared_error(denoised[0], clean))
            found += labels
        self._labels = self._labels or found
        # The PSNR of an exact answer is infinite: use an error of half an 8-bit step.
        psnr = {
            sigma: psnr_of_error_db(max(float(np.mean(squared)), 1 / 12), peak=255)
            for sigma, squared in errors.items()
        }
        return psnr, _disagreement(found, self._labels) if found else None


def _disagreement(given: Sequence[Array], wanted: Sequence[Array]) -> float:
    """Return 100 minus the mIoU in per cent of label maps, over the classes that occur."""
    matrix = ConfusionMatrix(1 + int(max(array.max() for array in (*given, *wanted))))
    for labels, truth in zip(given, wanted, strict=True):
        matrix.update(labels, truth)
    return 100.0 * (1.0 - matrix.mean_iou)


def _shown(
    calibration: CalibrationSet, recall: Recall | None
) -> tuple[tuple[float, Frame, Given], ...]:
    """Return (sigma, clean frame, what the network reads) of the trial frames.

    No range was measured on them. They are few, because every trial runs on them.
    """
    _, held = held_back(calibration)
    sigmas = [member.sigma for member in calibration.members]
    noisy = [n for n, sigma in enumerate(sigmas) if sigma > 0]
    numbers = [n for n in held if sigmas[n] > 0] or noisy[: len(held)]
    if not numbers:
        raise RecipeError(
            f"calibration set {calibration.name!r} has no noisy frame to measure a loss on",
            hint="give some members a sigma, or leave --max-drop and --sensitivity out",
        )
    found = given_pairs(calibration, numbers, recall)
    return tuple((sigmas[n], *pair) for n, pair in zip(numbers, found, strict=True))


def _squared_error(given: Array, clean: Frame) -> float:
    return float(np.mean((given.astype(np.float64) - clean) ** 2))
