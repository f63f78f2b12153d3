"""Which output decides what is learned in the parts of a network that several use."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.gradient_shares import shares
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from tests.train.toys import TABLE, labelled_samples, toy_recipe


def test_the_gradients_of_each_output_in_what_both_use(tmp_path: Path) -> None:
    table = msgspec.structs.replace(TABLE, weights={"labels": 0.25})
    recipe = toy_recipe("joint", table=table)
    weights = tmp_path / "joint.safetensors"
    save_weights(build_network(recipe, seed=1), recipe, weights)
    rows = shares(recipe, weights, labelled_samples(), 2)
    assert {"stem", "encoder.0", "encoder.1", "middle.0"} <= {str(row["part"]) for row in rows}
    assert not [row for row in rows if str(row["part"]).startswith("pathways")]
    for clean, labels in zip(rows[::2], rows[1::2], strict=True):
        assert (clean["part"], clean["output"]) == (labels["part"], "denoised")
        assert labels["output"] == "labels"
        norms = [float(str(row["rms_norm"])) for row in (clean, labels)]
        assert min(norms) > 0
        assert float(str(labels["weighted"])) == pytest.approx(0.25 * norms[1], rel=0.01)
        assert float(str(labels["equal_weight"])) == pytest.approx(norms[0] / norms[1], rel=0.06)
        assert float(str(clean["equal_weight"])) == 1
