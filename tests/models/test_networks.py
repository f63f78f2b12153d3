"""Every recipe's network; adding a recipe adds its tests."""

from __future__ import annotations

import pytest
import torch

from edgeunet.models import Network, build_network
from edgeunet.models.counts import count, skip_elements_per_pixel
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import Task

NAMES = recipe_names()


def heads(network: Network, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the heads' tensors; those of a first frame for a network that remembers."""
    if network.recurrence is None:
        return dict(network.heads(image))
    return dict(network.heads(image, recalled=network.recall(image, None)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(32, 48), (37, 51), (16, 16)])
def test_any_size_goes_in_and_comes_out(name: str, size: tuple[int, int]) -> None:
    recipe = load_recipe(name).with_width(8)
    network = build_network(recipe).eval()
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        outputs = network(image)
    assert set(outputs) == {pathway.output for pathway in recipe.pathways}
    for pathway in recipe.pathways:
        tensor = outputs[pathway.output]
        assert torch.isfinite(tensor).all()
        if pathway.head is Task.CLASSIFY:
            assert tensor.shape == (2, len(pathway.classes))
        else:
            assert tensor.shape == (2, pathway.head_channels, *size)


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_only_at_the_right_and_bottom(name: str) -> None:
    """A frame that needs no padding gives what the same frame padded by hand gives."""
    network = build_network(load_recipe(name).with_width(8)).eval()
    image = torch.rand(1, 3, 30, 37)
    bottom, right = (-side % network.multiple for side in (30, 37))
    padded = torch.nn.functional.pad(image, (0, right, 0, bottom))
    with torch.no_grad():
        cropped, whole = heads(network, image), heads(network, padded)
    for output, tensor in cropped.items():
        expected = whole[output]
        if tensor.ndim == 4:
            expected = expected[..., :30, :37]
        torch.testing.assert_close(tensor, expected)


@pytest.mark.parametrize("name", NAMES)
def test_reversed_channels_are_the_same_network(name: str) -> None:
    recipe = load_recipe(name).with_width(8)
    network = build_network(recipe).eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = network(image)
        network.reverse_image_channels()
        given = network(image.flip(1))
    for pathway in recipe.pathways:
        tensor = given[pathway.output]
        if pathway.head is Task.DENOISE:
            tensor = tensor.flip(1)
        torch.testing.assert_close(tensor, expected[pathway.output])


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = build_network(load_recipe(name).with_width(8))
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            if parameter_name.endswith(("beta", "gamma")):
                parameter.fill_(0.5)  # zero at the start, as published: nothing would flow
    image = torch.rand(2, 3, 32, 32)
    outputs = network(image)
    if network.recurrence is not None:
        outputs = network.step(image, network.step(image, None)[1])[0]
    sum(tensor.square().mean() for tensor in outputs.values()).backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None]
    assert missing == []


def test_same_seed_same_weights() -> None:
    recipe = load_recipe("unetmm").with_width(8)
    first, second, other = (build_network(recipe, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[n], second[n]) for n in first)
    assert any(not torch.equal(first[n], other[n]) for n in first)


@pytest.mark.parametrize(
    ("name", "params"),
    [("umc-shared", 10_985_654), ("umc-causal", 10_985_654), ("umc-dense", 11_769_014)],
)
def test_umc_parameters_are_the_papers(name: str, params: int) -> None:
    recipe = load_recipe(name)
    assert recipe.network.width == 32
    assert [pathway.head_channels for pathway in recipe.pathways] == [3, 19]
    assert count(recipe).params == params


def test_unet_parameters_are_the_papers() -> None:
    # UMC's U-Net baseline with three outputs (arXiv 2005.00225, table of parameters).
    assert count(load_recipe("unet")).params == 7_766_051


def test_nafnet_counts_are_as_published() -> None:
    counts = count(load_recipe("nafnet").with_width(32))
    assert counts.params == pytest.approx(29.16e6, rel=0.005)
    assert counts.macs == pytest.approx(16.05e9, rel=0.005)


@pytest.mark.parametrize("width", [8, 16, 32])
def test_the_map_is_a_fifteenth_of_the_skips(width: int) -> None:
    full = load_recipe("unetmm-full").with_width(width).network
    nafnet = load_recipe("nafnet").with_width(width).network
    assert skip_elements_per_pixel(full) * 15 == skip_elements_per_pixel(nafnet)


def test_flagship_stays_within_its_arithmetic() -> None:
    assert count(load_recipe("unetmm")).macs_per_pixel < 60e3
