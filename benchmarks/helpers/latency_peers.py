"""ncnn and MNN on a network as torch exports it, in floats.

Both are optional: without their wheels they are left out, and the reason is said.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.helpers.peers import OPENVINO, Run
from edgeunet.convert.network_graph import network_for_export, quiet_exporter
from edgeunet.models import Network
from edgeunet.pixels import as_bytes
from edgeunet.recipes import Recipe
from edgeunet.specs import Array, Image, Task

NCNN, MNN = "ncnn", "MNN"
_NEEDS = {OPENVINO: ("openvino",), NCNN: ("ncnn", "pnnx"), MNN: ("MNN",)}


class LeftOutError(Exception):
    """A peer cannot run the network. message: why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def why_not(run: str) -> str | None:
    """Return why an engine cannot run here; None when it can."""
    missing = [name for name in _NEEDS.get(run, ()) if importlib.util.find_spec(name) is None]
    return f"pip install {' '.join(missing)}" if missing else None


def open_float_peer(
    peer: str, recipe: Recipe, weights: Path, image: Image, threads: int, folder: Path
) -> Run:
    """Return what runs a frame, (H, W, 3) uint8 BGR; its answers have the names of the recipe.

    Raises LeftOutError when the peer cannot convert or load the network.
    """
    module = _Floats(network_for_export(recipe, weights), recipe).eval()
    planes = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / 255
    open_one = _ncnn if peer == NCNN else _mnn
    run = open_one(module, planes, threads, folder)

    def answers() -> Mapping[str, Array]:
        return {
            pathway.output: _answer(pathway.head, made)
            for pathway, made in zip(recipe.pathways, run(), strict=True)
        }

    return answers


class _Floats(torch.nn.Module):
    """The network from (1, 3, H, W) float32 RGB 0..1 to the floats of every pathway."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.names = [pathway.output for pathway in recipe.pathways]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        answers = self.network(image)
        return tuple(answers[name] for name in self.names)


def _answer(head: Task, made: Array) -> Array:
    """Return a pathway's floats, (1, C, H, W), as a bundle gives them."""
    if head is Task.DENOISE:
        return as_bytes(made[0].transpose(1, 2, 0))[None, :, :, ::-1]
    if head is Task.SEGMENT:
        return np.asarray(made.argmax(axis=1), np.uint8)
    return made


def _ncnn(module: torch.nn.Module, planes: Array, threads: int, folder: Path) -> Any:
    pnnx, ncnn = importlib.import_module("pnnx"), importlib.import_module("ncnn")
    before = Path.cwd()
    os.chdir(folder)  # pnnx writes beside the file that it is given, and into the working folder
    try:
        pnnx.export(module, "network.pt", torch.from_numpy(planes), fp16=False)
    finally:
        os.chdir(before)
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for option in (
        "use_fp16_packed",
        "use_fp16_storage",
        "use_fp16_arithmetic",
        "use_bf16_storage",
    ):
        setattr(net.opt, option, False)
    if net.load_param(str(folder / "network.ncnn.param")) or net.load_model(
        str(folder / "network.ncnn.bin")
    ):
        raise LeftOutError("ncnn cannot load what pnnx made of the network")
    outputs = sorted(net.output_names())

    def run() -> list[Array]:
        with net.create_extractor() as extractor:
            extractor.input(net.input_names()[0], ncnn.Mat(planes[0]))
            return [np.array(extractor.extract(name)[1])[None] for name in outputs]

    return run


def _mnn(module: torch.nn.Module, planes: Array, threads: int, folder: Path) -> Any:
    graph, converted = folder / "floats.onnx", folder / "floats.mnn"
    with quiet_exporter():
        program = torch.onnx.export(
            module, (torch.from_numpy(planes),), dynamo=True, opset_version=18, verbose=False
        )
    if program is None:
        raise LeftOutError("torch.onnx.export returned no program")
    program.save(str(graph))
    arguments = ["-f", "ONNX", "--modelFile", str(graph), "--MNNModel", str(converted)]
    done = subprocess.run(
        [sys.executable, "-m", "MNN.tools.mnnconvert", *arguments, "--bizCode", "edgeunet"],
        check=False,
        capture_output=True,
    )
    if done.returncode or not converted.exists():
        raise LeftOutError("MNN cannot convert the network")
    mnn, expr = importlib.import_module("MNN"), importlib.import_module("MNN.expr")
    settings = {"backend": "CPU", "precision": "high", "numThread": threads}
    runtime = mnn.nn.create_runtime_manager((settings,))
    inputs = [value.name for value in program.model.graph.inputs]
    outputs = [value.name for value in program.model.graph.outputs]
    net = mnn.nn.load_module_from_file(
        str(converted), inputs, outputs, runtime_manager=runtime, shape_mutable=False
    )
    given = expr.const(planes, list(planes.shape), expr.NCHW)

    def run() -> list[Array]:
        return [np.array(expr.convert(made, expr.NCHW).read()) for made in net.onForward([given])]

    return run
