"""Python code that makes a child process look like one with the base dependencies only."""

from __future__ import annotations

RUN_BARE = """\
import sys

HEAVY = {
    "torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "tensorrt", "tensorrt_rtx",
    "pycuda", "cuda", "cv2", "skimage", "matplotlib", "accelerate", "safetensors", "aiohttp",
    "scipy", "distributed",
}


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, NotInstalled())
"""
