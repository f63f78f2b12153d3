"""What do others make of the same network? Each is loaded as it comes, with two threads.

torch runs the module itself; onnxruntime and OpenVINO run the file that torch's exporter writes,
with no rewrite of ours. onnxruntime keeps its default options; OpenVINO is asked for FP32 and for
the least latency.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeunet.recipes import Recipe, load_recipe
from edgeunet.specs import FRAME, Array

TORCH, ONNXRUNTIME, OPENVINO = "torch eager", "onnxruntime defaults", "openvino"
PEERS = (TORCH, ONNXRUNTIME, OPENVINO)
THREADS = 2

Image = NDArray[np.uint8]
Run = Callable[[], Mapping[str, Array]]


def open_peer(peer: str, order: Mapping[str, Any], image: Image) -> Run:
    """Return what runs a frame, (H, W, 3) uint8 BGR.

    order: model, channels, weights, graph; threads, if it is not what the peer does by itself.
    """
    frame = image[np.newaxis]
    if peer == TORCH:
        return _torch(order, frame)
    return (_onnxruntime if peer == ONNXRUNTIME else _openvino)(order, frame)


def write_plain_onnx(recipe: Recipe, weights: Path, size: tuple[int, int], graph: Path) -> None:
    """Write what torch's exporter makes of a network at one frame size, untouched."""
    import torch

    from edgeunet.convert.network_graph import frame_module, network_for_export, quiet_exporter

    module = frame_module(network_for_export(recipe, weights), recipe)
    with quiet_exporter():
        program = torch.onnx.export(
            module,
            (torch.zeros(1, *size, 3, dtype=torch.uint8),),
            dynamo=True,
            opset_version=18,
            input_names=[FRAME],
            output_names=[pathway.output for pathway in recipe.pathways],
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(graph))


def _torch(order: Mapping[str, Any], frame: Array) -> Run:
    import torch

    from edgeunet.convert.network_graph import frame_module, network_for_export

    torch.set_num_threads(THREADS)
    recipe = load_recipe(order["model"]).with_width(order["channels"])
    module = frame_module(network_for_export(recipe, Path(order["weights"])), recipe)
    names = [pathway.output for pathway in recipe.pathways]

    def run() -> Mapping[str, Array]:
        with torch.inference_mode():
            answers = module(torch.from_numpy(frame))
        return {name: answer.numpy() for name, answer in zip(names, answers, strict=True)}

    return run


def _onnxruntime(order: Mapping[str, Any], frame: Array) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = order.get("threads", 0)
    session = onnxruntime.InferenceSession(
        order["graph"], options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    given = session.get_inputs()[0]
    # A network of somebody else takes RGB planes of 0..1.
    feed = frame if given.name == FRAME else _planes(frame)[:, : given.shape[1]]

    def run() -> Mapping[str, Array]:
        return dict(zip(names, session.run(names, {given.name: feed}), strict=True))

    return run


def _planes(frame: Array) -> Array:
    """Return (1, H, W, 3) uint8 BGR as (1, 3, H, W) float32 RGB, 0..1."""
    planes: Array = frame[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(planes)


def _openvino(order: Mapping[str, Any], frame: Array) -> Run:
    openvino = importlib.import_module("openvino")
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": order.get("threads", THREADS),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(order["graph"], "CPU", options)
    request = compiled.create_infer_request()

    def run() -> Mapping[str, Array]:
        results = request.infer({FRAME: frame}, share_inputs=True, share_outputs=True)
        return {output.get_any_name(): array for output, array in results.items()}

    return run
