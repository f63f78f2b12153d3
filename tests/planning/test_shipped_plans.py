"""What is promised of ``unetmm`` as it ships, at 1080x1920: predicted bytes on every processor."""

from __future__ import annotations

from pathlib import Path

from edgeunet.calibration import calibration_path, read_set
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.network_plan import planner_of
from edgeunet.convert.quantizing import make_quantizer
from edgeunet.planning.planner import Planner
from edgeunet.processors import PROCESSOR_CLASSES
from edgeunet.recipes import load_recipe
from edgeunet.specs import Engine, Precision
from edgeunet.units import MIB

SIZE = (1080, 1920)
MOST_ARITHMETIC = 1.24


def planned(precision: Precision, folder: Path) -> Planner:
    recipe = load_recipe("unetmm")
    graphs = graphs_of_recipe(recipe, shipped_weights("unetmm", recipe))
    quantizer = None
    if precision is Precision.INT8:
        path = calibration_path("photographs")
        order = Int8Order(read_set(path), folder, Engine.ONNXRUNTIME, None, None, path.parent)
        quantizer = make_quantizer(order, graphs)
    return planner_of(graphs, *SIZE, precision, quantizer)


def test_fp32_takes_at_most_75_mib(tmp_path: Path) -> None:
    made_by = planned(Precision.FP32, tmp_path)
    plan = made_by.comfortable()
    assert plan.prediction.total_bytes <= 75 * MIB
    assert plan.recompute_ratio <= MOST_ARITHMETIC
    assert made_by.fitting(75 * MIB).recompute_ratio <= plan.recompute_ratio
    assert set(plan.processors) == set(PROCESSOR_CLASSES)


def test_int8_takes_at_most_40_mib(tmp_path: Path) -> None:
    plan = planned(Precision.INT8, tmp_path).comfortable()
    assert plan.prediction.total_bytes <= 40 * MIB
    assert plan.recompute_ratio <= MOST_ARITHMETIC
    assert set(plan.processors) == set(PROCESSOR_CLASSES)
