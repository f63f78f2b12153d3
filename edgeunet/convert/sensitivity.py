"""What each convolution loses in 8 bits, and the fewest to keep in floats for a given loss.

A loss is in dB of PSNR to the frame without noise, on noisy frames of the calibration set that no
range was measured on; of several noise levels the worst counts.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgeunet.calibrations import CalibrationSet, Frame, OpenClip, pairs
from edgeunet.errors import RecipeError, UsageError
from edgeunet.graph.points import Points
from edgeunet.graph.quantized import Interval, quantize
from edgeunet.graph.view import write_model
from edgeunet.quantize.histograms import runner_of
from edgeunet.quantize.ranges import held_back
from edgeunet.recipes import Recipe
from edgeunet.specs import Array, Engine, Task


@dataclass(frozen=True)
class LayerLoss:
    """One convolution, by its number in execution order: the loss with it alone in 8 bits."""

    number: int
    name: str
    loss_db: float


@dataclass(frozen=True)
class Selection:
    """The convolutions kept in floats, most sensitive first, and the loss that is left."""

    kept: tuple[LayerLoss, ...]
    loss_db: float


def select_floats(
    model: ir.Model,
    recipe: Recipe,
    calibration: CalibrationSet,
    intervals: Sequence[Interval],
    engine: Engine,
    max_drop_db: float,
    report: Callable[[str], None] = lambda text: None,
    open_clip: OpenClip | None = None,
) -> Selection:
    """Return the fewest convolutions, along the ranking of single losses, that meet a loss.

    model: the float graph at the set's frame size. Raises UsageError for a network that does not
    denoise, RecipeError for a set without noisy frames. With all in floats nothing is lost.
    """
    output = next((p.output for p in recipe.pathways if p.head is Task.DENOISE), None)
    if output is None:
        raise UsageError(
            f"--max-drop is a loss of PSNR, and {recipe.name} has no denoise output",
            hint="leave --max-drop out",
        )
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
        shown = _shown(calibration, open_clip)
        trial = _Trial(model, output, shown, intervals, engine, Path(folder))
        points = Points(model, engine)
        numbers = [i for i, n in enumerate(points.convolutions) if n in points.quantized]
        if trial.loss_db(()) <= max_drop_db:
            return Selection((), trial.loss_db(()))
        report(f"measuring what each of {len(numbers)} convolutions loses alone")
        losses = sorted(
            (
                LayerLoss(
                    number,
                    _name(points.convolutions[number]),
                    trial.loss_db([other for other in numbers if other != number]),
                )
                for number in numbers
            ),
            key=lambda one: -one.loss_db,
        )
        ranked = [one.number for one in losses]
        least, most = 1, len(ranked)
        while least < most:
            middle = (least + most) // 2
            if trial.loss_db(ranked[:middle]) <= max_drop_db:
                most = middle
            else:
                least = middle + 1
        found = trial.loss_db(ranked[:least])
    return Selection(tuple(losses[:least]), found)


class _Trial:
    """Quantized graphs against the float one, by what they make of noisy frames."""

    def __init__(
        self,
        model: ir.Model,
        output: str,
        shown: Sequence[tuple[float, Frame, Frame]],
        intervals: Sequence[Interval],
        engine: Engine,
        folder: Path,
    ) -> None:
        """shown: sigma, the clean frame and the noisy one."""
        self._model, self._output, self._shown = model, output, shown
        self._intervals, self._engine, self._folder = intervals, engine, folder
        self._known: dict[frozenset[int], float] = {}
        self._float_db = self._psnr_db(model)

    def loss_db(self, kept: Collection[int]) -> float:
        """Return the largest loss of all noise levels, with some convolutions in floats."""
        key = frozenset(kept)
        if key not in self._known:
            model = self._model.clone()
            quantize(model, self._intervals, self._engine, kept=key)
            given = self._psnr_db(model)
            self._known[key] = max(self._float_db[sigma] - given[sigma] for sigma in given)
        return self._known[key]

    def _psnr_db(self, model: ir.Model) -> Mapping[float, float]:
        """Return the PSNR to the clean frames by noise level."""
        write_model(model, self._folder / "trial.onnx")
        run = runner_of(self._folder / "trial.onnx", [self._output])
        errors: dict[float, list[float]] = {}
        for sigma, clean, noisy in self._shown:
            errors.setdefault(sigma, []).append(_squared_error(run(noisy)[0][0], clean))
        # An answer that is exact has no PSNR: as good as half of one step in 8 bits.
        return {
            sigma: 10 * math.log10(255.0**2 / max(float(np.mean(found)), 1 / 12))
            for sigma, found in errors.items()
        }


def _shown(
    calibration: CalibrationSet, open_clip: OpenClip | None
) -> tuple[tuple[float, Frame, Frame], ...]:
    """Return sigma, the clean and the noisy frame of what losses are measured on.

    They are held back from measuring ranges, and few: every trial runs them.
    """
    _, held = held_back(calibration)
    sigmas = [member.sigma for member in calibration.members]
    noisy = [n for n, sigma in enumerate(sigmas) if sigma > 0]
    numbers = [n for n in held if sigmas[n] > 0] or noisy[: len(held)]
    if not numbers:
        raise RecipeError(
            f"calibration set {calibration.name!r} has no noisy frame to measure a loss on",
            hint="give some members a sigma, or leave --max-drop out",
        )
    found = pairs(calibration, numbers, open_clip)
    return tuple((sigmas[n], *pair) for n, pair in zip(numbers, found, strict=True))


def _squared_error(given: Array, clean: Frame) -> float:
    return float(np.mean((given.astype(np.float64) - clean) ** 2))


def _name(node: ir.Node) -> str:
    weight = node.inputs[1]
    return (weight.name if weight is not None else None) or node.name or ""
