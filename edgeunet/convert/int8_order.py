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
    """The options of the quantization of a network.

    calibration: the set of frames that ranges are measured on.
    folder: where measured ranges are stored; None stores none.
    engine: the engine whose integer kernels the graph is for.
    calibrator: None takes the one whose network is nearest to the float network.
    max_drop_db: largest loss of PSNR, for which some convolutions stay in floats. None keeps none
        in floats.
    shipped: folder of a shipped set, with the ranges that ship with it.
    on_selection: called with the loss of every convolution, which is then always measured.
    """

    calibration: CalibrationSet
    folder: Path | None
    engine: Engine
    calibrator: Calibrator | None = None
    max_drop_db: float | None = None
    shipped: Path | None = None
    on_selection: Callable[[Selection], None] | None = None
