"""Networks that remember: nothing at first, then what still fits."""

from __future__ import annotations

import msgspec
import pytest
import torch

from edgeunet.models.counts import count
from edgeunet.models.judge import Judge
from edgeunet.models.network import Network, build_network
from edgeunet.models.recurrence import COUNT_STEPS, no_memory
from edgeunet.models.trust import MOST_COUNT
from edgeunet.recipes import Recipe, TemporalKind, load_recipe

KINDS: tuple[TemporalKind, ...] = ("blend", "fuse")


def recipe_of(kind: TemporalKind, name: str = "unetmm") -> Recipe:
    recipe = load_recipe(name).with_width(4)
    return msgspec.structs.replace(
        recipe, network=msgspec.structs.replace(recipe.network, temporal=kind)
    )


def twin_of(single: Network, recipe: Recipe) -> Network:
    """Return the network that remembers, with the weights of the one that does not."""
    network = build_network(recipe).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.startswith("recurrence."):
                continue
            given = single.state_dict()[name]
            tensor.zero_()
            tensor[(slice(None), slice(0, given.shape[1])) if tensor.ndim == 4 else ...] = given
    return network


def trusting(network: Network, trust: float, gate: float) -> None:
    """Make a network use its memory: the strength of its trust, and what its gate says."""
    assert network.recurrence is not None
    bias = network.recurrence.gate[-1].bias
    assert isinstance(bias, torch.Tensor)
    with torch.no_grad():
        network.recurrence.trust.strength.fill_(trust)
        bias.fill_(gate)


def frames(number: int, height: int = 48, width: int = 64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, height, width, generator=generator) for _ in range(number)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["unetmm", "nafnet-small", "joint"])
@torch.no_grad()
def test_a_new_network_is_that_of_single_frames(kind: TemporalKind, name: str) -> None:
    single = build_network(load_recipe(name).with_width(4)).eval()
    network = twin_of(single, recipe_of(kind, name))
    memory = None
    for image in frames(3, 50, 70):
        outputs, memory = network.step(image, memory)
        for output, expected in single(image).items():
            assert torch.equal(outputs[output], expected)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_memory_of_zeros_is_no_memory(kind: TemporalKind) -> None:
    network = build_network(recipe_of(kind)).eval()
    trusting(network, 1.0, 1.0)
    (image,) = frames(1, 50, 70)
    fresh, after = network.step(image, None)
    zeros = no_memory(image, network.multiple, fuse=kind == "fuse")
    outputs, same = network.step(image, zeros)
    assert torch.equal(outputs["denoised"], fresh["denoised"])
    assert torch.equal(after.count, same.count)


@torch.no_grad()
def test_full_trust_averages_what_stays_the_same() -> None:
    network = build_network(recipe_of("fuse")).eval()
    trusting(network, 1.0, 0.0)
    network.pathways[0].head.weight.zero_()  # type: ignore[union-attr, operator]
    network.pathways[0].head.bias.zero_()  # type: ignore[union-attr, operator]
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 8, 8, generator=generator)
    scene = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="nearest")
    errors, memory = [], None
    for _ in range(12):
        noisy = scene + 0.1 * torch.randn(scene.shape, generator=generator)
        _, memory = network.step(noisy, memory)
        assert memory.fused is not None
        errors.append(float((memory.fused - scene.clamp(0, 1)).square().mean()))
    assert memory is not None
    assert errors[-1] < errors[0] / 3
    assert float(memory.count.max()) == 12


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_memories_are_what_8_bits_hold(kind: TemporalKind) -> None:
    network = build_network(recipe_of(kind)).eval()
    trusting(network, 0.7, 0.5)
    memory = None
    for image in frames(4):
        _, memory = network.step(image, memory)
    assert memory is not None
    kept = [(memory.previous, 255.0), (memory.count, COUNT_STEPS)]
    kept += [] if memory.fused is None else [(memory.fused, 255.0)]
    for values, steps in kept:
        levels = values * steps
        assert torch.allclose(levels, levels.round(), atol=1e-3)
        assert 0 <= float(levels.min()) <= float(levels.max()) <= 255
    assert MOST_COUNT * COUNT_STEPS <= 255


@torch.no_grad()
def test_channels_in_the_other_order_are_the_same_network() -> None:
    network = build_network(recipe_of("fuse")).eval()
    trusting(network, 0.7, 0.5)
    reversed_ = build_network(recipe_of("fuse")).eval()
    reversed_.load_state_dict(network.state_dict())
    reversed_.reverse_image_channels()
    memory, other = None, None
    for image in frames(3):
        outputs, memory = network.step(image, memory)
        found, other = reversed_.step(image.flip(1), other)
    assert torch.allclose(found["denoised"].flip(1), outputs["denoised"], atol=1e-2)


def test_a_judge_that_trusts_nothing_can_learn_to() -> None:
    judge = Judge(2).train()
    last = judge[-1]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.bias.fill_(-1.0)
    features = torch.rand(1, 2, 8, 8)
    more: torch.Tensor = -judge(features).mean()
    assert float(torch.autograd.grad(more, last.bias)[0]) < 0
    less_than_nothing: torch.Tensor = judge(features).mean()
    assert float(torch.autograd.grad(less_than_nothing, last.bias)[0]) == 0


def test_gradients_reach_the_frames_before() -> None:
    network = build_network(recipe_of("fuse")).train()
    trusting(network, 0.5, 0.5)
    first, second = frames(2)
    first.requires_grad_()
    _, memory = network.step(first, None)
    outputs, _ = network.step(second, memory)
    loss: torch.Tensor = outputs["denoised"].square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert first.grad is not None
    assert float(first.grad.abs().max()) > 0
    assert network.recurrence is not None
    for parameter in network.recurrence.parameters():
        assert parameter.grad is not None


def test_what_remembering_costs() -> None:
    single, blend, fuse = (
        count(recipe_of(kind).with_width(16)).macs_per_pixel for kind in ("none", *KINDS)
    )
    assert single < blend < fuse < single * 1.06


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_without_temporal_has_no_memory(kind: TemporalKind) -> None:
    network = build_network(load_recipe("unetmm").with_width(4))
    with pytest.raises(ValueError, match="has no memory"):
        network.step(frames(1)[0], None)
