"""The kinds of skips, compared with the papers."""

from __future__ import annotations

import msgspec
import pytest
import torch
from torch.nn import functional

from edgeunet.models import build_network
from edgeunet.models.network import Network
from edgeunet.models.pathways import Pathway
from edgeunet.models.skips import AggregatedSkips, GatedAdd
from edgeunet.recipes import BlockKind, CascadeKind, SkipKind, load_recipe


def test_accumulated_map_is_the_papers_concatenation() -> None:
    """Compare with E' = PWConv(RS(RC(E1)) || ... || RS(RC(E4))), as the paper writes it."""
    table = load_recipe("unetmm").with_width(8).network
    torch.manual_seed(0)
    store = AggregatedSkips(table)
    encoded = [torch.rand(2, 8 * 2**k, 32 >> k, 48 >> k) for k in range(4)]
    held: list[torch.Tensor] = []
    for level, tensor in enumerate(encoded):
        held = store.collect(held, level, tensor)
        assert len(held) == 1
    reduced = torch.cat([store.reduce[k](encoded[k]) for k in range(4)], dim=1)
    fuse = store.fuse.state_dict()
    weight = torch.cat([fuse[f"{k}.weight"] for k in range(4)], dim=1)
    expected = functional.conv2d(reduced, weight, fuse["0.bias"])
    torch.testing.assert_close(held[0], expected, rtol=1e-4, atol=1e-5)
    assert held[0].numel() == 2 * 8 * 32 * 48 // 8


def set_alphas(gate: GatedAdd, alphas: torch.Tensor) -> None:
    """Set the gates by the inverse of softplus."""
    with torch.no_grad():
        gate.beta.copy_(torch.log(torch.expm1(alphas)))


def test_gates_start_open_and_can_be_read_and_set() -> None:
    gate = GatedAdd(2)
    torch.testing.assert_close(gate.alphas, torch.ones(2))
    set_alphas(gate, torch.tensor([0.25, 3.0]))
    torch.testing.assert_close(gate.alphas, torch.tensor([0.25, 3.0]))
    up, first, second = torch.rand(3, 1, 4, 5, 5).unbind()
    torch.testing.assert_close(gate(up, [first, second]), up + 0.25 * first + 3.0 * second)


def test_a_closed_gate_removes_its_skip() -> None:
    gate = GatedAdd(1)
    set_alphas(gate, torch.full((1,), 1e-6))
    up = torch.rand(1, 4, 5, 5)
    torch.testing.assert_close(gate(up, [torch.rand(1, 4, 5, 5)]), up, atol=2e-6, rtol=0)


# An aggregated map is shared by definition; recipes.py refuses the other two.
COMBINATIONS = [
    (skip, cascade)
    for skip in ("concat", "gated", "add", "aggregate")
    for cascade in ("shared", "causal", "dense")
    if skip != "aggregate" or cascade == "shared"
]


@pytest.mark.parametrize("block", ["double", "residual", "naf"])
@pytest.mark.parametrize(("skip", "cascade"), COMBINATIONS)
@pytest.mark.parametrize("up", ["bilinear", "shuffle"])
def test_any_skip_works_with_any_block_and_cascade(
    block: BlockKind, skip: SkipKind, cascade: CascadeKind, up: str
) -> None:
    recipe = load_recipe("joint").with_width(8)
    table = msgspec.structs.replace(
        recipe.network,
        block=block,
        skip=skip,
        cascade=cascade,
        up=up,
        attention="all" if block == "naf" else "none",
    )
    network = Network(table, recipe.pathways).eval()
    with torch.no_grad():
        outputs = network(torch.rand(1, 3, 24, 40))
    assert outputs["denoised"].shape == (1, 3, 24, 40)
    assert outputs["labels"].shape == (1, 11, 24, 40)


@pytest.mark.parametrize(
    ("cascade", "reads"),
    [("shared", {"encoder"}), ("causal", {"first"}), ("dense", {"encoder", "first"})],
)
def test_what_the_second_pathway_reads(cascade: str, reads: set[str]) -> None:
    """Watch the inputs of its merges."""
    recipe = load_recipe(f"umc-{cascade}").with_width(8)
    network = build_network(recipe).eval()
    first, second = (m for m in network.pathways if isinstance(m, Pathway))
    seen: dict[str, torch.Tensor] = {}
    joined: list[torch.Tensor] = []
    network.encoder[0].register_forward_hook(lambda m, i, y: seen.__setitem__("encoder", y))
    first.stages[0].register_forward_hook(lambda m, i, y: seen.__setitem__("first", y))
    second.merges[0].register_forward_hook(lambda m, i, y: joined.extend(i[1]))
    with torch.no_grad():
        network(torch.rand(1, 3, 32, 32))
    names = {name for name, tensor in seen.items() if any(tensor is other for other in joined)}
    assert names == reads
    assert len(joined) == len(reads)
