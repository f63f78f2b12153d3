"""A graph of one frame for several: exact where every operator keeps frames apart, else refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeunet.errors import GraphError
from edgeunet.graph.batch import batched_file

SHAPE = (1, 4, 6, 8)


def _file(
    folder: Path,
    op_type: str,
    *constants: Sequence[Any] | NDArray[Any] | None,
    shape: Sequence[int] = SHAPE,
    inputs: int = 1,
    outputs: int = 1,
    **attributes: Any,
) -> Path:
    """Write x -> op -> y; further inputs are x again, then constants (None leaves one out)."""
    names = ["x"] * inputs
    initializers = []
    for index, constant in enumerate(constants):
        names.append("" if constant is None else f"c{index}")
        if constant is not None:
            initializers.append(numpy_helper.from_array(np.asarray(constant), f"c{index}"))
    made = ["y", *(f"y{index}" for index in range(1, outputs))]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, made, name="it", **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info(name) for name in made],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "one.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), path)
    return path


def _run(content: bytes, x: NDArray[Any]) -> list[NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"x": x}))


_F = np.float32


@pytest.mark.parametrize(
    ("op_type", "constants", "options"),
    [
        ("Relu", (), {}),
        ("Add", (np.arange(8, dtype=_F),), {}),
        ("Mul", (np.arange(24, dtype=_F).reshape(1, 4, 6, 1),), {}),
        ("Sub", (), {"inputs": 2}),
        ("Conv", (np.ones((5, 4, 3, 3), _F),), {"pads": [1, 1, 1, 1]}),
        ("ConvTranspose", (np.ones((4, 3, 2, 2), _F),), {"strides": [2, 2]}),
        ("MaxPool", (), {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("GlobalAveragePool", (), {}),
        ("SpaceToDepth", (), {"blocksize": 2}),
        ("DepthToSpace", (), {"blocksize": 2, "mode": "CRD"}),
        ("Transpose", (), {"perm": [0, 2, 3, 1]}),
        ("Concat", (), {"inputs": 2, "axis": 1}),
        ("Concat", (), {"inputs": 2, "axis": -1}),
        ("Split", (), {"axis": 1, "outputs": 2}),
        ("Slice", ([0, 1], [3, 5], [1, 2]), {}),
        ("Pad", ([0, 0, 1, 2, 0, 0, 1, 0],), {}),
        ("Resize", (None, np.array([1, 1, 2, 2], _F)), {"mode": "nearest"}),
        ("ReduceMean", (), {"axes": [2, 3], "keepdims": 1}),
        ("ReduceMax", (), {"axes": [-3], "keepdims": 0}),
        ("Softmax", (), {}),
        ("ArgMax", (), {"axis": 1, "keepdims": 0}),
        ("Flatten", (), {}),
        ("Gemm", (np.ones((8, 3), _F), np.ones(3, _F)), {"shape": (1, 8)}),
        ("Gemm", (np.ones((8, 3), _F), np.ones((1, 3), _F)), {"shape": (1, 8)}),
        ("Gemm", (np.ones((3, 8), _F),), {"shape": (1, 8), "transB": 1}),
        ("MatMul", (np.ones((8, 3), _F),), {}),
        ("Reshape", ([1, 2, 2, 6, 8],), {}),
        ("Reshape", ([0, 24, 8],), {}),
        ("Reshape", ([1, -1],), {}),
    ],
)
def test_frames_are_kept_apart(
    op_type: str, constants: tuple[Any, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    path = _file(tmp_path, op_type, *constants, **options)
    shape = options.get("shape", SHAPE)
    # Whole numbers: a sum over them is the same in every order.
    x = np.random.default_rng(3).integers(-9, 9, (3, *shape[1:])).astype(_F)
    together = _run(batched_file(path), x)
    for index in range(3):
        alone = _run(path.read_bytes(), x[index : index + 1])
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(many[index : index + 1], one, strict=True)


@pytest.mark.parametrize(
    ("op_type", "constants", "options"),
    [
        ("Transpose", (), {"perm": [1, 0, 2, 3]}),
        ("Transpose", (), {}),
        ("Concat", (), {"inputs": 2, "axis": 0}),
        ("Concat", (np.ones(SHAPE, _F),), {"axis": 1}),
        ("Slice", ([0], [1], [0]), {}),
        ("Slice", ([0], [1]), {}),
        ("Pad", ([1, 0, 0, 0, 0, 0, 0, 0],), {}),
        ("Resize", (None, None, [1, 4, 12, 16]), {"mode": "nearest"}),
        ("ReduceMean", (), {"axes": [0, 2]}),
        ("ReduceMean", (), {}),
        ("Softmax", (), {"axis": 0}),
        ("ArgMax", (), {"axis": -4}),
        ("Flatten", (), {"axis": 2}),
        ("Gemm", (np.ones((1, 3), _F),), {"shape": (1, 8), "transA": 1}),
        ("MatMul", (np.ones((1, 4, 8, 3), _F),), {}),
        ("Reshape", ([6, 4, 8],), {}),
        ("Add", (np.ones((2, *SHAPE[1:]), _F),), {}),
        ("Add", (np.ones((1, *SHAPE), _F),), {}),
        ("LpNormalization", (), {}),
    ],
)
def test_what_would_mix_frames_is_named(
    op_type: str, constants: tuple[Any, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    path = _file(tmp_path, op_type, *constants, **options)
    with pytest.raises(GraphError) as caught:
        batched_file(path)
    assert caught.value.message == (
        f"the graph cannot take several frames at once: {op_type} 'it' works on one frame only"
    )
    assert caught.value.hint == ("leave --max-batch out; more --instances run frames side by side")


def test_an_input_of_two_frames_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "Relu", shape=(2, 4, 6, 8))
    with pytest.raises(GraphError, match="'x' does not begin with a dimension of one frame"):
        batched_file(path)


def test_an_output_that_no_frame_makes_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "Relu")
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(SHAPE, _F), "c"))
    model.graph.node[0].input[0] = "c"
    onnx.save(model, path)
    with pytest.raises(GraphError, match="its output 'y' does not depend on the frame"):
        batched_file(path)


def test_shapes_that_contradict_are_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "Relu")
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 5
    onnx.save(model, path)
    with pytest.raises(GraphError, match="its shapes contradict each other"):
        batched_file(path)
