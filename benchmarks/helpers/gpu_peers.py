"""What else runs the network on a GPU: torch as it is, torch compiled, onnxruntime with CUDA.

Each takes a frame from the CPU and gives the outputs back there, as the executor does.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.errors import EngineError
from edgeunet.specs import FRAME, Array, Precision

Run = Callable[[Array], Mapping[str, Array]]
TORCH, COMPILED, ONNXRUNTIME = "torch eager", "torch.compile", "onnxruntime-gpu"
PEERS = (TORCH, COMPILED, ONNXRUNTIME)


def open_peer(name: str, bundle: Bundle, module: Any) -> Run:
    """Return what runs a frame. Raises EngineError with the reason where it cannot be had."""
    if name == ONNXRUNTIME:
        return _onnxruntime(bundle)
    return _torch(bundle, module, compiled=name == COMPILED)


def _torch(bundle: Bundle, module: Any, *, compiled: bool) -> Run:
    if module is None:
        raise EngineError("a bundle has no network for torch", hint="run without bundles")
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise EngineError("this torch has no CUDA", hint="install one that has")
    precision = bundle.manifest.precision
    if precision is Precision.INT8:
        raise EngineError("torch runs no INT8 network here", hint="compare FP16")
    network = module.to("cuda").eval()
    run: Any = torch.compile(network) if compiled else network
    names = [pathway.output for pathway in bundle.manifest.network.pathways]

    def frame(image: Array) -> Mapping[str, Array]:
        with (
            torch.inference_mode(),
            torch.autocast("cuda", torch.float16, enabled=precision is Precision.FP16),
        ):
            answers = run(torch.from_numpy(image[None]).to("cuda"))
        return {name: a.cpu().numpy() for name, a in zip(names, answers, strict=True)}

    return frame


def _onnxruntime(bundle: Bundle) -> Run:
    if importlib.util.find_spec("onnxruntime") is None:
        raise EngineError("onnxruntime is not installed", hint="pip install onnxruntime-gpu")
    onnxruntime: Any = importlib.import_module("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise EngineError("this onnxruntime has no CUDA", hint="pip install onnxruntime-gpu")
    if bundle.manifest.plan is not None:
        raise EngineError("onnxruntime is compared on whole frames", hint="see the whole run")
    path = bundle.file(bundle.manifest.stages[0].graph)
    session = onnxruntime.InferenceSession(str(path), providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise EngineError("onnxruntime fell back to the CPU", hint="see its log")
    names = [output.name for output in session.get_outputs()]

    def frame(image: Array) -> Mapping[str, Array]:
        answers = session.run(names, {FRAME: np.ascontiguousarray(image[None])})
        return dict(zip(names, answers, strict=True))

    return frame
