"""Slices in steps, tensors filled with one number, and pads with the other side of a picture."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgeunet.foreign.canonical import canonical
from edgeunet.foreign.reading import prepared
from edgeunet.graph.geometry import Geometry
from edgeunet.graph.values import Floats

SHAPE = (1, 3, 8, 10)


def answers(text: str, opset: int = 17) -> tuple[ir.Model, Floats, Floats]:
    """Return the canonical form of a graph from ``x`` to ``y``, its result, and the file's."""
    model = helper.make_model(
        helper.make_graph([], "g", [], []), opset_imports=[helper.make_opsetid("", opset)]
    )
    model.graph.CopyFrom(
        onnx.parser.parse_graph(f"g (float[1,3,8,10] x) => (float[a,b,c,d] y) {{ {text} }}")
    )
    model.ir_version = 10
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    written = canonical(prepared(ir.from_proto(model), "g.onnx"), {"x": SHAPE})
    x = np.random.default_rng(3).standard_normal(SHAPE).astype(np.float32)
    made, wanted = (
        ort.InferenceSession(one.SerializeToString()).run(None, {"x": x})[0]
        for one in (ir.to_proto(written), model)
    )
    return written, made, wanted


def sliced(name: str, source: str, axis: int, start: int, step: int = 2) -> str:
    """Return the text of ``source[start::step]`` along an axis."""
    stop = -(2**31) if step < 0 else 2**31
    numbers = {"a": start, "b": stop, "c": axis, "d": step}
    named = " ".join(
        f"{name}_{key} = Constant <value_ints = [{number}]> ()" for key, number in numbers.items()
    )
    return f"{named} {name} = Slice ({source}, {name}_a, {name}_b, {name}_c, {name}_d) "


@pytest.mark.parametrize("between", ["", "two = Constant <value_float = 2.0> () h = Div (r, two)"])
def test_every_second_row_and_column_is_one_slice(between: str) -> None:
    """As the first layer of YOLOv5, and the wavelets of MWCNN, which are halved in between."""
    half = "h" if between else "r"
    parts = [sliced(f"p{n}", half, 3, n) for n in (0, 1)]
    text = sliced("r", "x", 2, 1) + between + "".join(parts) + "y = Concat <axis = 1> (p0, p1)"
    written, made, wanted = answers(text)
    np.testing.assert_array_equal(made, wanted)
    assert [node.op_type for node in written.graph].count("Slice") == 2
    assert not Geometry(written).whole_nodes


def test_slices_that_crop_are_joined_by_their_positions() -> None:
    text = sliced("r", "x", 3, 1, 2) + sliced("s", "r", 3, 1, 2) + "y = Relu (s)"
    written, made, wanted = answers(text)
    np.testing.assert_array_equal(made, wanted)
    assert [node.op_type for node in written.graph] == ["Slice", "Relu"]


def test_slices_backwards_stay() -> None:
    text = sliced("r", "x", 2, -1, -1) + sliced("s", "r", 3, 1, 2) + "y = Relu (s)"
    written, made, wanted = answers(text)
    np.testing.assert_array_equal(made, wanted)
    assert [node.op_type for node in written.graph] == ["Slice", "Slice", "Relu"]


ATTENTION = """
    flat = Constant <value_ints = [1, 3, 80]> () tokens = Reshape (x, flat)
    turned = Transpose <perm = [0, 2, 1]> (tokens)
    products = MatMul (turned, tokens)
    lengths = Constant <value_ints = [80, 80]> ()
    mask = ConstantOfShape (lengths)
    masked = Add (products, mask)
    weights = Softmax <axis = -1> (masked)
    most = ReduceMax <axes = [-1]> (mask)
    least = Constant <value_float = -1.0> ()
    none = Equal (most, least)
    zero = Constant <value_float = 0.0> ()
    chosen = Where (none, zero, weights)
    mixed = MatMul (chosen, turned)
    back = Transpose <perm = [0, 2, 1]> (mixed)
    four = Constant <value_ints = [1, 3, 8, 10]> ()
    y = Reshape (back, four)
"""


def test_a_mask_of_nothing_is_dropped() -> None:
    """As ONNX's own formula of Attention has it."""
    written, made, wanted = answers(ATTENTION)
    np.testing.assert_allclose(made, wanted, rtol=1e-6, atol=1e-6)
    kinds = [node.op_type for node in written.graph]
    assert not {"Add", "ConstantOfShape", "Equal", "ReduceMax", "Where"} & set(kinds)


def test_a_filled_tensor_that_gives_the_size_stays() -> None:
    """It is as large as the result, and nothing else is."""
    text = """
        sides = Constant <value_ints = [1, 3, 8, 10]> ()
        filled = ConstantOfShape (sides)
        over = Constant <value_ints = [2, 3]> ()
        means = ReduceMax <axes = [2, 3]> (x)
        y = Add (filled, means)
    """
    _, made, wanted = answers(text)
    assert made.shape == wanted.shape == SHAPE
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("pads", [[0, 0, 2, 3, 0, 0, 1, 4], [0, 0, 0, 1, 0, 0, 8, 0]])
def test_a_pad_with_the_other_side_of_the_picture(pads: list[int]) -> None:
    """Opset 17 does not know it, so it becomes slices."""
    text = f"""
        pads = Constant <value_ints = [{", ".join(map(str, pads))}]> ()
        y = Pad <mode = "wrap"> (x, pads)
    """
    written, made, wanted = answers(text, 19)
    np.testing.assert_array_equal(made, wanted)
    assert "Pad" not in {node.op_type for node in written.graph}
