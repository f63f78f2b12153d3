"""Files that are no network for frames are refused in two lines: why, and what would work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.cli.command import edgeunet
from tests.foreign.exported import write_onnx
from tests.foreign.plain_networks import DnCNN

FLOAT = TensorProto.FLOAT


def saved(
    path: Path,
    inputs: list[tuple[str, list[int | str]]],
    nodes: list[onnx.NodeProto],
    outputs: list[tuple[str, list[int | str]]],
    weights: dict[str, list[int]] | None = None,
) -> Path:
    generator = np.random.default_rng(0)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        [
            numpy_helper.from_array(generator.normal(size=shape).astype(np.float32), name)
            for name, shape in (weights or {}).items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def audio(path: Path) -> Path:
    node = helper.make_node("Conv", ["wave", "w"], ["y"])
    shapes: list[int | str] = [1, 1, 16000]
    return saved(path, [("wave", shapes)], [node], [("y", [1, 4, "n"])], {"w": [4, 1, 9]})


def table(path: Path) -> Path:
    node = helper.make_node("Gemm", ["row", "w"], ["y"])
    return saved(path, [("row", [1, 30])], [node], [("y", [1, 2])], {"w": [30, 2]})


def pair(path: Path) -> Path:
    node = helper.make_node("Sub", ["left", "right"], ["y"])
    shape: list[int | str] = [1, 3, 32, 48]
    return saved(path, [("left", shape), ("right", shape)], [node], [("y", shape)])


def boxes(path: Path) -> Path:
    """A detector that also wants the size of the picture."""
    node = helper.make_node("Mul", ["image", "shape"], ["y"])
    shape: list[int | str] = [1, 3, 32, 48]
    return saved(path, [("image", shape), ("shape", [1, 1])], [node], [("y", shape)])


def anchors(path: Path) -> Path:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[8, 8]),
        helper.make_node("Reshape", ["a", "s"], ["y"]),
    ]
    made = saved(path, [("x", [1, 3, 64, 64])], nodes, [("y", [1, 64, 7])], {"w": [7, 3, 8, 8]})
    model = onnx.load(made)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 64, 7]), "s"))
    onnx.save(model, made)
    return made


def burst(path: Path) -> Path:
    node = helper.make_node("Conv", ["frames", "w"], ["y"], pads=[1, 1, 1, 1])
    shape: list[int | str] = [1, 15, 32, 48]
    return saved(path, [("frames", shape)], [node], [("y", [1, 3, 32, 48])], {"w": [3, 15, 3, 3]})


def batch(path: Path) -> Path:
    node = helper.make_node("Relu", ["x"], ["y"])
    shape: list[int | str] = [4, 3, 32, 48]
    return saved(path, [("x", shape)], [node], [("y", shape)])


def loop(path: Path) -> Path:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Relu", ["state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, [1, 3, 32, 48]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, [1, 3, 32, 48]),
        ],
    )
    node = helper.make_node("Loop", ["times", "", "x"], ["y"], body=body)
    shape: list[int | str] = [1, 3, 32, 48]
    made = saved(path, [("x", shape)], [node], [("y", shape)])
    model = onnx.load(made)
    model.graph.initializer.append(numpy_helper.from_array(np.array(3), "times"))
    onnx.save(model, made)
    return made


def own_operator(path: Path) -> Path:
    node = helper.make_node("FancyConv", ["x"], ["y"], domain="maker")
    shape: list[int | str] = [1, 3, 32, 48]
    made = saved(path, [("x", shape)], [node], [("y", shape)])
    model = onnx.load(made)
    model.opset_import.append(helper.make_opsetid("maker", 1))
    onnx.save(model, made)
    return made


def drawn(path: Path) -> Path:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    shape: list[int | str] = [1, 3, 32, 48]
    return saved(path, [("x", shape)], nodes, [("y", shape)])


def broken(path: Path, kind: str, *inputs: str, output: str = "y") -> Path:
    """A graph of one operator that is not as ONNX wants it."""
    shape: list[int | str] = [1, 3, 32, 48]
    node = helper.make_node(kind, list(inputs), ["y"])
    return saved(path, [("x", shape)], [node], [(output, shape)], {"w": [3, 5, 1, 1]})


def constant(path: Path) -> Path:
    shape: list[int | str] = [1, 3, 32, 48]
    node = helper.make_node("Neg", ["w"], ["y"])
    return saved(path, [("x", shape)], [node], [("y", shape)], {"w": [1, 3, 32, 48]})


def pickle(path: Path) -> Path:
    torch.save(DnCNN().state_dict(), path)
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "audio": (audio, "is no network for frames: its inputs are 'wave' (1, 1, 16000)", "(1, 3, H,"),
    "table": (table, "is no network for frames: its inputs are 'row' (1, 30)", "edgeunet memory"),
    "pair": (pair, "takes several pictures, 'left' and 'right'", "--input right=fill=NUMBER"),
    "boxes": (boxes, "has 2 inputs, and nothing says what 'shape' (1, 1)", "--input shape=fill"),
    "anchors": (anchors, "its output 'y' is (1, 64, 7) for a frame of 64x64", "--output y=image"),
    "burst": (burst, "takes 5 pictures at once: its input is 'frames' (1, 15,", "frames=5 if"),
    "batch": (
        batch,
        "takes 4 pictures at a time: 'x' is (4, 3, 32, 48)",
        "export it again for one",
    ),
    "loop": (loop, "the operator Loop", "export the network without control flow"),
    "own operator": (own_operator, "operator maker.FancyConv", "operators of ONNX alone"),
    "drawn": (drawn, "(node '') of drawn.onnx draws random numbers", "in evaluation mode"),
    "unknown": (
        lambda path: broken(path, "Frobnicate", "x"),
        "operator Frobnicate (node '') of unknown.onnx is not one of ONNX's opset 17",
        "operators of ONNX alone",
    ),
    "arity": (
        lambda path: broken(path, "Conv", "x", ""),
        "arity.onnx: operator Conv (node '') leaves out an input that it needs",
        "not a valid ONNX graph",
    ),
    "ghost": (
        lambda path: broken(path, "Add", "x", "ghost"),
        "ghost.onnx: operator Add (node '') reads 'ghost' before anything makes it",
        "not a valid ONNX graph",
    ),
    "unmade": (
        lambda path: broken(path, "Relu", "x", output="other"),
        "unmade.onnx: nothing makes the output 'other'",
        "not a valid ONNX graph",
    ),
    "handed on": (
        lambda path: broken(path, "Relu", "x", output="x"),
        "handed_on.onnx gives its input 'x' as an output",
        "without that output",
    ),
    "channels": (
        lambda path: broken(path, "Conv", "x", "w"),
        "has weights for 5 channels and reads 3",
        "not a valid ONNX graph",
    ),
    "constant": (
        constant,
        "the output 'y' of constant.onnx is the same for every frame",
        "--output y=none",
    ),
    "pickle": (pickle, "is not an ONNX model: it is a zip file", "torch.onnx.export"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_for_frames(name: str, tmp_path: Path) -> None:
    make, message, hint = REFUSED[name]
    path = make(tmp_path / f"{name.replace(' ', '_')}.onnx")
    target = tmp_path / "refused.bundle"
    ran = edgeunet("export", "--onnx", path, "--out", target)
    found, advice = ran.failure
    assert message in found
    assert hint in advice
    assert ran.code == 1
    assert not target.exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    ran = edgeunet("export", "--onnx", tmp_path / "lost.onnx")
    assert ran.failure[0].startswith("there is no file")
    ran = edgeunet("export", "--onnx", tmp_path / "net.pth")
    assert ran.failure[0].endswith("net.pth' is no ONNX file")


def test_a_second_input_that_is_the_same_for_all_frames(tmp_path: Path) -> None:
    """The picture of a pair may be given one value, as a noise map is."""
    path = pair(tmp_path / "pair.onnx")
    words = ("--input", "right=fill=1/4", "--output", "y=image")
    ran = edgeunet("export", "--onnx", path, *words, "--out", tmp_path / "pair.bundle")
    assert ran.code == 0, ran.err
    assert "fill=0.25" in ran.out


def test_parity_that_misses_is_enforced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of ours that computes something else is not written."""
    from edgeunet.foreign import house_inputs, house_outputs

    unchanged = np.array([0, 1, 2], np.int64)
    monkeypatch.setattr(house_inputs, "_REVERSED", unchanged)
    monkeypatch.setattr(house_outputs, "_REVERSED", unchanged)
    path = write_onnx(DnCNN(), tmp_path / "net.onnx", (32, 48), dynamo=False, opset=17)
    target = tmp_path / "net.bundle"
    ran = edgeunet("export", "--onnx", path, "--out", target)
    message, _ = ran.failure
    assert message.startswith("the exported graph differs from net.onnx: image on the astronaut")
    assert not target.exists()


def test_a_mask_is_a_label_map(tmp_path: Path) -> None:
    path = tmp_path / "mask.onnx"
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], axes=[1], keepdims=0),
        helper.make_node("Greater", ["most", "half"], ["y"]),
    ]
    saved(path, [("x", [1, 3, 32, 48])], nodes, [("y", [1, 32, 48])], {"half": [1]})
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    onnx.save(model, path)
    ran = edgeunet("export", "--onnx", path, "--out", tmp_path / "mask.bundle")
    assert ran.code == 0, ran.err
    assert "labels, 32x48 class numbers" in ran.out
