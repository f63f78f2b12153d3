"""Laid out for the CPU: the same numbers, the operators that were meant, nothing else touched."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from edgeunet.graph.for_engine import read_frame_late
from edgeunet.graph.half import to_half
from edgeunet.graph.layout import LayoutCounts, lay_out_for_cpu
from edgeunet.graph.stages import FrameGraph
from edgeunet.graph.values import Floats, add_initializer, constant_of, set_input, static_shape
from edgeunet.specs import COUNT_NEXT, Engine
from tests.convert.small import DISTINCT, LEAST_COUNT, base

BY_RUNS = ["Transpose", "Reshape", "Transpose", "Reshape", "Transpose"]
BY_PRODUCT = ["Transpose", "Flatten", "Reshape", "MatMul", "Reshape", "Transpose"]


@pytest.mark.parametrize("mode", ["CRD", "DCR"])
@pytest.mark.parametrize("block", [2, 4])
def test_shuffle_by_runs(mode: str, block: int) -> None:
    model = small(
        f"""
        y = Conv <kernel_shape = [1, 1]> (x, w, b)
        s = DepthToSpace <blocksize = {block}, mode = "{mode}"> (y)
        """,
        {"w": (5 * block**2, 3, 1, 1), "b": (5 * block**2,)},
        "s",
    )
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=1, sums=0, held=0, narrow=0)
    assert kinds(model) == ["Conv", *BY_RUNS]
    same(model, before)


@pytest.mark.parametrize("mode", ["CRD", "DCR"])
@pytest.mark.parametrize("block", [2, 4])
def test_shuffle_by_product(mode: str, block: int) -> None:
    model = small(
        f"""
        y = Conv <kernel_shape = [1, 1]> (x, w)
        s = DepthToSpace <blocksize = {block}, mode = "{mode}"> (y)
        """,
        {"w": (8 * block**2, 3, 1, 1)},
        "s",
    )
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=1, sums=0, held=0, narrow=0)
    assert kinds(model) == BY_PRODUCT
    same(model, before)


@pytest.mark.parametrize(
    ("kernel", "channels", "attributes"),
    [
        (3, 32, "pads = [1, 1, 1, 1]"),
        (1, 32, "pads = [1, 1, 1, 1]"),
        (1, 28, "pads = [0, 0, 0, 0]"),
    ],
    ids=["3x3", "padded", "few results"],
)
def test_no_product(kernel: int, channels: int, attributes: str) -> None:
    model = small(
        f"""
        y = Conv <kernel_shape = [{kernel}, {kernel}], {attributes}> (x, w)
        s = DepthToSpace <blocksize = 2> (y)
        """,
        {"w": (channels, 3, kernel, kernel)},
        "s",
    )
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=1, sums=0, held=0, narrow=0)
    assert kinds(model) == ["Conv", *BY_RUNS]
    same(model, before)


def test_a_sum_writes_over_what_was_shuffled() -> None:
    model = small(
        """
        y = Conv <kernel_shape = [1, 1]> (x, w)
        s = DepthToSpace <blocksize = 2> (y)
        u = ConvTranspose <kernel_shape = [2, 2], strides = [2, 2]> (x, k)
        c = Conv <kernel_shape = [1, 1]> (u, v)
        r = Add (s, c)
        """,
        {"w": (64, 3, 1, 1), "k": (3, 3, 2, 2), "v": (16, 3, 1, 1)},
        "r",
    )
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=1, sums=1, held=0, narrow=0)
    first, second = next(node for node in model.graph if node.op_type == "Add").inputs
    assert first is not None
    assert second is not None
    assert first.name == "c"
    assert second.producer() is not None
    same(model, before)


def test_columns_together_before_a_crop() -> None:
    model = small(
        """
        y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w, b)
        first = Constant <value_ints = [0, 1]> ()
        last = Constant <value_ints = [3, 7]> ()
        axes = Constant <value_ints = [2, -1]> ()
        s = Slice (y, first, last, axes)
        t = Transpose <perm = [0, 2, 3, 1]> (s)
        """,
        {"w": (3, 3, 3, 3), "b": (3,)},
        "t",
        width=8,
    )
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=0, sums=0, held=0, narrow=1)
    assert kinds(model)[-4:] == ["Conv", "Transpose", "Reshape", "Slice"]
    assert [value.name for value in model.graph.outputs] == ["t"]
    same(model, before)


def test_the_frame_is_read_late() -> None:
    model = read_frame_late(base("unetmm").clone(), Engine.ONNXRUNTIME)
    first = [node.op_type for node in model.graph][:3]
    assert first == ["Cast"] * 3
    assert all(node.inputs[0].is_graph_input() for node in list(model.graph)[:3] if node.inputs[0])


def test_unshuffle_by_runs() -> None:
    model = small(
        """
        y = Conv <kernel_shape = [1, 1]> (x, w)
        s = SpaceToDepth <blocksize = 2> (y)
        """,
        {"w": (16, 3, 1, 1)},
        "s",
    )
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=1, sums=0, held=0, narrow=0)
    assert kinds(model) == ["Conv", *BY_RUNS]
    same(model, before)


@pytest.mark.parametrize(("channels", "groups"), [(16, 16), (8, 1)])
def test_sum_of_what_is_in_blocks(channels: int, groups: int) -> None:
    model = sum_of_shuffled("c", channels)
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=1, sums=1, held=0, narrow=0)
    (entered,) = [node for node in model.graph if "group" in node.attributes]
    assert entered.attributes["group"].as_int() == groups
    same(model, before)


def test_sum_with_what_is_not_in_blocks() -> None:
    model = sum_of_shuffled("t", 16)
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=1, sums=0, held=0, narrow=0)
    same(model, before)


@pytest.mark.parametrize(
    ("channels", "kernel", "width", "together"),
    [(3, 3, 8, 4), (3, 3, 6, 2), (5, 3, 8, 2), (2, 1, 8, 4), (4, 1, 8, 2), (1, 5, 16, 16)],
)
def test_columns_together(channels: int, kernel: int, width: int, together: int) -> None:
    pad = kernel // 2
    model = narrow(channels, kernel, width, f"pads = [{pad}, {pad}, {pad}, {pad}]")
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=0, sums=0, held=0, narrow=1)
    assert kinds(model) == ["Conv", "Transpose", "Reshape"]
    assert model.graph[0].attributes["strides"].as_ints() == (1, together)
    assert [value.name for value in model.graph.outputs] == ["t"]
    same(model, before)


def test_columns_together_with_uneven_padding() -> None:
    model = narrow(3, 3, 7, "pads = [1, 2, 0, 1]")
    before = run(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=0, sums=0, held=0, narrow=1)
    same(model, before)


@pytest.mark.parametrize(
    ("channels", "width", "attributes"),
    [
        (3, 7, "pads = [1, 1, 1, 1]"),
        (9, 8, "pads = [1, 1, 1, 1]"),
        (3, 8, "pads = [1, 1, 1, 1], strides = [1, 2]"),
        (3, 8, "pads = [2, 2, 2, 2], dilations = [2, 2]"),
        (3, 8, 'auto_pad = "SAME_UPPER"'),
        (3, 8, "pads = [1, 1, 1, 1], group = 3"),
    ],
)
def test_columns_left_alone(channels: int, width: int, attributes: str) -> None:
    model = narrow(channels, 3, width, attributes)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=0, sums=0, held=0, narrow=0)
    assert kinds(model) == ["Conv", "Transpose"]


@pytest.mark.parametrize("channels", [8, 16, 24, 48])
def test_a_held_tensor_is_summed_as_in_the_whole_graph(channels: int) -> None:
    kernels = "kernel_shape = [3, 3], pads = [1, 1, 1, 1]"
    second = f"y = Conv <{kernels}> ({{0}}, w) r = Add ({{0}}, y)"
    weights: dict[str, tuple[int, ...]] = {
        "f": (channels, 3, 1, 1),
        "w": (channels, channels, 3, 3),
    }
    whole = small(f"a = Conv <kernel_shape = [1, 1]> (x, f) {second.format('a')}", weights, "r")
    held = next(value for node in whole.graph for value in node.outputs if value.name == "a")
    whole.graph.outputs.append(held)
    wanted, given = run(whole)
    part = small(second.format("x"), {"w": weights["w"]}, "r", channels=channels)
    conv, drawn = part.graph[0], constant_of(whole.graph[1].inputs[1])
    assert drawn is not None
    set_input(conv, 1, add_initializer(part.graph, "same", drawn))
    plain = part.clone()
    assert lay_out_for_cpu(plain) == LayoutCounts(shuffles=0, sums=0, held=0, narrow=0)
    np.testing.assert_allclose(run(plain, given)[0], wanted, rtol=1e-4, atol=1e-5)
    counts = lay_out_for_cpu(part, same_bits=True)
    assert counts == LayoutCounts(shuffles=0, sums=0, held=1, narrow=0)
    assert kinds(part) == ["Conv", "Conv", "Add"]
    assert np.array_equal(run(part, given)[0], wanted)


def test_a_sum_is_fused_into_the_later_of_two_convolutions() -> None:
    body = "a = Conv (x, v) b = Conv (x, w) r = Add (a, b)"
    model = small(body, {"v": (16, 3, 1, 1), "w": (16, 3, 1, 1)}, "r")
    before = run(model)
    lay_out_for_cpu(model)
    assert [value.name for value in model.graph[2].inputs if value] == ["a", "b"]
    lay_out_for_cpu(model, same_bits=True)
    assert [value.name for value in model.graph[2].inputs if value] == ["b", "a"]
    same(model, before)


def test_what_no_convolution_is_summed_with_stays_outside() -> None:
    """A tensor that another operator reads, or a sum with what is outside the blocks."""
    for body in ("r = Sigmoid (x)", "s = Sigmoid (x) r = Add (x, s)"):
        model = small(body, {}, "r", channels=16)
        before = run(model)
        counts = lay_out_for_cpu(model, same_bits=True)
        assert counts == LayoutCounts(shuffles=0, sums=0, held=0, narrow=0)
        same(model, before)


def test_half_is_left_alone() -> None:
    model = base("unetmm").clone()
    to_half(model)
    before = kinds(model)
    assert lay_out_for_cpu(model) == LayoutCounts(shuffles=0, sums=0, held=0, narrow=0)
    assert kinds(model) == before


@pytest.mark.parametrize("name", DISTINCT)
def test_networks_say_the_same(name: str) -> None:
    model = base(name).clone()
    draw_weights(model)
    show_floats(model)
    before, names = run(model), [value.name for value in model.graph.outputs]
    counts = lay_out_for_cpu(model)
    assert counts.narrow, "every network has an image at its end"
    assert bool(counts.shuffles) == shuffles(base(name))
    assert [value.name for value in model.graph.outputs] == names
    same(model, before)


def test_stages_have_no_shuffle_left() -> None:
    for stage in FrameGraph(base("unetmm")).cut(3):
        laid = stage.at(128, 64)
        shapes = [static_shape(value) for value in laid.graph.outputs]
        draw_weights(laid)
        before = run(laid)
        lay_out_for_cpu(laid)
        assert not shuffles(laid)
        assert [static_shape(value) for value in laid.graph.outputs] == shapes
        same(laid, before)


def narrow(channels: int, kernel: int, width: int, attributes: str) -> ir.Model:
    """A convolution of a (1, 3, 4, width) tensor, then (N, H, W, C)."""
    inputs = 1 if "group" in attributes else 3
    return small(
        f"""
        y = Conv <kernel_shape = [{kernel}, {kernel}], {attributes}> (x, w, b)
        t = Transpose <perm = [0, 2, 3, 1]> (y)
        """,
        {"w": (channels, inputs, kernel, kernel), "b": (channels,)},
        "t",
        width=width,
    )


def sum_of_shuffled(other: str, channels: int) -> ir.Model:
    return small(
        f"""
        y = Conv <kernel_shape = [1, 1]> (x, w)
        s = DepthToSpace <blocksize = 2, mode = "CRD"> (y)
        u = ConvTranspose <kernel_shape = [2, 2], strides = [2, 2]> (x, k)
        c = Conv <kernel_shape = [1, 1]> (u, v)
        t = Sigmoid (c)
        r = Add ({other}, s)
        """,
        {"w": (4 * channels, 3, 1, 1), "k": (3, 3, 2, 2), "v": (channels, 3, 1, 1)},
        "r",
    )


def small(
    body: str,
    weights: dict[str, tuple[int, ...]],
    output: str,
    *,
    width: int = 6,
    channels: int = 3,
) -> ir.Model:
    """A graph in ONNX's text form, of a (1, channels, 4, width) tensor x."""
    import onnx
    from onnx import numpy_helper

    inputs = ", ".join(
        [f"float[1, {channels}, 4, {width}] x"]
        + [f"float[{', '.join(map(str, shape))}] {name}" for name, shape in weights.items()]
    )
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs})'
        f"=> (float[n, c, h, w] {output}) {{{body}}}"
    )
    generator = np.random.default_rng(0)
    for name, shape in weights.items():
        content = generator.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(content, name))
        proto.graph.input.remove(next(i for i in proto.graph.input if i.name == name))
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


def draw_weights(model: ir.Model) -> None:
    """Other weights for every convolution: some layers start at zero and would hide the rest."""
    generator = np.random.default_rng(1)
    for node in model.graph:
        weight = constant_of(node.inputs[1]) if node.op_type == "Conv" else None
        if weight is not None:
            scale = 0.8 / np.sqrt(np.prod(weight.shape[1:]))
            content = (generator.standard_normal(weight.shape) * scale).astype(np.float32)
            set_input(node, 1, add_initializer(model.graph, "drawn", content))


def show_floats(model: ir.Model) -> None:
    """Make what is rounded to bytes an output as well: a rounding hides a difference or doubles it.

    The bytes themselves go.
    """
    for index, output in enumerate(list(model.graph.outputs)):
        value, node = output, output.producer()
        while node is not None and node.op_type in ("Cast", "Round", "Clip", "ArgMax"):
            source = node.inputs[0]
            assert source is not None
            value, node = source, source.producer()
        model.graph.outputs[index] = value


def shuffles(model: ir.Model) -> bool:
    return bool({"DepthToSpace", "SpaceToDepth"} & set(kinds(model)))


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def same(model: ir.Model, wanted: list[Floats]) -> None:
    for one, other in zip(run(model), wanted, strict=True):
        if one.dtype == np.uint8:
            # What was half way between two grey levels may go to either.
            assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
            assert np.mean(one != other) < 1e-2
        else:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def run(model: ir.Model, given: Floats | None = None) -> list[Floats]:
    """Return the outputs of random inputs. given: in place of the only input."""
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    generator = np.random.default_rng(2)
    feeds = {
        node.name: generator.integers(
            LEAST_COUNT if node.name == COUNT_NEXT else 0, 256, node.shape
        ).astype(np.uint8)
        if node.type == "tensor(uint8)"
        else generator.standard_normal(node.shape).astype(np.float32)
        for node in session.get_inputs()
    }
    if given is not None:
        feeds = dict.fromkeys(feeds, given)
    result: list[Floats] = session.run(None, feeds)
    return result
