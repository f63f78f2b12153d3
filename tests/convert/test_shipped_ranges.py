"""The ranges that ship are those of the weights, the graphs and the set that ship."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeunet.calibration import load_calibration_set
from edgeunet.convert import recalled_inputs
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.quantizing import ranges_of
from edgeunet.graph.int8_placement import Points
from edgeunet.recipes import folder, load_recipe, recipe_names, recipe_path
from edgeunet.specs import Engine, Precision

SET = "photographs"
TRAINED = [(name, int(width)) for name in recipe_names() for width in load_recipe(name).weights]
RANGES = folder("calibration") / "ranges"
SHIPPED = [(n, w) for n, w in TRAINED if (RANGES / f"{n}-{w}-{SET}.json").is_file()]


def test_there_are_no_other_ranges() -> None:
    """Of toys and of trained networks that do not ship, left behind by an export here."""
    known = {f"{name}-{width}-{SET}.json" for name, width in TRAINED}
    assert {path.name for path in RANGES.glob("*")} - known == set()


def nobody(*arguments: object) -> Iterator[object]:
    raise AssertionError("the frames are not needed any more")


@pytest.mark.parametrize(("name", "width"), SHIPPED, ids=[f"{n}-{w}" for n, w in SHIPPED])
def test_exporting_needs_no_measurement(
    name: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails: delete the file, and export in the checkout (see calibration/README.md)."""
    monkeypatch.setattr(recalled_inputs, "pairs", nobody)
    monkeypatch.setattr(recalled_inputs, "clips", nobody)
    recipe = load_recipe(name).with_width(width)
    weights = recipe.trained_weights(recipe_path(name).parent)
    calibration = load_calibration_set(SET)
    model = graphs_of_recipe(recipe, weights).at(
        calibration.height, calibration.width, Precision.FP32
    )
    order = Int8Order(calibration, tmp_path, Engine.ONNXRUNTIME, shipped=folder("calibration"))
    ranges = ranges_of(model, recipe, order)
    assert len(ranges.tensors) == len(Points(model, Engine.ONNXRUNTIME).values)
    assert list(tmp_path.iterdir()) == []
    for engine in Engine:
        assert ranges.fidelity_db[engine][ranges.best(engine)] > 10
