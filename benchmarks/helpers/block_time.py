"""How wide NAF blocks may be to take as long as residual convolutions, in onnxruntime."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from edgeunet.calibration import calibration_path, read_set
from edgeunet.cli.console import note
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.int8_order import Int8Order
from edgeunet.engine import open_session
from edgeunet.recipes import load_recipe
from edgeunet.specs import FRAME, Calibrator, Engine, Precision

SIZE = (256, 256)
RUNS = 15
SET = "photographs"


def equal_time(residual: int) -> tuple[int, str]:
    """Return the NAF width that takes about as long as residual blocks in FP32, and a remark.

    residual: the width of these. The remark says how long that width takes, in 8 bits as well.
    """
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as name:
        folder = Path(name)
        found = {}
        for naf in range(max(2, residual // 2), residual * 2 + 1, 2):
            found[naf] = time_ratio(folder, residual, naf, Precision.FP32)
            note(f"naf blocks of width {naf} take {found[naf]:.2f} of residual ones of {residual}")
            if found[naf] > 1:
                break
        naf = min(found, key=lambda width: abs(found[width] - 1))
        eight = time_ratio(folder, residual, naf, Precision.INT8)
    return naf, (
        f"naf of width {naf} takes {found[naf]:.2f} of the time of residual of width {residual} "
        f"and {eight:.2f} in 8 bits"
    )


def time_ratio(folder: Path, residual: int, naf: int, precision: Precision) -> float:
    """Return the median of NAF seconds over residual seconds, measured in turns."""
    sessions = []
    for name, width in (("unetmm", residual), ("unetmm-naf", naf)):
        recipe = load_recipe(name).with_width(width)
        order = ExportOrder(recipe, *SIZE, precision, int8=_int8(precision))
        bundle = draft_bundle(order, folder / f"{name}-{width}-{precision}.bundle")
        sessions.append(open_session(bundle.file(bundle.manifest.stages[0].graph), "onnxruntime"))
    frame = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3)).astype(np.uint8)
    ratios = []
    for _ in range(RUNS):
        seconds = []
        for session in sessions:
            start = time.perf_counter()
            session.run({FRAME: frame})
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[1] / seconds[0])
    for session in sessions:
        session.close()
    return statistics.median(ratios)


def _int8(precision: Precision) -> Int8Order | None:
    if precision is not Precision.INT8:
        return None
    # The kernels are the same whatever the ranges; the quickest to find will do.
    return Int8Order(read_set(calibration_path(SET)), None, Engine.ONNXRUNTIME, Calibrator.MINMAX)
