"""Levels, the bottleneck, and which tensors are skips, on graphs counted by hand."""

from __future__ import annotations

import pytest

from edgeunet.analysis.levels import levels_of
from edgeunet.analysis.liveness import liveness_of
from edgeunet.analysis.memory_report import analyse
from edgeunet.analysis.roles import Role, roles_of
from edgeunet.graph.summary import GraphView
from tests.analysis.graphs import Builder, unet, unet_with_map


def skips_at(view: GraphView, step: int) -> set[str]:
    liveness = liveness_of(view)
    roles = roles_of(view, liveness, levels_of(view))
    return {b.name for b in liveness.alive_at(step) if roles.role_of(b, step) is Role.SKIP}


def bottleneck_of(view: GraphView) -> str:
    step = levels_of(view).bottleneck_step
    assert step is not None
    return view.nodes[step].outputs[0]


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("size", [64, 96, 16])
def test_a_u_net_holds_fifteen_eighths(attention: bool, size: int) -> None:
    """C + 2C/4 + 4C/16 + 8C/64 = 15/8 C per pixel, for a bottleneck of one pixel too."""
    view = unet(16, size, 4, attention=attention)
    assert bottleneck_of(view) == "down3"
    assert analyse(view).skip_bytes * 8 == 15 * 16 * size * size * 4


def test_an_aggregated_map_is_a_fifteenth_of_that() -> None:
    view = unet_with_map(16, 64, 4)
    assert bottleneck_of(view) == "down3"
    assert analyse(view).skip_bytes * 8 == 16 * 64 * 64 * 4
    assert analyse(unet(16, 64, 4)).skip_bytes == 15 * analyse(view).skip_bytes


def test_parts_of_a_map_are_skips_while_they_wait() -> None:
    view = unet_with_map(8, 64, 4)
    step = {node.outputs[0]: node.index for node in view.nodes}
    assert skips_at(view, step["enc1"]) == {"fuse0"}
    assert skips_at(view, step["enc2"]) == {"map1"}
    # Reducing a level is work in progress, however large: no part of it waits.
    assert skips_at(view, step["rs1b"]) == {"fuse0"}
    assert skips_at(view, step["map3"]) == {"map2"}
    assert skips_at(view, step["middle"]) == {"map3"}


def test_what_serves_a_level_counts_with_it() -> None:
    """Reducing a level happens at the map's size, and so does the start of expanding it."""
    view = unet_with_map(8, 64, 4)
    levels = levels_of(view)
    labels = [run.label for run in levels.runs]
    assert labels == ["1/1", "1/2", "1/4", "1/8", "1/16", "1/8", "1/4", "1/2", "1/1"]
    step = {node.outputs[0]: node.index for node in view.nodes}
    for name, label in (("fuse0", "1/1"), ("map1", "1/2"), ("iem0a", "1/1"), ("iem2a", "1/4")):
        (run,) = [run for run in levels.runs if run.start <= step[name] < run.end]
        assert run.label == label


def test_skips_come_and_go_level_by_level() -> None:
    report = analyse(unet(8, 64, 3))
    unit = 8 * 64 * 64 * 4
    held = [summary.peak.skip_bytes for summary in report.summaries]
    labels = [(s.run.part, s.run.label) for s in report.summaries]
    assert labels == [
        ("encoder", "1/1"), ("encoder", "1/2"), ("encoder", "1/4"), ("bottleneck", "1/8"),
        ("decoder", "1/4"), ("decoder", "1/2"), ("decoder", "1/1"),
    ]  # fmt: skip
    assert held == [n * unit // 4 for n in (0, 4, 6, 7, 7, 6, 4)]


def test_a_max_pool_begins_the_bottleneck() -> None:
    b = Builder(x=(1, 3, 16, 16))
    b.node("Conv", "x", "e0", 1, 4, 16, 16)
    b.node("MaxPool", "e0", "p", 1, 4, 8, 8)
    b.node("Conv", "p", "m", 1, 8, 8, 8)
    b.node("Resize", "m", "u", 1, 8, 16, 16)
    b.node("Concat", "u e0", "cat", 1, 12, 16, 16)
    b.node("Conv", "cat", "y", 1, 3, 16, 16)
    view = b.view("y")
    assert bottleneck_of(view) == "p"
    assert analyse(view).skip_bytes == 4 * 16 * 16 * 4


def classifier(*, shortcut_first: bool = False) -> GraphView:
    """Two stages; the second halves the size and has a strided shortcut. No decoder."""
    b = Builder(x=(1, 3, 16, 16))
    b.node("Conv", "x", "e0", 1, 4, 16, 16)
    order = ["short", "a"] if shortcut_first else ["a", "short"]
    b.node("Conv", "e0", order[0], 1, 8, 8, 8)
    b.node("Conv", "e0", order[1], 1, 8, 8, 8)
    b.node("Add", "a short", "sum", 1, 8, 8, 8)
    b.node("GlobalAveragePool", "sum", "pool", 1, 8, 1, 1)
    b.node("Conv", "pool", "fc", 1, 10, 1, 1)
    b.node("Flatten", "fc", "y", 1, 10)
    return b.view("y")


@pytest.mark.parametrize("shortcut_first", [False, True])
def test_a_shortcut_around_a_strided_block_is_no_skip(shortcut_first: bool) -> None:
    view = classifier(shortcut_first=shortcut_first)
    assert bottleneck_of(view) == ("short" if shortcut_first else "a")
    assert analyse(view).skip_bytes == 0


def test_a_classification_head_is_no_level() -> None:
    assert levels_of(classifier()).sizes == ((16, 16), (8, 8))


def test_a_vector_input_is_no_level() -> None:
    b = Builder(x=(1, 3, 16, 16), noise=(1, 1, 1, 1))
    b.node("Conv", "noise", "v", 1, 4, 1, 1)
    b.node("Conv", "x", "e0", 1, 4, 16, 16)
    b.node("Mul", "e0 v", "s", 1, 4, 16, 16)
    b.node("Conv", "s", "d", 1, 4, 8, 8)
    b.node("ConvTranspose", "d", "u", 1, 4, 16, 16)
    b.node("Add", "u s", "y", 1, 4, 16, 16)
    view = b.view("y")
    assert levels_of(view).sizes == ((16, 16), (8, 8))
    assert analyse(view).skip_bytes == 4 * 16 * 16 * 4


def test_a_chain_at_one_size_has_no_bottleneck() -> None:
    b = Builder(x=(1, 3, 16, 16))
    b.node("Conv", "x", "a", 1, 4, 16, 16)
    b.node("Conv", "a", "b", 1, 4, 16, 16)
    b.node("Add", "a b", "y", 1, 4, 16, 16)
    report = analyse(b.view("y"))
    assert (report.bottleneck_step, report.skip_bytes, report.level_runs) == (None, 0, ())
    assert len(report.summaries) == 1


def test_a_graph_without_convolutions_works() -> None:
    b = Builder(x=(1, 8))
    b.node("Gemm", "x", "h", 1, 4)
    b.node("Gemm", "h", "y", 1, 2)
    report = analyse(b.view("y"))
    assert (report.skip_bytes, report.peak_live_bytes, report.frame) == (0, 16, None)


def with_frame(*, held: bool) -> GraphView:
    """The frame is added at the end: read again as it came, or kept as a float copy."""
    b = Builder(frame=(1, 16, 16, 3))
    b.node("Cast", "frame", "f", 1, 16, 16, 3)
    b.node("Transpose", "f", "planes", 1, 3, 16, 16)
    b.node("Conv", "planes", "e0", 1, 4, 16, 16)
    b.node("Conv", "e0", "d", 1, 8, 8, 8)
    b.node("ConvTranspose", "d", "u", 1, 3, 16, 16)
    b.node("Transpose", "u", "back", 1, 16, 16, 3)
    if not held:
        b.node("Cast", "frame", "again", 1, 16, 16, 3)
    b.node("Add", f"back {'f' if held else 'again'}", "y", 1, 16, 16, 3)
    return b.view("y")


def test_an_input_that_is_read_again_is_no_skip() -> None:
    assert analyse(with_frame(held=False)).skip_bytes == 0


def test_a_float_copy_of_the_frame_that_is_held_is_one() -> None:
    assert analyse(with_frame(held=True)).skip_bytes == 3 * 16 * 16 * 4


def test_views_of_a_skip_do_not_count_twice() -> None:
    b = Builder(x=(1, 3, 16, 16))
    b.node("Conv", "x", "e0", 1, 4, 16, 16)
    b.node("Reshape", "e0", "flat", 1, 4, 256)
    b.node("Conv", "e0", "d", 1, 8, 8, 8)
    b.node("ConvTranspose", "d", "u", 1, 4, 16, 16)
    b.node("Reshape", "flat", "square", 1, 4, 16, 16)
    b.node("Add", "u square", "y", 1, 4, 16, 16)
    view = b.view("y")
    assert analyse(view).skip_bytes == 4 * 16 * 16 * 4
    assert skips_at(view, 2) == {"e0"}


def test_two_pathways_hold_a_skip_until_the_second_has_it() -> None:
    b = Builder(x=(1, 3, 16, 16))
    b.node("Conv", "x", "e0", 1, 4, 16, 16)
    b.node("Conv", "e0", "d", 1, 8, 8, 8)
    for name in "ab":
        b.node("ConvTranspose", "d", f"u{name}", 1, 4, 16, 16)
        b.node("Add", f"u{name} e0", f"s{name}", 1, 4, 16, 16)
        b.node("Conv", f"s{name}", name, 1, 3, 16, 16)
    view = b.view("a", "b")
    last = next(node.index for node in view.nodes if node.outputs == ("sb",))
    assert "e0" in skips_at(view, last)
    assert skips_at(view, last + 1) == set()
    assert [s.label for s in levels_of(view).runs] == ["1/1", "1/2", "1/1"]
