"""ONNX files: what is counted, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.analysis.memory_report import precision_of
from edgeunet.errors import EdgeUnetError, GraphError
from edgeunet.graph.onnx_file import load_onnx, read_onnx
from tests.graph.onnx_models import (
    BFLOAT16,
    CONV,
    FLOAT,
    INT64,
    RELU,
    WEIGHTS,
    helper,
    model_of,
    numbers,
    numpy_helper,
    onnx,
    saved,
    value,
    view_at,
)


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


def short_weight() -> Any:
    model = model_of([value("x", [1, 3, 8, 8])])
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:100]
    return model


def weight_of_no_type() -> Any:
    model = model_of([value("x", [1, 3, 8, 8])])
    model.graph.initializer[0].data_type = 39
    return model


def without_opset() -> Any:
    model = model_of([value("x", [1, 3, 8, 8])])
    del model.opset_import[:]
    return model


def large_result() -> Any:
    """An input that fits, and a result that no memory holds."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "last"], ["r"]),
        helper.make_node("Mul", ["r", "x"], ["y"]),
    ]
    return model_of([value("x", [1 << 25])], nodes, [numbers("last", 1)])


def function_of_no_opset() -> Any:
    relu = helper.make_node("Relu", ["i"], ["o"])
    body = helper.make_function(
        "own", "F", ["i"], ["o"], [relu], [helper.make_opsetid("", 1 << 40)]
    )
    node = helper.make_node("F", ["x"], ["y"], domain="own")
    return model_of([value("x", [2])], [node], [], functions=[body])


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
        (
            model_of([value("x", [1, 3, 8, 8]), value("x", [1, 3, 4, 4])]),
            "two inputs of the name 'x'",
        ),
        (
            model_of([value("x", [1, 3, 8, 8])], weights=[WEIGHTS] * 2),
            "two weights of the name 'w'",
        ),
        (short_weight(), "keeps 100 bytes for the weight 'w' of 8x3x3x3, which needs 864"),
        (weight_of_no_type(), "keeps the weight 'w' in the type number 39"),
        *(
            (model_of([value("x", [1, 3, 8, 8])], [node], []), said)
            for node, said in (
                (helper.make_node("Conv", ["x"], ["y"]), "Conv (unnamed) has 1 inputs"),
                (helper.make_node("Relu", ["x"], ["y", "z"]), "Relu (unnamed) has 2 outputs"),
                (helper.make_node("Concat", ["x"], ["y"]), "Concat (unnamed) has no 'axis'"),
                (
                    helper.make_node("Transpose", ["x"], ["y"], perm=0.5),
                    "Transpose (unnamed) has a value of another type for 'perm'",
                ),
            )
        ),
        (without_opset(), "names no opset, or several: []"),
        (
            model_of([value("x", [1, 3, 1 << 31, 1 << 31])]),
            "the input 'x' has the shape 1x3x2147483648x2147483648, which no memory holds",
        ),
        (large_result(), "the tensor 'y' has the shape 33554432x33554432, which no memory holds"),
        (unsorted(), "reads 'c' before anything makes it"),
        (function_of_no_opset(), "has the opset 1099511627776"),
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


@pytest.mark.parametrize(
    "model",
    [
        model_of([value("x", [1, 3, 8, 8])], nodes=[], outputs=[value("x", [1, 3, 8, 8])]),
        short_weight(),
        model_of([value("x", [1, 3, 1 << 31, 1 << 31])]),
    ],
    ids=["no operators", "short weight", "large"],
)
def test_exports_and_analyses_refuse_the_same(model: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, model)
    said = []
    for read in (read_onnx, load_onnx):
        with pytest.raises(GraphError) as caught:
            read(path)
        said.append(caught.value.message)
    assert said[0] == said[1]


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
