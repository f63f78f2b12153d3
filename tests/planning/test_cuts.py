"""Ways to cut a graph: windows worth trying, what cannot be cut, and in which words it says so."""

from __future__ import annotations

import functools
from unittest import mock

import numpy as np
import onnx_ir as ir

from edgeunet.frame_windows import windows
from edgeunet.graph.stages import FrameGraph
from edgeunet.planning.cuts import Cut
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import PlanRequest
from edgeunet.planning.requested_plan import choose_plan
from edgeunet.planning.window_choices import STEP, Costs, StageWindowChoices
from edgeunet.processors import AVX512_VNNI
from edgeunet.specs import Engine
from edgeunet.units import GIB, MIB
from tests.convert.small import base

SIZE = (192, 256)


@functools.cache
def cut(level: int, recompute: int = 0, name: str = "unetmm") -> Cut:
    stages = FrameGraph(base(name)).cut(level, recompute=recompute)
    costs = Costs(Engine.ONNXRUNTIME, (AVX512_VNNI,))
    sized = [StageWindowChoices(stage, SIZE, costs) for stage in stages]
    return Cut(level, recompute, sized, SIZE, Engine.ONNXRUNTIME, ["denoised"])


def test_sides_are_the_shortest_for_their_number_of_windows() -> None:
    sized = cut(2).sized[0]
    stage = sized.stage
    for length, halo, sides in zip(
        SIZE, (stage.halo_rows, stage.halo_columns), sized.sides, strict=True
    ):
        assert sides.counts[0] == 1
        assert sides.lengths[0] == length
        for side, count in zip(sides.lengths, sides.counts, strict=True):
            needed = functools.partial(windows, length, align=stage.align, halo=halo)
            assert len(needed(int(side))) == count
            if count > 1:
                assert side % STEP == 0
                shorter = int(side) - STEP
                assert shorter < sides.lengths.min() or len(needed(shorter)) > count


def test_more_room_means_no_more_work() -> None:
    work: list[float] = []
    for room in range(MIB, 16 * MIB, MIB // 2):
        windows = cut(2).within(room, None)
        if windows is None:
            assert not work, "what fits in less fits in more"
            continue
        assert [window is None for window in windows] == [not s.windowed for s in cut(2).stages]
        work.append(cut(2).work(windows))
    assert len(work) > 10
    assert work == sorted(work, reverse=True)
    assert work[0] > work[-1]


def test_the_window_with_the_least_work_is_that_of_all_that_fit() -> None:
    generator = np.random.default_rng(3)
    for sized in (one for one in cut(3).sized if one.stage.windowed):
        options = sized.options(None)
        rooms = [generator.integers(0, 2 * c.max(), 200) for c in (options.live, options.border)]
        fitting, index = options.least_work(*rooms)
        for live, border, count, chosen in zip(*rooms, fitting, index, strict=True):
            fits = (options.live <= live) & (options.border <= border)
            assert count == fits.sum()
            if count:
                assert chosen == np.argmin(np.where(fits, options.work, np.inf))
        assert fitting.min() == 0 < fitting.max()


def test_what_is_made_again_is_not_held() -> None:
    stored, again = cut(2, 0, "unet"), cut(2, 2, "unet")
    assert again.least_held_bytes < stored.least_held_bytes
    one_window = [None if not stage.windowed else SIZE for stage in stored.stages]
    assert again.work(one_window) > stored.work(one_window)


def test_covering_counts_windows_and_pixels() -> None:
    decode = cut(2).sized[-1]
    assert decode.covering(None) == (1, SIZE[0] * SIZE[1])
    assert decode.covering(SIZE) == (1, SIZE[0] * SIZE[1])
    count, pixels = decode.covering((SIZE[0], 128))
    assert count > 2, "halves overlap"
    assert pixels == SIZE[0] * 128


def test_windows_of_at_most_an_area() -> None:
    windows = cut(2).at_most(96 * 96)
    assert windows is not None
    chosen = [window for window in windows if window is not None]
    assert chosen
    assert all(rows * columns <= 96 * 96 for rows, columns in chosen)
    assert cut(2).at_most(8 * 8) is None


def test_the_smallest_window_is_allowed_and_smaller_ones_are_not() -> None:
    rows, columns = cut(3).smallest_window_size()
    assert cut(3).allows((rows, columns))
    assert cut(3).allows(None)
    assert cut(3).allows((1000, 1000)), "one window is the whole frame"
    assert not cut(3).allows((rows - STEP, columns))
    assert not cut(3).allows((rows, columns + 1))
    assert cut(3).smallest((rows, columns)) == [
        (rows, columns) if stage.windowed else None for stage in cut(3).stages
    ]


def test_a_network_without_levels_is_one_stage_in_windows() -> None:
    made_by = planner_of("c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)")
    plan = choose_plan(made_by, PlanRequest(window=(24, 32)))
    assert [(one.stage.name, one.window) for one in plan.stages] == [("windows", (24, 32))]
    assert plan.held == ()
    assert not choose_plan(made_by, PlanRequest(whole=True)).windowed
    assert not choose_plan(made_by, PlanRequest(budget_bytes=GIB)).windowed


def test_an_operator_that_needs_whole_rows_runs_once_between_windows() -> None:
    made_by = planner_of(
        """
        d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
        e = LpNormalization <axis = 2> (d)
        c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (e, w)
        """
    )
    plan = choose_plan(made_by, PlanRequest(window=(24, 32)))
    assert [(one.stage.name, one.stage.windowed) for one in plan.stages] == [
        ("windows-01", True),
        ("windows-whole-01", False),
        ("windows-02", True),
    ]


def planner_of(body: str) -> Planner:
    """A planner of a graph in ONNX's text form, from x (1, 3, 64, 64) to c of the same shape."""
    import onnx
    from onnx import numpy_helper

    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (uint8[1, 64, 64, 3] frame,
        float[3, 3, 3, 3] w, float[3, 3, 2, 2] v) => (uint8[1, 64, 64, 3] denoised) {{
        f = Cast <to = 1> (frame)
        x = Transpose <perm = [0, 3, 1, 2]> (f)
        {body}
        t = Transpose <perm = [0, 2, 3, 1]> (c)
        denoised = Cast <to = 2> (t)
        }}"""
    )
    for name, side in (("w", 3), ("v", 2)):
        content = np.ones((3, 3, side, side), np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(content, name))
        proto.graph.input.remove(next(i for i in proto.graph.input if i.name == name))
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))
    return Planner(FrameGraph(model), 64, 64, multiple=2, levels=1, name="hand")


@functools.cache
def chained(relays: tuple[int, ...] = (1, 2)) -> Cut:
    stages = FrameGraph(base("unetmm")).cut(3, relays=relays)
    costs = Costs(Engine.ONNXRUNTIME, [AVX512_VNNI])
    sized = [StageWindowChoices(stage, SIZE, costs) for stage in stages]
    return Cut(3, 0, sized, SIZE, Engine.ONNXRUNTIME, ["denoised"], relays)


def test_a_chain_holds_some_rows_of_what_is_relayed() -> None:
    names = [stage.name for stage in chained().stages]
    assert names == [
        *(f"encode-{number}" for number in (1, 2, 3)),
        "core",
        *(f"decode-{number}" for number in (1, 2, 3)),
    ]
    windows = chained().smallest(None)
    whole = [None if window is None else SIZE for window in windows]
    held = {spec.name: spec for spec in chained().held(windows)}
    for spec in chained().held(whole):
        relayed = spec.name in chained().relayed
        assert (held[spec.name].size_bytes < spec.size_bytes) == relayed
    assert chained().least_held_bytes <= chained().layout(windows).arena_bytes
    assert chained().layout(windows).arena_bytes < chained().layout(whole).arena_bytes


def test_windows_of_a_chain_fit_the_room_and_more_room_means_no_more_work() -> None:
    work = []
    for room in range(MIB, 8 * MIB, MIB // 4):
        windows = chained().within(room, None)
        if windows is not None:
            work.append(chained().work(windows))
    assert len(work) > 10
    assert work[0] > work[-1]
    assert chained().within(1, None) is None
    assert not chained().allows((64, 64)), "stages of a chain have windows of their own"


def test_chains_take_less_memory_for_the_same_arithmetic() -> None:
    """The stages of a chain have smaller halos, so their windows may be smaller."""
    made_by = Planner(FrameGraph(base("unetmm")), 720, 1280, multiple=16, levels=4, name="unetmm")
    plan = made_by.comfortable()
    assert plan.relays
    without = mock.patch("edgeunet.planning.cuts._relayed_cuts", return_value=[])
    with without:
        other = Planner(FrameGraph(base("unetmm")), 720, 1280, multiple=16, levels=4, name="unetmm")
        plain = other.comfortable()
    assert not plain.relays
    assert plan.prediction.total_bytes < 0.9 * plain.prediction.total_bytes


def test_one_chain_goes_through_the_core_and_holds_nothing_whole() -> None:
    through = chained((1, 2, 3))
    assert [stage.name for stage in through.stages] == [stage.name for stage in chained().stages]
    assert {(stage.chain, stage.windowed) for stage in through.stages} == {("through", True)}
    assert through.least_held_bytes == 0
    windows = through.smallest(None)
    assert all(window is not None for window in windows)
    held, whole = through.held(windows), through.held([SIZE] * len(windows))
    assert {spec.name for spec in held} == through.relayed
    assert all(a.size_bytes < b.size_bytes for a, b in zip(held, whole, strict=True))


def test_windows_of_a_chain_come_with_the_least_arithmetic_first_and_each_takes_less() -> None:
    found = list(chained().all_within(8 * MIB, None))
    assert len(found) > 10
    work = [chained().work(windows) for windows in found]
    assert work == sorted(work)
    fewer = list(chained().all_within(4 * MIB, None))
    assert fewer == found[-len(fewer) :], "a larger room has all that a smaller one has"
    assert found[-1] == chained().smallest(None)
