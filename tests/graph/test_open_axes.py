"""Sizes for the open axes of ONNX files, and the sizes that follow from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.analysis.memory_report import analyse
from edgeunet.errors import GraphError, UsageError
from edgeunet.graph.onnx_file import check_weights, load_onnx, read_onnx, with_fixed_axes
from edgeunet.graph.summary import view_of_file, view_of_model
from tests.graph.onnx_models import (
    CONV,
    FLOAT,
    INT64,
    RELU,
    WEIGHTS,
    Shape,
    helper,
    model_of,
    numbers,
    numpy_helper,
    onnx,
    saved,
    value,
    view_at,
)

ort = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("first", [-1, 0, "batch", None])
def test_an_open_axis_is_refused_without_a_size(first: int | str | None, tmp_path: Path) -> None:
    path = saved(tmp_path, model_of([value("x", [first, 3, 64, 96])]))
    with pytest.raises(GraphError, match=r"'x' has the shape \(.*, 3, 64, 96\)") as caught:
        read_onnx(path)
    assert "--size 64x96; the batch is taken as 1" in caught.value.hint


def test_axes_below_one_are_open_for_exports_as_well(tmp_path: Path) -> None:
    model = load_onnx(saved(tmp_path, model_of([value("x", [0, 3, -5, 96])])))
    shape = model.graph.inputs[0].shape
    assert shape is not None
    assert [str(side) for side in shape] == ["None", "3", "None", "96"]


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
