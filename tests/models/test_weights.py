"""Weight files: safetensors only, complete, and for the right network."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgeunet.errors import WeightsError
from edgeunet.models import build_network
from edgeunet.models.weights import leave_out, load_weights, save_weights
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


@pytest.fixture
def sharing(tmp_path: Path) -> tuple[Path, Path]:
    """Return a file with the stem's weights only, and the file that has all other tensors."""
    network = build_network(RECIPE, seed=1)
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_weights(network, RECIPE, first)
    with torch.no_grad():
        network.stem.weight.add_(1)  # type: ignore[union-attr]
    save_weights(network, RECIPE, second)
    leave_out(second, first, tmp_path / "small.safetensors")
    second.rename(tmp_path / "whole.safetensors")
    return tmp_path / "small.safetensors", first


def test_shared_tensors_are_read_from_the_other_file(sharing: tuple[Path, Path]) -> None:
    small, first = sharing
    assert small.stat().st_size < first.stat().st_size / 10
    networks = [build_network(RECIPE, seed=seed) for seed in (2, 3)]
    for network, path in zip(networks, (small, small.with_name("whole.safetensors")), strict=True):
        load_weights(network, path)
    wanted = networks[1].state_dict()
    assert all(torch.equal(t, wanted[n]) for n, t in networks[0].state_dict().items())


def test_a_missing_shared_file(sharing: tuple[Path, Path]) -> None:
    small, first = sharing
    first.unlink()
    with pytest.raises(WeightsError, match=r"only what differs from first\.safetensors") as caught:
        load_weights(build_network(RECIPE), small)
    assert "put first.safetensors into" in caught.value.hint


def test_a_changed_shared_file(sharing: tuple[Path, Path]) -> None:
    small, first = sharing
    save_weights(build_network(RECIPE, seed=7), RECIPE, first)
    with pytest.raises(WeightsError, match=r"made for another first\.safetensors"):
        load_weights(build_network(RECIPE), small)


def test_weights_with_nothing_in_common(saved: Path, tmp_path: Path) -> None:
    recipe = RECIPE.with_width(4)
    other = tmp_path / "other.safetensors"
    save_weights(build_network(recipe, seed=4), recipe, other)
    with pytest.raises(WeightsError, match="no tensor in common"):
        leave_out(other, saved, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
