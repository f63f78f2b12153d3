"""Weights: safetensors only, whole, and of the right network."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgeunet.errors import WeightsError
from edgeunet.models import build_network
from edgeunet.models.weights import load_weights, save_weights
from edgeunet.recipes import load_recipe

RECIPE = load_recipe("unetmm").with_width(8)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    save_weights(build_network(RECIPE, seed=1), RECIPE, path)
    return path


def test_weights_survive_the_disk(saved: Path) -> None:
    network = build_network(RECIPE, seed=2)
    load_weights(network, saved)
    expected = build_network(RECIPE, seed=1)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name].half().float())


def test_batch_norm_statistics_survive(tmp_path: Path) -> None:
    recipe = load_recipe("unet").with_width(8)
    network = build_network(recipe).train()
    network(torch.rand(2, 3, 32, 32))
    save_weights(network, recipe, tmp_path / "u.safetensors")
    other = build_network(recipe, seed=5)
    load_weights(other, tmp_path / "u.safetensors")
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            other.eval()(image)["denoised"],
            network.eval()(image)["denoised"],
            atol=5e-3,
            rtol=5e-3,
        )


def test_a_full_disk_keeps_the_older_file(saved: Path) -> None:
    before = saved.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_weights(build_network(RECIPE, seed=2), RECIPE, saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weight file"):
        load_weights(build_network(RECIPE), tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, -100])
def test_truncated_file(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_weights(build_network(RECIPE), saved)


def test_weights_of_another_width(saved: Path) -> None:
    with pytest.raises(WeightsError, match="weights of another network") as caught:
        load_weights(build_network(RECIPE.with_width(16)), saved)
    assert "made for unetmm at width 8" in caught.value.hint


def test_weights_of_another_network(saved: Path) -> None:
    with pytest.raises(WeightsError, match="weights of another network"):
        load_weights(build_network(load_recipe("unet").with_width(8)), saved)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(build_network(RECIPE).state_dict(), path)
    with pytest.raises(WeightsError, match="not a whole safetensors file") as caught:
        load_weights(build_network(RECIPE), path)
    assert caught.value.hint.startswith("pickle files are not read")


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    state = {n: t.clone() for n, t in build_network(RECIPE).state_dict().items()}
    state["stem.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match="not finite, first in 'stem.weight'"):
        load_weights(build_network(RECIPE), tmp_path / "nan.safetensors")
