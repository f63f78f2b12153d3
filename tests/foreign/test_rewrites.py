"""Rewrites of the canonical form give the same numbers, and leave alone what they do not know."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeunet.foreign.canonical import canonical
from edgeunet.foreign.reading import prepared
from edgeunet.graph.values import Floats

SHAPES = {"a": (1, 3, 4, 5), "b": (1, 3, 5, 6), "c": (1, 3, 4, 6), "v": (1, 3, 1, 1)}


def model_of(*nodes: onnx.NodeProto) -> ir.Model:
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in SHAPES.items()]
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 3, 4, 5])
    graph = helper.make_graph(nodes, "small", inputs, [made], [sizes])
    opsets = [helper.make_opsetid("", 17)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def answer(model: ir.Model) -> Floats:
    generator = np.random.default_rng(1)
    given = {n: generator.standard_normal(s).astype(np.float32) for n, s in SHAPES.items()}
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    read = {value.name for value in session.get_inputs()}
    made: Floats = session.run(None, {name: given[name] for name in given if name in read})[0]
    return made


@pytest.mark.parametrize(
    ("equation", "inputs", "left"),
    [
        ("nhik,nhkj->nhij", "ab", set()),
        ("nhik,nhkj->nhji", "ab", set()),
        ("nhik,nhij->nhkj", "ac", set()),
        ("nhjk,nhij->nhik", "ba", set()),
        # Sums over two letters, over one tensor alone, and products without a sum.
        ("nhik,nhij->nkj", "ac", {"Einsum"}),
        ("nhik,nhij->nhk", "ac", {"Einsum"}),
        ("nhik,nhij->nhikj", "ac", {"Einsum"}),
    ],
)
def test_a_product_is_written_as_one(equation: str, inputs: str, left: set[str]) -> None:
    model = model_of(helper.make_node("Einsum", list(inputs), ["y"], equation=equation))
    written = canonical(model, SHAPES)
    kinds = {node.op_type for node in written.graph}
    assert kinds & {"Einsum"} == left
    assert ("MatMul" in kinds) == (not left)
    np.testing.assert_allclose(answer(written), answer(model), rtol=1e-5, atol=1e-6)


def test_what_is_broadcast_anyway_is_not_expanded() -> None:
    expand = helper.make_node("Expand", ["v", "sizes"], ["large"])
    model = model_of(expand, helper.make_node("Div", ["a", "large"], ["y"]))
    written = canonical(model, SHAPES)
    assert [node.op_type for node in written.graph] == ["Div"]
    np.testing.assert_array_equal(answer(written), answer(model))


def test_what_gives_a_tensor_its_size_stays() -> None:
    expand = helper.make_node("Expand", ["v", "sizes"], ["large"])
    model = model_of(expand, helper.make_node("Mul", ["large", "v"], ["y"]))
    written = canonical(model, SHAPES)
    assert [node.op_type for node in written.graph] == ["Expand", "Mul"]
    np.testing.assert_array_equal(answer(written), answer(model))


def test_a_map_of_one_number_follows_the_picture() -> None:
    """As FFDNet's strength of noise; with a number for each of two channels here."""
    content = np.ones((1, 2, 4, 5), np.float32) * np.array([0.25, -3], np.float32)[:, None, None]
    known = helper.make_node("Constant", [], ["map"], value=numpy_helper.from_array(content))
    model = model_of(known, helper.make_node("Concat", ["map", "a"], ["y"], axis=1))
    written = canonical(model, SHAPES)
    large = [
        v for v in written.graph.initializers.values() if v.const_value and v.const_value.size > 2
    ]
    assert not large
    np.testing.assert_array_equal(answer(written), answer(model))


@pytest.mark.parametrize(("opset", "weights", "kind"), [(21, 4, "Instance"), (18, 2, "Group")])
def test_group_norm_is_an_instance_norm_of_joined_channels(
    opset: int, weights: int, kind: str
) -> None:
    """Before opset 21 a group has one scale; that is left to ONNX's own definition."""
    numbers = np.arange(1, weights + 1, dtype=np.float32)
    x = helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 4, 5, 6])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("GroupNormalization", ["a", "s", "b"], ["y"], num_groups=2, epsilon=0.5)
    constants = [numpy_helper.from_array(k * numbers, n) for k, n in ((1, "s"), (-2, "b"))]
    graph = helper.make_graph([node], "norm", [x], [made], constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    written = prepared(ir.from_proto(proto), "norm.onnx")
    kinds = {one.op_type for one in written.graph}
    assert ("InstanceNormalization" in kinds) == (kind == "Instance")
    assert "GroupNormalization" not in kinds
    given = np.random.default_rng(2).standard_normal((1, 4, 5, 6)).astype(np.float32)
    found, wanted = (
        ort.InferenceSession(one.SerializeToString()).run(None, {"a": given})[0]
        for one in (ir.to_proto(written), proto)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
