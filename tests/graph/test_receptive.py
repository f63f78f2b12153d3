"""What an output needs, against what it really reacts to: every input row is disturbed in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeunet.errors import GraphError
from edgeunet.graph.element_ranges import GlobalOperatorError, Range
from edgeunet.graph.receptive import (
    ReceptiveField,
    global_nodes,
    spatial_axes,
)

SIDE = 24
Floats = NDArray[Any]


def graph(nodes: list[onnx.NodeProto], weights: dict[str, Floats]) -> onnx.ModelProto:
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, SIDE, SIDE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(a, n) for n, a in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)


def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes)


def ones(*shape: int) -> Floats:
    return np.ones(shape, np.float32)


def ints(*values: int) -> Floats:
    return np.array(values, np.int64)


CHAINS: dict[str, tuple[list[onnx.NodeProto], dict[str, Floats]]] = {
    "conv": ([node("Conv", ["x", "w"], "y", pads=[1, 1, 1, 1])], {"w": ones(4, 4, 3, 3)}),
    "strided": (
        [node("Conv", ["x", "w"], "y", strides=[2, 2], pads=[0, 0, 0, 0])],
        {"w": ones(4, 4, 2, 2)},
    ),
    "dilated": (
        [node("Conv", ["x", "w"], "y", dilations=[3, 3], pads=[3, 3, 3, 3])],
        {"w": ones(4, 4, 3, 3)},
    ),
    "uneven pads": (
        [node("Conv", ["x", "w"], "y", pads=[1, 1, 5, 5])],
        {"w": ones(4, 4, 3, 3)},
    ),
    "transposed": (
        [node("ConvTranspose", ["x", "w"], "y", strides=[2, 2])],
        {"w": ones(4, 4, 2, 2)},
    ),
    "transposed, overlapping": (
        [node("ConvTranspose", ["x", "w"], "y", strides=[2, 2], pads=[1, 1, 1, 1])],
        {"w": ones(4, 4, 4, 4)},
    ),
    "pool": ([node("MaxPool", ["x"], "y", kernel_shape=[2, 2], strides=[2, 2])], {}),
    "mean pool": (
        [node("AveragePool", ["x"], "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        {},
    ),
    "shuffle": ([node("DepthToSpace", ["x"], "y", blocksize=2, mode="CRD")], {}),
    "unshuffle": ([node("SpaceToDepth", ["x"], "y", blocksize=4)], {}),
    "bilinear": (
        [
            node(
                "Resize",
                ["x", "", "s"],
                "y",
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            )
        ],
        {"s": np.array([1, 1, 2, 2], np.float32)},
    ),
    "crop": (
        [node("Slice", ["x", "a", "b", "axes"], "y")],
        {"a": ints(3, 2), "b": ints(20, 20), "axes": ints(2, 3)},
    ),
    "crop from the end": (
        [node("Slice", ["x", "a", "b", "axes"], "y")],
        {"a": ints(-21, -23), "b": ints(-2, 1 << 40), "axes": ints(-2, -1)},
    ),
    "every other row": (
        [node("Slice", ["x", "a", "b", "axes", "s"], "y")],
        {"a": ints(1, 0), "b": ints(24, 24), "axes": ints(2, 3), "s": ints(2, 2)},
    ),
    "transposed, padded for the size": (
        [node("ConvTranspose", ["x", "w"], "y", strides=[2, 2], auto_pad="SAME_UPPER")],
        {"w": ones(4, 4, 5, 5)},
    ),
    "transposed, padded for the size, lower": (
        [node("ConvTranspose", ["x", "w"], "y", strides=[2, 2], auto_pad="SAME_LOWER")],
        {"w": ones(4, 4, 5, 5)},
    ),
    "transposed with holes": (
        [
            node(
                "ConvTranspose",
                ["x", "w"],
                "y",
                strides=[3, 3],
                dilations=[2, 2],
                pads=[2, 2, 1, 1],
                output_padding=[1, 1],
            )
        ],
        {"w": ones(4, 4, 3, 3)},
    ),
    "padded for the size": (
        [node("Conv", ["x", "w"], "y", strides=[2, 2], auto_pad="SAME_UPPER")],
        {"w": ones(4, 4, 5, 5)},
    ),
    "padded for the size, lower": (
        [node("Conv", ["x", "w"], "y", strides=[2, 2], auto_pad="SAME_LOWER")],
        {"w": ones(4, 4, 5, 5)},
    ),
    "zeros around": (
        [node("Pad", ["x", "p"], "y")],
        {"p": ints(0, 0, 2, 1, 0, 0, 3, 1)},
    ),
    "cubic": (
        [
            node(
                "Resize",
                ["x", "", "s"],
                "y",
                mode="cubic",
                coordinate_transformation_mode="half_pixel",
            )
        ],
        {"s": np.array([1, 1, 1.5, 1.5], np.float32)},
    ),
    "nearest thirds": (
        [
            node(
                "Resize",
                ["x", "", "s"],
                "y",
                mode="nearest",
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
        ],
        {"s": np.array([1, 1, 3, 3], np.float32)},
    ),
    "down and up": (
        [
            node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1]),
            node("MaxPool", ["a"], "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", ["p", "w"], "b", pads=[1, 1, 1, 1]),
            node("ConvTranspose", ["b", "t"], "u", strides=[2, 2]),
            node("Add", ["a", "u"], "j"),
            node("Conv", ["j", "w"], "y", pads=[1, 1, 1, 1]),
        ],
        {"w": ones(4, 4, 3, 3), "t": ones(4, 4, 2, 2)},
    ),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("which", [0, 1])
def test_reach_is_exact(name: str, which: int) -> None:
    nodes, weights = CHAINS[name]
    proto = graph(nodes, weights)
    model = ir.from_proto(proto)
    reacts = reactions(proto, which)
    output = model.graph.outputs[0]
    assert reacts.any()
    for row in range(reacts.shape[0]):
        given = ReceptiveField(model.graph).needed({output: Range(row, row + 1)}, which)
        reach = given[model.graph.inputs[0]]
        inside = [i for i in range(SIDE) if reach.start <= i < reach.stop]
        touched = np.flatnonzero(reacts[row]).tolist()
        assert set(touched) <= set(inside), f"row {row} needs more than was said"
        whole = reach.start >= 0 and reach.stop <= SIDE
        # An interpolation's weight of zero is still reach, and so is a hole at a kernel's end.
        if whole and name not in ("bilinear", "cubic", "nearest thirds", "transposed with holes"):
            # A dilated kernel has holes; the ends are what a margin is made of.
            ends = (touched[0], touched[-1] + 1)
            assert ends == (reach.start, reach.stop), f"row {row} needs less than was said"


def reactions(proto: onnx.ModelProto, which: int) -> NDArray[np.bool_]:
    """Return (output rows, input rows): which output row changes with which input row."""
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    base = np.ones((1, 4, SIDE, SIDE), np.float32)
    plain = session.run(None, {"x": base})[0]
    columns = []
    for position in range(SIDE):
        disturbed = base.copy()
        np.moveaxis(disturbed, 2 + which, 0)[position] = 50
        changed = session.run(None, {"x": disturbed})[0] != plain
        columns.append(changed.any(axis=(0, 1, 3 - which)))
    return np.stack(columns, axis=1)


def test_frames_are_rows_first_and_channels_last() -> None:
    proto = helper.make_model(
        helper.make_graph(
            [
                node("Cast", ["frame"], "f", to=TensorProto.FLOAT),
                node("Transpose", ["f"], "p", perm=[0, 3, 1, 2]),
                node("ArgMax", ["p"], "y", axis=1, keepdims=0),
            ],
            "g",
            [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 8, 10, 3])],
            [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    axes = {value.name: pair for value, pair in spatial_axes(model.graph).items()}
    assert axes == {"frame": (1, 2), "f": (1, 2), "p": (2, 3), "y": (1, 2)}
    output = model.graph.outputs[0]
    assert ReceptiveField(model.graph).needed({output: Range(2, 5)}, 0) == {
        model.graph.inputs[0]: Range(2, 5)
    }


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("GlobalAveragePool", {}), ("ReduceMean", {"axes": [2, 3]}), ("ReduceMean", {"axes": [-1]})],
)
def test_a_global_operator_is_named(kind: str, attributes: dict[str, Any]) -> None:
    nodes = [node(kind, ["x"], "m", **attributes), node("Add", ["x", "m"], "y")]
    model = ir.from_proto(graph(nodes, {}))
    assert [n.op_type for n in global_nodes(model.graph)] == [kind]
    mean = next(n for n in model.graph if n.op_type == kind).outputs[0]
    with pytest.raises(GlobalOperatorError, match=f"operator {kind} .node '{kind}_m'."):
        ReceptiveField(model.graph).needed({mean: Range(0, 1)}, 1)


def test_a_mean_over_channels_is_local() -> None:
    model = ir.from_proto(graph([node("ReduceMean", ["x"], "y", axes=[1])], {}))
    assert global_nodes(model.graph) == []


def test_an_unknown_operator_is_refused_by_name() -> None:
    model = ir.from_proto(graph([node("CumSum", ["x", "a"], "y")], {"a": np.array(2, np.int64)}))
    with pytest.raises(GraphError, match="operator CumSum .* cannot run window by window"):
        ReceptiveField(model.graph).needed({model.graph.outputs[0]: Range(0, 1)}, 0)
