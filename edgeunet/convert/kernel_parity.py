"""Do this processor's integer kernels compute what an INT8 graph says?

Parity with torch FP32 cannot tell: 8 bits differ from it by much more than good kernels do. The
same graph computed in floats between its quantizers differs from them by rounding alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from edgeunet.convert.parity import Frame, ParityFigure, Sheet
from edgeunet.errors import ParityError
from edgeunet.metrics import psnr_db
from edgeunet.network_facts import NetworkFacts, OutputFacts
from edgeunet.processors import this_processor
from edgeunet.specs import Array, Task

KERNELS_DB = "kernels_db"
KERNELS_LABEL_SHARE = "kernels_label_share"
KERNELS_PROBABILITY = "kernels_probability"


def check_kernels(
    run: Callable[[Frame], Mapping[str, Array]],
    run_in_floats: Callable[[Frame], Mapping[str, Array]],
    facts: NetworkFacts,
    sheet: Sheet,
) -> list[ParityFigure]:
    """Run both on a sheet and return a figure per output, over the whole of it.

    run: the graph on integer kernels; run_in_floats: without them. From a frame, (H, W, 3) uint8
    BGR, to its outputs by name, in bytes.
    """
    # What one returns may be overwritten by the other.
    given = {name: array.copy() for name, array in run(sheet.image).items()}
    reference = run_in_floats(sheet.image)
    return [
        _figure(sheet.name, pathway, given[pathway.output], reference[pathway.output], facts)
        for pathway in facts.pathways
    ]


def require_kernels(figures: list[ParityFigure]) -> None:
    """Raise ParityError with the first figure that misses its limit."""
    for figure in figures:
        if not figure.holds:
            raise ParityError(
                f"the integer kernels compute something else than the INT8 graph says: "
                f"{figure.output} on the {figure.frame} frame has {figure.metric} "
                f"{figure.value:.4g}, the limit is {figure.limit:.4g}",
                hint=f"onnxruntime is wrong on this processor ({this_processor().title}), or "
                "the tolerance is too narrow; export with --fp32",
            )


def _figure(
    frame: str, pathway: OutputFacts, given: Array, reference: Array, facts: NetworkFacts
) -> ParityFigure:
    tolerance, output = facts.tolerance, pathway.output
    if pathway.head is Task.DENOISE:
        psnr = psnr_db(given, reference, peak=255)
        value = None if math.isinf(psnr) else psnr
        return ParityFigure(frame, output, KERNELS_DB, value, tolerance.int8_kernels_db)
    if pathway.head is Task.SEGMENT:
        share = float(np.mean(given != reference))
        limit = tolerance.int8_label_share
        return ParityFigure(frame, output, KERNELS_LABEL_SHARE, share, limit)
    worst = float(np.abs(given.astype(np.float64) - reference).max())
    # NaN compares false with everything: it must not pass as small.
    worst = math.inf if math.isnan(worst) else worst
    return ParityFigure(frame, output, KERNELS_PROBABILITY, worst, tolerance.int8_probability)
