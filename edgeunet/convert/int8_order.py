"""The options of an INT8 export, in plain types that need no heavy package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.calibration import CalibrationSet
from edgeunet.specs import Calibrator, Engine

if TYPE_CHECKING:
    from edgeunet.convert.sensitivity import Selection


@dataclass(frozen=True)
class Int8Order:
    """How a network is to be quantized.

    calibration: the set of frames that ranges are measured on.
    folder: where measured ranges are kept; None keeps none.
    engine: whose integer kernels the graph is for.
    calibrator: how ranges are chosen; None takes the one whose network is nearest to its floats.
    max_drop_db: the most PSNR that may be lost; for it some convolutions stay in floats. None
        keeps none in floats.
    shipped: the folder of a set that ships with edgeunet, with the ranges that ship with it.
    on_selection: is told what every convolution loses alone, which is measured for it even where
        none has to stay in floats.
    """

    calibration: CalibrationSet
    folder: Path | None
    engine: Engine
    calibrator: Calibrator | None = None
    max_drop_db: float | None = None
    shipped: Path | None = None
    on_selection: Callable[[Selection], None] | None = None
