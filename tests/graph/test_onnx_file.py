"""ONNX files: what is counted, what is refused by name, and sizes for open axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.analysis.memory_report import analyse, precision_of
from edgeunet.errors import EdgeUnetError, GraphError, UsageError
from edgeunet.graph.onnx_file import check_weights, read_onnx, with_fixed_axes
from edgeunet.graph.summary import GraphView, view_of_file, view_of_model

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, BFLOAT16, INT64 = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.INT64,
)
Shape = Sequence[int | str | None] | None

CONV = helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], name="first")
RELU = helper.make_node("Relu", ["c"], ["y"])
WEIGHTS = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")


def value(name: str, shape: Shape, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def numbers(name: str, *content: int) -> Any:
    return numpy_helper.from_array(np.array(content, np.int64), name)


def model_of(
    inputs: Sequence[Any],
    nodes: Sequence[Any] = (CONV, RELU),
    weights: Sequence[Any] = (WEIGHTS,),
    *,
    outputs: Sequence[Any] = (value("y", None),),
    known: Sequence[Any] = (),
    opset: int = 17,
    functions: Sequence[Any] = (),
) -> Any:
    graph = helper.make_graph(nodes, "hand", inputs, outputs, weights, value_info=known)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def saved(folder: Path, model: Any, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def view_at(path: Path, size: tuple[int, int] | None = None) -> GraphView:
    return view_of_model(read_onnx(path, size)[0])


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        (b"", "it is empty", "export or copy it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS", "git lfs pull"),
        (b"PK\x03\x04" + b"\0" * 60, "a zip file", "torch.onnx.export"),
        (b"\x80\x02}q\x00", "a pickle", "torch.onnx.export"),
        (b"\n <!DOCTYPE html><html>", "a web page", "download it again"),
        (b"\0\0\0\0ORTM\0\0", "onnxruntime's own format", "the .onnx file"),
        (b"\x1f\x8b\x08\0", "a gzip file", "unpack it"),
        (b"not a graph at all\n" * 9, "not a whole ONNX model", "export or copy it again"),
        (b"\0" * 64, "not a whole ONNX model", "export or copy it again"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, said: str, hint: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=said) as caught:
        read_onnx(path)
    assert hint in caught.value.hint


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, model_of([value("x", [1, 3, 16, 24])]))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(GraphError, match=r"net\.onnx is not a whole ONNX model"):
        read_onnx(path)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"there is no file .*none\.onnx"):
        read_onnx(tmp_path / "none.onnx")
    with pytest.raises(GraphError, match="is a folder or a device"):
        read_onnx(tmp_path)


@pytest.mark.parametrize("first", [-1, 0, "batch", None])
def test_an_open_axis_is_refused_without_a_size(first: int | str | None, tmp_path: Path) -> None:
    path = saved(tmp_path, model_of([value("x", [first, 3, 64, 96])]))
    with pytest.raises(GraphError, match=r"'x' has the shape \(.*, 3, 64, 96\)") as caught:
        read_onnx(path)
    assert "--size 64x96; the batch is taken as 1" in caught.value.hint


OPEN = [
    ["batch", 3, "h", "w"],
    ["?", 3, "?", "?"],
    [-1, 3, -1, -1],
    [0, 3, 0, 0],
    [None, None, None, None],
    ["n", 3, 64, "w"],
]


@pytest.mark.parametrize("shape", OPEN, ids=str)
def test_a_size_fixes_open_axes(shape: Shape, tmp_path: Path) -> None:
    path = saved(tmp_path, model_of([value("x", shape)], outputs=[value("y", ["a", 8, "b", "c"])]))
    model, axes = read_onnx(path, (64, 96))
    assert str(axes) == "x is taken as 1x3x64x96"
    view = view_of_model(model)
    fixed = view_of_file(saved(tmp_path, model_of([value("x", [1, 3, 64, 96])]), "fixed.onnx"))
    assert view.tensors == fixed.tensors
    assert analyse(view).peak_live_bytes == 8 * 64 * 96 * 4


def test_colours_may_come_last(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["c"], pads=[1, 1, 1, 1]),
        RELU,
    ]
    path = saved(tmp_path, model_of([value("x", [None, None, None, 3])], nodes))
    assert view_at(path, (64, 96)).tensor("y").shape == (1, 8, 64, 96)


def test_axes_of_one_name_get_one_length(tmp_path: Path) -> None:
    nodes = [CONV, helper.make_node("Mul", ["c", "s"], ["y"])]
    inputs = [value("s", ["h", "w"]), value("x", ["n", 3, "h", "w"])]
    path = saved(tmp_path, model_of(inputs, nodes))
    assert str(read_onnx(path, (64, 96))[1]) == "x is taken as 1x3x64x96, s is taken as 64x96"


def test_an_axis_that_is_no_size_is_refused(tmp_path: Path) -> None:
    inputs = [value("x", ["n", 3, "h", "w"]), value("tokens", ["n", "length"], INT64)]
    path = saved(tmp_path, model_of(inputs))
    with pytest.raises(GraphError, match=r"axis 1 of the input 'tokens', \(n, length\)"):
        read_onnx(path, (64, 96))


def test_a_name_for_height_and_width_wants_a_square(tmp_path: Path) -> None:
    path = saved(tmp_path, model_of([value("x", ["n", 3, "s", "s"])]))
    assert view_at(path, (64, 64)).tensor("y").shape == (1, 8, 64, 64)
    with pytest.raises(UsageError, match="'s' of 'x' stands for 64 and for 96"):
        read_onnx(path, (64, 96))


def test_a_size_that_the_network_cannot_take_is_refused(tmp_path: Path) -> None:
    nodes = [
        CONV,
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["p", "", "s"], ["u"], mode="nearest"),
        helper.make_node("Concat", ["u", "c"], ["y"], axis=1),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")
    path = saved(tmp_path, model_of([value("x", ["n", 3, "h", "w"])], nodes, [WEIGHTS, scales]))
    assert view_at(path, (64, 96)).tensor("y").shape == (1, 16, 64, 96)
    with pytest.raises(GraphError, match=r"contradict each other.*Concat") as caught:
        read_onnx(path, (63, 96))
    assert "multiple of 32" in caught.value.hint


def resized_by_shape() -> Any:
    """As torch writes interpolate(size=...) and the paddings of U-Nets: from Shape and Gather."""
    nodes = [
        CONV,
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "two"], ["h"]),
        helper.make_node("Gather", ["s", "three"], ["v"]),
        helper.make_node("Mul", ["h", "two"], ["h2"]),
        helper.make_node("Cast", ["h2"], ["hf"], to=FLOAT),
        helper.make_node("Floor", ["hf"], ["hg"]),
        helper.make_node("Cast", ["hg"], ["hi"], to=INT64),
        helper.make_node("Concat", ["one", "eight", "hi", "v"], ["size"], axis=0),
        helper.make_node("Resize", ["c", "", "", "size"], ["u"], mode="nearest"),
        helper.make_node("Shape", ["five"], ["four"]),
        helper.make_node("ConstantOfShape", ["four"], ["zeros"], value=numbers("", 0)),
        helper.make_node("Concat", ["zeros", "ends"], ["pads"], axis=0),
        helper.make_node("Pad", ["u", "pads"], ["y"]),
    ]
    constants = [
        numbers("one", 1), numbers("two", 2), numbers("three", 3), numbers("eight", 8),
        numbers("five", 8, 8, 8, 8), numbers("ends", 0, 0, 1, 1),
    ]  # fmt: skip
    return model_of([value("x", ["n", 3, "h", "w"])], nodes, [WEIGHTS, *constants])


def test_sizes_that_follow_from_shapes_are_computed(tmp_path: Path) -> None:
    path = saved(tmp_path, resized_by_shape())
    assert view_at(path, (64, 96)).tensor("y").shape == (1, 8, 2 * 64 + 1, 96 + 1)


@pytest.mark.parametrize("size", [(16, 24), (31, 47)])
def test_the_copy_to_run_has_the_sizes_that_were_counted(
    size: tuple[int, int], tmp_path: Path
) -> None:
    path = saved(tmp_path, resized_by_shape())
    model, axes = read_onnx(path, size)
    fixed = with_fixed_axes(path, axes, tmp_path / "fixed.onnx")
    session = ort.InferenceSession(fixed, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, *size]
    (result,) = session.run(None, {"x": np.zeros((1, 3, *size), np.float32)})
    assert result.shape == view_of_model(model).tensor("y").shape


def test_a_stated_shape_is_no_fact(tmp_path: Path) -> None:
    """Engines infer shapes, and use what they infer."""
    wrong = [value("c", [1, 8, 2, 2])]
    path = saved(tmp_path, model_of([value("x", [1, 3, 64, 96])], known=wrong))
    assert view_at(path).tensor("c").shape == (1, 8, 64, 96)


def test_a_stated_shape_counts_where_nothing_else_is_known(tmp_path: Path) -> None:
    own = helper.make_node("Own", ["x"], ["c"], domain="own")
    inputs = [value("x", [1, 3, 64, 96])]
    known = [value("c", [1, 8, 32, 48])]
    path = saved(tmp_path, model_of(inputs, [own, RELU], [], known=known))
    assert view_at(path).tensor("y").shape == (1, 8, 32, 48)
    bare = saved(tmp_path, model_of(inputs, [own, RELU], []))
    with pytest.raises(GraphError, match="operator Own of own is unknown"):
        view_at(bare)


def test_what_depends_on_data_is_refused_by_operator(tmp_path: Path) -> None:
    node = helper.make_node("NonZero", ["x"], ["y"])
    path = saved(
        tmp_path, model_of([value("x", [4, 4])], [node], [], outputs=[value("y", None, INT64)])
    )
    with pytest.raises(GraphError, match="NonZero makes it from data") as caught:
        view_at(path)
    assert caught.value.hint.endswith("without NonZero")


def sequence() -> Any:
    nodes = [
        CONV,
        helper.make_node("SplitToSequence", ["c"], ["s"], axis=1),
        helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=1),
    ]
    return model_of([value("x", [1, 3, 64, 96])], nodes)


def sequence_input() -> Any:
    many = helper.make_tensor_sequence_value_info("many", FLOAT, [1, 3, 64, 96])
    node = helper.make_node("ConcatFromSequence", ["many"], ["y"], axis=1)
    return model_of([many], [node], [])


def sparse_weights() -> Any:
    held = helper.make_tensor("sp", FLOAT, [2], [1.0, 2.0])
    where = helper.make_tensor("where", INT64, [2], [0, 5])
    model = model_of([value("x", [4, 8])], [helper.make_node("Add", ["x", "sp"], ["y"])], [])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(held, where, [8]))
    return model


def sparse_constant() -> Any:
    held = helper.make_tensor("sp", FLOAT, [2], [1.0, 2.0])
    where = helper.make_tensor("where", INT64, [2], [0, 5])
    tensor = helper.make_sparse_tensor(held, where, [8])
    nodes = [
        helper.make_node("Constant", [], ["sp"], sparse_value=tensor),
        helper.make_node("Add", ["x", "sp"], ["y"]),
    ]
    return model_of([value("x", [4, 8])], nodes, [])


def texts() -> Any:
    text = onnx.TensorProto.STRING
    node = helper.make_node("Identity", ["x"], ["y"])
    return model_of([value("x", [4], text)], [node], [], outputs=[value("y", [4], text)])


def same_output_twice() -> Any:
    return model_of([value("x", [1, 3, 8, 8])], outputs=[value("y", None), value("y", None)])


def unsorted() -> Any:
    return model_of([value("x", [1, 3, 8, 8])], [RELU, CONV])


def not_fitting() -> Any:
    node = helper.make_node("Add", ["x", "a"], ["y"])
    return model_of([value("x", [2, 3])], [node], [numbers("a", 1, 2, 3, 4)])


def calls_itself() -> Any:
    body = helper.make_function(
        "own", "Loop", ["i"], ["o"], [helper.make_node("Loop", ["i"], ["o"], domain="own")],
        [helper.make_opsetid("own", 1)],
    )  # fmt: skip
    node = helper.make_node("Loop", ["x"], ["y"], domain="own")
    return model_of([value("x", [2])], [node], [], functions=[body])


def doubles_forty_times() -> Any:
    """2^40 operators once they are written out: a gigabyte for every second that it runs."""
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 17)]
    bodies = [
        helper.make_function(
            "own", f"F{n}", ["i"], ["o"],
            [
                helper.make_node(f"F{n + 1}" if n < 39 else "Relu", ["i"], ["m"],
                                 domain="own" if n < 39 else ""),
                helper.make_node(f"F{n + 1}" if n < 39 else "Relu", ["m"], ["o"],
                                 domain="own" if n < 39 else ""),
            ],
            opsets,
        )
        for n in range(40)
    ]  # fmt: skip
    node = helper.make_node("F0", ["x"], ["y"], domain="own")
    return model_of([value("x", [2])], [node], [], functions=bodies)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (sequence(), "'s' is no tensor but a sequence"),
        (sequence_input(), "'many' is a sequence of tensors"),
        (sparse_weights(), "keeps 'sp' as a sparse tensor"),
        (sparse_constant(), "keeps 'sp' as a sparse tensor"),
        (texts(), "'x' holds STRING"),
        (same_output_twice(), "two outputs of the name 'y'"),
        (unsorted(), "reads 'c' before anything makes it"),
        (calls_itself(), "the function 'Loop' calls itself"),
        (doubles_forty_times(), "1099511627776 operators once its functions are written out"),
        (model_of([value("x", [1, 3, 8, 8])], opset=99), "has the opset 99"),
        (model_of([value("x", [1, 3, 8, 8])], weights=[]), "reads 'w' before anything makes it"),
        (not_fitting(), "contradict each other: (op_type:Add): Incompatible dimensions"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(model: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(EdgeUnetError) as caught:
        view_at(saved(tmp_path, model))
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_later_file_format_is_refused(tmp_path: Path) -> None:
    model = model_of([value("x", [1, 3, 8, 8])])
    model.ir_version = 99
    with pytest.raises(GraphError, match="has the IR version 99, and the installed onnx"):
        read_onnx(saved(tmp_path, model))


def test_an_empty_weight_leaves_an_input_out(tmp_path: Path) -> None:
    roi = numpy_helper.from_array(np.zeros(0, np.float32), "roi")
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")
    nodes = [CONV, helper.make_node("Resize", ["c", "roi", "s"], ["y"], mode="nearest")]
    path = saved(tmp_path, model_of([value("x", [1, 3, 8, 8])], nodes, [WEIGHTS, roi, scales]))
    assert view_at(path).tensor("y").shape == (1, 8, 16, 16)


def test_an_activation_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Slice", ["x", "zero", "zero", "zero"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    path = saved(tmp_path, model_of([value("x", [4, 4])], nodes, [numbers("zero", 0)]))
    with pytest.raises(GraphError, match="'s' has the shape 0x4, which holds nothing"):
        view_at(path)


def test_bfloat16_has_its_name(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", BFLOAT16, [8, 3, 3, 3], [0.5] * 216)
    path = saved(
        tmp_path,
        model_of(
            [value("x", [1, 3, 8, 8], BFLOAT16)],
            weights=[weights],
            outputs=[value("y", None, BFLOAT16)],
            opset=22,
        ),
    )
    view = view_at(path)
    assert precision_of(view) == "bfloat16"
    assert view.tensor("c").size_bytes == 8 * 8 * 8 * 2


def test_a_graph_without_convolutions_has_the_format_of_its_tensors(tmp_path: Path) -> None:
    half = onnx.TensorProto.FLOAT16
    node = helper.make_node("Relu", ["x"], ["y"])
    path = saved(
        tmp_path,
        model_of([value("x", [4, 4], half)], [node], [], outputs=[value("y", None, half)]),
    )
    assert precision_of(view_at(path)) == "fp16"


def test_weights_beside_the_file_are_missed_only_where_it_is_run(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(
        model_of([value("x", ["n", 3, "h", "w"])]), path,
        save_as_external_data=True, location="net.data", size_threshold=0,
    )  # fmt: skip
    check_weights(path)
    axes = read_onnx(path, (8, 8))[1]
    fixed = with_fixed_axes(path, axes, tmp_path / "fixed.onnx")
    (tmp_path / "net.data").unlink()
    session = ort.InferenceSession(fixed, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 3, 8, 8), np.float32)})[0].max() == 27
    assert view_at(path, (8, 8)).tensor("w").size_bytes == 8 * 3 * 9 * 4
    with pytest.raises(GraphError, match=r"the weights of net\.onnx are in .*net\.data") as caught:
        check_weights(path)
    assert caught.value.hint == "copy that file beside it"
