"""How a network is quantized when a person says little: the set, the engine, the calibrator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.calibration import FOLDER, calibration_names, calibration_path, read_set
from edgeunet.convert.int8_order import Int8Order
from edgeunet.recipes import Recipe
from edgeunet.specs import Calibrator, Engine

if TYPE_CHECKING:
    from edgeunet.convert.sensitivity import Selection

DEFAULT_SET = "photographs"


def int8_order(
    recipe: Recipe,
    *,
    calibration: str | None = None,
    engine: Engine = Engine.ONNXRUNTIME,
    max_drop_db: float | None = None,
    keeps_ranges: bool = True,
    on_selection: Callable[[Selection], None] | None = None,
) -> Int8Order:
    """Return the order to quantize a recipe's network.

    calibration: a set's name or path; ``photographs`` unless given.
    engine: whose integer kernels the graph is for.
    max_drop_db: the most PSNR that may be lost.
    keeps_ranges: measured ranges are written beside the set. Say no for random weights, which
        never return.
    on_selection: is told what every convolution loses alone, which is then measured.

    Raises UsageError and RecipeError for a set that is not there or cannot be read.
    """
    name = calibration or DEFAULT_SET
    path = calibration_path(name)
    # What a package installed is not the user's to write to, even where it could be.
    ships = name in calibration_names()
    folder: Path | None = FOLDER if ships else path.parent
    kind = recipe.export.int8_calibrator
    return Int8Order(
        calibration=read_set(path),
        folder=folder if keeps_ranges else None,
        engine=engine,
        calibrator=None if kind is None else Calibrator(kind),
        max_drop_db=max_drop_db,
        shipped=path.parent if ships else None,
        on_selection=on_selection,
    )
