"""The view of a graph: sizes and kinds as counted by hand, and files that are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.errors import GraphError
from edgeunet.graph.summary import TensorKind, view_of_file, view_of_model

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, HALF, UINT8 = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8)


def value(name: str, shape: Sequence[int | str] | None, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    weights: Sequence[Any] = (),
    functions: Sequence[Any] = (),
) -> Any:
    graph = helper.make_graph(list(nodes), "hand", list(inputs), list(outputs), list(weights))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions))


def array(name: str, shape: Sequence[int], dtype: str = "float32") -> Any:
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def small_net() -> Any:
    """frame (1, 8, 6, 3) uint8 -> cast -> transpose -> conv to 4 channels -> relu."""
    return model_of(
        [
            helper.make_node("Cast", ["frame"], ["f"], to=FLOAT),
            helper.make_node("Transpose", ["f"], ["chw"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["chw", "w", "b"], ["c"], pads=[1, 1, 1, 1], name="conv"),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
        [value("frame", [1, 8, 6, 3], UINT8)],
        [value("y", [1, 4, 8, 6])],
        [array("w", (4, 3, 3, 3)), array("b", (4,))],
    )


def save(model: Any, path: Path) -> Path:
    onnx.save(model, path)
    return path


def test_tensors_have_their_sizes_and_kinds(tmp_path: Path) -> None:
    view = view_of_file(save(small_net(), tmp_path / "net.onnx"))
    found = {t.name: (t.shape, t.dtype, t.size_bytes, t.kind) for t in view.tensors}
    assert found == {
        "frame": ((1, 8, 6, 3), "uint8", 144, TensorKind.INPUT),
        "w": ((4, 3, 3, 3), "float32", 432, TensorKind.WEIGHT),
        "b": ((4,), "float32", 16, TensorKind.WEIGHT),
        "f": ((1, 8, 6, 3), "float32", 576, TensorKind.ACTIVATION),
        "chw": ((1, 3, 8, 6), "float32", 576, TensorKind.ACTIVATION),
        "c": ((1, 4, 8, 6), "float32", 768, TensorKind.ACTIVATION),
        "y": ((1, 4, 8, 6), "float32", 768, TensorKind.OUTPUT),
    }
    assert (view.name, view.inputs, view.outputs) == ("net", ("frame",), ("y",))


def test_nodes_are_in_execution_order(tmp_path: Path) -> None:
    view = view_of_file(save(small_net(), tmp_path / "net.onnx"))
    assert [(n.index, n.op_type) for n in view.nodes] == [
        (0, "Cast"), (1, "Transpose"), (2, "Conv"), (3, "Relu"),
    ]  # fmt: skip
    assert view.nodes[2].inputs == ("chw", "w", "b")
    assert [view.nodes[2].label, view.nodes[3].label] == ["conv", "Relu#3"]


def test_half_precision_counts_two_bytes() -> None:
    model = model_of(
        [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])],
        [value("x", [1, 5], HALF)],
        [value("y", [1, 5], HALF)],
    )
    tensor = view_of_model(ir.from_proto(model)).tensor("a")
    assert (tensor.dtype, tensor.size_bytes) == ("float16", 10)


def test_a_shape_computed_in_the_graph_is_followed() -> None:
    """Reshape to what Shape, Gather and Concat say: known only by propagating data."""
    model = model_of(
        [
            helper.make_node("Relu", ["x"], ["a"]),
            helper.make_node("Shape", ["a"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["n"]),
            helper.make_node("Concat", ["n", "rest"], ["target"], axis=0),
            helper.make_node("Reshape", ["a", "target"], ["r"]),
            helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
            helper.make_node("Relu", ["t"], ["y"]),
        ],
        [value("x", [2, 6, 4])],
        [value("y", None)],
        [array("zero", (1,), "int64"), array("rest", (2,), "int64")],
    )
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([0]), "zero"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([3, 8]), "rest"))
    view = view_of_model(ir.from_proto(model))
    assert view.tensor("r").shape == (2, 3, 8)
    assert view.tensor("t").shape == (2, 8, 3)
    # Shapes are no activations: they keep nothing alive and take no room.
    assert {view.tensor(n).kind for n in ("s", "n", "target")} == {TensorKind.CONSTANT}


def test_constants_and_what_is_made_of_weights_alone_are_no_activations() -> None:
    model = model_of(
        [
            helper.make_node("Constant", [], ["k"], value=array("", (4,))),
            helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]),
            helper.make_node("Mul", ["x", "w"], ["a"]),
            helper.make_node("Add", ["a", "k"], ["y"]),
        ],
        [value("x", [3, 4])],
        [value("y", [3, 4])],
        [array("q", (4,), "int8"), array("scale", ())],
    )
    view = view_of_model(ir.from_proto(model))
    assert view.tensor("k").kind is TensorKind.WEIGHT
    assert view.tensor("w").kind is TensorKind.CONSTANT
    assert view.tensor("a").kind is TensorKind.ACTIVATION
    assert view.bytes_of(TensorKind.WEIGHT) == 16 + 4 + 4


def test_four_bit_weights_are_packed() -> None:
    model = model_of(
        [helper.make_node("Relu", ["x"], ["y"])],
        [value("x", [2])],
        [value("y", [2])],
        [helper.make_tensor("q", onnx.TensorProto.INT4, [3], [1, 2, 3])],
    )
    tensor = view_of_model(ir.from_proto(model)).tensor("q")
    assert (tensor.dtype, tensor.size_bytes) == ("int4", 2)


def test_weights_kept_outside_the_file_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "big.onnx"
    model = small_net()
    onnx.save(model, path, save_as_external_data=True, location="big.data", size_threshold=0)
    (tmp_path / "big.data").unlink()
    assert view_of_file(path).bytes_of(TensorKind.WEIGHT) == 448


def test_local_functions_are_opened() -> None:
    twice = helper.make_function(
        "own", "Twice", ["i"], ["o"],
        [helper.make_node("Relu", ["i"], ["m"]), helper.make_node("Neg", ["m"], ["o"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    model = model_of(
        [helper.make_node("Twice", ["x"], ["y"], domain="own")],
        [value("x", [2, 2])], [value("y", [2, 2])], functions=[twice],
    )  # fmt: skip
    assert [n.op_type for n in view_of_model(ir.from_proto(model)).nodes] == ["Relu", "Neg"]


def test_an_operator_nobody_can_infer_is_refused_by_its_name() -> None:
    model = model_of(
        [
            helper.make_node("Mystery", ["x"], ["m"], domain="own"),
            helper.make_node("Relu", ["m"], ["y"]),
        ],
        [value("x", [2])],
        [value("y", [2])],
    )
    with pytest.raises(GraphError, match="operator Mystery of own is unknown") as caught:
        view_of_model(ir.from_proto(model))
    assert caught.value.hint == "write the shape of 'm' into the file, or export without it"


def test_control_flow_is_refused_by_operator() -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "b", [], [value("r", [2])])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["s"])], "c", [], [value("s", [2])])
    model = model_of(
        [
            helper.make_node(
                "If", ["c"], ["y"], name="choice", then_branch=branch, else_branch=other
            )
        ],
        [value("x", [2]), value("c", [], onnx.TensorProto.BOOL)],
        [value("y", [2])],
    )
    with pytest.raises(GraphError, match=r"If \(choice\) has a graph inside") as caught:
        view_of_model(ir.from_proto(model))
    assert "control flow" in caught.value.hint


def test_nodes_out_of_order_are_refused() -> None:
    model = model_of(
        [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Neg", ["x"], ["a"])],
        [value("x", [2])],
        [value("y", [2])],
    )
    with pytest.raises(GraphError, match="reads 'a' before anything makes it"):
        view_of_model(ir.from_proto(model))
