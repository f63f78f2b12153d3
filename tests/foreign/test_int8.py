"""Foreign networks in 8 bits, with ranges of the user's own frames; what is lost is stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import edgeunet as api
from edgeunet.photographs import shipped_photographs
from tests.cli.command import edgeunet
from tests.foreign.exported import with_random_statistics, write_onnx
from tests.foreign.plain_networks import ESPCN, DnCNN, UNet
from tests.foreign.zoo_restorers import SwinIR

SIZE = (48, 64)
NETWORKS: dict[str, tuple[type[nn.Module], str]] = {
    "denoiser": (DnCNN, "psnr_db"),
    "segmenter": (UNet, "label_share"),
    "times3": (ESPCN, "psnr_db"),
}


@pytest.fixture(scope="module")
def own_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skimage import io

    folder = tmp_path_factory.mktemp("own")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, photograph in enumerate(list(shipped_photographs().values())[:3]):
        for part in range(4):
            crop = photograph[40 * part : 40 * part + SIZE[0], 60 : 60 + SIZE[1]]
            io.imsave(pictures / f"{number}-{part}.png", crop, check_contrast=False)
    made = api.make_calibration_set(
        pictures, "own", folder=folder / "sets", size=SIZE, sigmas=(0.0,)
    )
    return made.path


@pytest.mark.parametrize("name", NETWORKS)
def test_own_frames_give_the_ranges(name: str, own_set: Path, tmp_path: Path) -> None:
    make, metric = NETWORKS[name]
    torch.manual_seed(2)
    network = with_random_statistics(make())
    path = write_onnx(network, tmp_path / f"{name}.onnx", SIZE, dynamo=False, opset=17)
    target = tmp_path / "int8.bundle"
    bundle = api.export(path, precision="int8", calibration=own_set, out=target)
    manifest = bundle.manifest
    assert manifest.quantization is not None
    inside, every = manifest.quantization.convolutions
    assert inside == every > 0
    stated = {entry.frame: entry.value for entry in manifest.parity if entry.metric == metric}
    assert {"astronaut", "coffee", "noise"} <= set(stated)
    assert (own_set.parent / "ranges" / f"{name}-own.json").is_file()
    with api.open_bundle(target) as loaded:
        found = loaded.run(np.zeros((*SIZE, 3), np.uint8))
    assert set(found) == {"labels" if metric == "label_share" else "image"}
    message, hint = edgeunet("build", target, "--trtexec", "--for-version", "10.3").failure
    assert message.startswith("int8.bundle is quantized for onnxruntime")
    assert hint == "export it again with --int8 --target tensorrt"


def test_a_set_of_frames_that_the_network_does_not_take(tmp_path: Path) -> None:
    path = write_onnx(SwinIR(), tmp_path / "swin.onnx", SIZE, dynamo=False, opset=17)
    ran = edgeunet("export", "--onnx", path, "--int8", "--out", tmp_path / "swin.bundle")
    message, hint = ran.failure
    assert message.startswith("calibration set 'photographs' has frames of 256x256: swin.onnx is ")
    assert hint.endswith("edgeunet calibrate PICTURES --name SET --size HxW")


def test_a_file_that_is_quantized_already(tmp_path: Path) -> None:
    """It keeps its own steps in floats; 8 bits on top of them are refused."""
    path = tmp_path / "steps.onnx"
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, *SIZE]) for name in ("x", "y")
    )
    weights = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    constants = {"scale": np.float32(1 / 255), "zero": np.uint8(0), "w": weights}
    tensors = [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    words = ("export", "--onnx", path, "--out", tmp_path / "steps.bundle")
    for target in ("onnxruntime", "tensorrt"):
        message, hint = edgeunet(*words, "--int8", "--target", target).failure
        assert message.startswith("steps is quantized already: QuantizeLinear (node ")
        assert hint.startswith("leave --int8 out")
    for more in (("--tile", "24x32"), ("--fp16",)):
        assert edgeunet(*words, *more).code == 0
