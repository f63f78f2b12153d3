"""Is what a GPU answers right? Against torch FP32; where there is no torch, onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.metrics import psnr_db
from edgeunet.network_facts import NetworkFacts
from edgeunet.recipes import Recipe
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Precision, Task

Frame = Callable[[Array], Mapping[str, Array]]
Check = Callable[[Frame], list[dict[str, Any]]]


def against_torch(
    module: Any, recipe: Recipe, precision: Precision, size: tuple[int, int], run: Frame
) -> list[dict[str, Any]]:
    """Compare with torch FP32 on the CPU, on the frames that an export is checked with."""
    from edgeunet.convert.frame_module import TorchReference
    from edgeunet.convert.parity import check_parity, parity_sheets

    reference = TorchReference(module.to("cpu"), recipe)
    figures = check_parity(reference, run, recipe, precision, parity_sheets(*size))
    return [{**asdict(figure), "holds": figure.holds} for figure in figures]


def against_onnxruntime(bundle: Bundle, run: Frame) -> list[dict[str, Any]]:
    """Compare with the same bundle on the CPU, on noise, within the recipe's tolerances."""
    manifest = bundle.manifest
    size = (manifest.height, manifest.width)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    given = {name: array.copy() for name, array in run(image).items()}
    executor = Executor(bundle, "onnxruntime")
    try:
        wanted = executor.run(image)
        return [
            _figure(manifest.network, manifest.precision, output.name, output.task, given, wanted)
            for output in manifest.outputs
        ]
    finally:
        executor.close()


def _figure(
    network: NetworkFacts,
    precision: Precision,
    name: str,
    task: Task,
    given: Mapping[str, Array],
    wanted: Mapping[str, Array],
) -> dict[str, Any]:
    one, other = given[name], wanted[name]
    tolerance, int8 = network.tolerance, precision is Precision.INT8
    value: float | None
    if task is Task.DENOISE:
        psnr = psnr_db(one, other, peak=255)
        metric, limit = "psnr_db", tolerance.least_db(precision)
        value = None if math.isinf(psnr) else psnr
        holds = value is None or value >= limit
    elif task is Task.SEGMENT:
        metric, value = "label_share", float(np.mean(one != other))
        limit = tolerance.int8_label_share if int8 else tolerance.label_share
        holds = value <= limit
    else:
        metric, value = "probability", float(np.abs(one - other).max())
        limit = tolerance.int8_probability if int8 else tolerance.probability
        holds = value <= limit
    figure = {"frame": "noise", "output": name, "metric": metric, "value": value}
    return {**figure, "limit": limit, "holds": holds}
