"""Beginning with the weights of another network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgeunet.errors import WeightsError
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.train.initial import freeze, load_matching
from tests.train.toys import toy_recipe


@pytest.fixture
def trunk(tmp_path: Path) -> Path:
    path = tmp_path / "unetmm-4.safetensors"
    save_weights(build_network(toy_recipe(), seed=5), toy_recipe(), path)
    return path


def test_what_matches_is_taken_and_the_rest_is_left(trunk: Path) -> None:
    single, joint = build_network(toy_recipe(), seed=5), build_network(toy_recipe("joint"), seed=6)
    before = {name: tensor.clone() for name, tensor in joint.state_dict().items()}
    initial = load_matching(joint, trunk)
    given = single.state_dict()
    assert initial.file == "unetmm-4.safetensors"
    assert initial.matched == len(given)
    assert initial.tensors == len(before) > len(given)
    assert str(initial) == f"unetmm-4.safetensors: {len(given)} of {len(before)} tensors"
    for name, tensor in joint.state_dict().items():
        wanted = given[name].half().float() if name in given else before[name]
        assert torch.equal(tensor, wanted), name


def test_a_file_with_nothing_of_the_network(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    (name, shape), *_ = ((n, t.shape) for n, t in build_network(toy_recipe()).named_parameters())
    save_file({"elsewhere": torch.zeros(shape), name: torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="has no tensor of this network") as caught:
        load_matching(build_network(toy_recipe()), path)
    assert "same blocks, skips and width" in caught.value.hint


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    network = build_network(toy_recipe())
    with torch.no_grad():
        next(network.parameters())[0] = torch.nan
    path = tmp_path / "broken.safetensors"
    save_weights(network, toy_recipe(), path)
    with pytest.raises(WeightsError, match="holds values that are not finite, first in"):
        load_matching(build_network(toy_recipe()), path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no weight file"):
        load_matching(build_network(toy_recipe()), tmp_path / "nowhere.safetensors")


def test_frozen_parts_are_whole_modules() -> None:
    network = build_network(toy_recipe())
    freeze(network, ("encoder.1", "middle"))
    still = {name for name, value in network.named_parameters() if not value.requires_grad}
    wanted = {n for n, _ in network.named_parameters() if n.startswith(("encoder.1.", "middle."))}
    assert still == wanted
    assert still


@pytest.mark.parametrize("part", ["encoder.9", "mid", ""])
def test_a_frozen_part_that_is_not_there(part: str) -> None:
    with pytest.raises(WeightsError, match="is no part of this network") as caught:
        freeze(build_network(toy_recipe()), (part,))
    assert "'encoder'" in caught.value.hint
