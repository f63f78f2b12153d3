"""The options of ``edgeunet train --qat``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.choosing.shipped_weights import no_shipped_weights, shipped_weights
from edgeunet.cli.int8 import read_int8
from edgeunet.convert.int8_order import Int8Order
from edgeunet.errors import UsageError
from edgeunet.recipes import Recipe
from edgeunet.specs import Precision

if TYPE_CHECKING:
    from edgeunet.qat.exported_bits import ExportedBits


@dataclass(frozen=True)
class QatChoice:
    """The quantization order, the initial weights, and the calibration set.

    init: None for a resumed run.
    set_name: the calibration set, as the user gave it.
    """

    int8: Int8Order
    init: Path | None
    set_name: str | None

    def exported_bits(self, recipe: Recipe, report: Callable[[str], None]) -> ExportedBits:
        """Return the fake quantization for the training loop."""
        from edgeunet.qat.exported_bits import ExportedBits

        return ExportedBits(recipe, self.int8, report)


def read_qat(
    recipe: Recipe,
    model: str,
    *,
    qat: bool,
    target: str | None,
    calibration: str | None,
    init: Path | None,
    mixed_precision: str,
    going_on: bool,
) -> QatChoice | None:
    """Return the choice for a fine-tune in 8 bits; None for any other training.

    A recipe whose [train] has ``quantized_for`` is fine-tuned also without ``--qat``.
    going_on: the run is resumed from a checkpoint, which has the ranges and the initial weights.
    """
    planned = None if recipe.train is None else recipe.train.quantized_for
    if not qat and planned is None:
        for flag, given in (("--target", target), ("--calibration", calibration)):
            if given is not None:
                raise UsageError(
                    f"{flag} is for a fine-tune in 8 bits", hint=f"add --qat, or leave {flag} out"
                )
        return None
    if mixed_precision != "no":
        raise UsageError(
            f"--qat computes in FP32: {mixed_precision} is coarser than the 8 bits it imitates",
            hint="leave --mixed-precision out",
        )
    # Ranges of the initial weights are not stored, because they are not exported.
    int8 = read_int8(
        Precision.INT8,
        recipe,
        calibration=calibration,
        target=target or planned,
        keeps_ranges=False,
    )
    weights = init
    if weights is None and not going_on:
        weights = shipped_weights(model, recipe)
    if int8 is None or (weights is None and not going_on):
        raise no_shipped_weights(
            recipe,
            because="--qat fine-tunes a trained network",
            hint="train it without --qat first, then give its weights with --init",
        )
    return QatChoice(int8, weights, calibration)
