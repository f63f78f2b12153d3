"""Files of 16-bit floats: their numbers as 32-bit floats, compared with the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import edgeunet as api
from edgeunet.bundle import open_bundle
from edgeunet.convert.network_graph import quiet_exporter
from edgeunet.foreign.network_file import Feed, NetworkFile, feeds_of
from tests.cli.command import edgeunet
from tests.foreign.exported import with_random_statistics
from tests.foreign.plain_networks import UNet

SIZE = (32, 48)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("halves") / "half.onnx"
    with quiet_exporter(), torch.no_grad():
        torch.onnx.export(
            with_random_statistics(UNet()).half(),
            (torch.rand(1, 3, *SIZE).half(),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
        )
    assert onnx.load(path).graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    return path


@pytest.mark.parametrize("size", [SIZE, (40, 64)])
def test_floats(file: Path, size: tuple[int, int], tmp_path: Path) -> None:
    target = tmp_path / "half.bundle"
    text = f"{size[0]}x{size[1]}"
    ran = edgeunet("export", "--onnx", file, "--size", text, "--out", target)
    assert ran.code == 0, ran.err
    assert "half.onnx has 16-bit floats; the bundle has its numbers as 32-bit floats" in ran.err
    graph = onnx.load(target / "whole.onnx").graph
    assert {tensor.data_type for tensor in graph.initializer} <= {
        TensorProto.FLOAT,
        TensorProto.INT64,
    }
    with api.open_bundle(target) as network:
        labels = network.run(np.zeros((*size, 3), np.uint8))["labels"]
    assert labels.shape == size


def test_they_are_halves_again_for_a_gpu(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "half.bundle"
    ran = edgeunet("export", "--onnx", file, "--fp16", "--out", target)
    assert ran.code == 0, ran.err
    assert "16-bit floats" not in ran.err
    assert str(open_bundle(target).manifest.precision) == "fp16"


def test_its_sums_in_doubles_take_wide_floats(tmp_path: Path) -> None:
    """What parity falls back to has 32-bit inputs, whatever the file has."""
    shape = [1, 3, 8, 8]
    half, axes = TensorProto.FLOAT16, [2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=axes),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, half, shape) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "g", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "mean.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    file = NetworkFile.read(path)
    model = file.in_doubles(8, 8)
    assert model is not None
    assert file.feeds(8, 8)["x"].dtype == "float16"
    assert feeds_of(model)["x"] == Feed((1, 3, 8, 8), "float32")
