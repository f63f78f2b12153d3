"""The defaults of quantization: the calibration set, the engine and the calibrator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.calibration import FOLDER, calibration_names, calibration_path, read_set
from edgeunet.convert.int8_order import Int8Order
from edgeunet.network_facts import NetworkFacts
from edgeunet.specs import Calibrator, Engine

if TYPE_CHECKING:
    from edgeunet.convert.sensitivity import Selection

DEFAULT_SET = "photographs"


def int8_order(
    network: NetworkFacts,
    *,
    calibration: str | None = None,
    engine: Engine = Engine.ONNXRUNTIME,
    max_drop_db: float | None = None,
    keeps_ranges: bool = True,
    on_selection: Callable[[Selection], None] | None = None,
) -> Int8Order:
    """Return the order to quantize a network.

    calibration: a set's name or path; default: ``photographs``.
    engine: the engine whose integer kernels the graph is for.
    max_drop_db: largest loss of PSNR, in dB.
    keeps_ranges: store measured ranges beside the set. Use False for random weights, which never
        occur again.
    on_selection: called with the loss of every convolution, which is then measured.

    Raises UsageError and RecipeError for a set that is missing or cannot be read.
    """
    name = calibration or DEFAULT_SET
    path = calibration_path(name)
    # Files of an installed package are not changed, even where they could be.
    ships = name in calibration_names()
    folder: Path | None = FOLDER if ships else path.parent
    kind = network.export.int8_calibrator
    return Int8Order(
        calibration=read_set(path),
        folder=folder if keeps_ranges else None,
        engine=engine,
        calibrator=None if kind is None else Calibrator(kind),
        max_drop_db=max_drop_db,
        shipped=path.parent if ships else None,
        on_selection=on_selection,
    )
