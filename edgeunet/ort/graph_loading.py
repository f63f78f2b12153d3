"""Loads an ONNX file into onnxruntime, whatever its name is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from edgeunet.names import path_to_read


def load(
    graph: Path, options: onnxruntime.SessionOptions, disabled_optimizers: Sequence[str] = ()
) -> onnxruntime.InferenceSession:
    """Return a session on the CPU.

    A name that is no UTF-8 cannot be given to onnxruntime, so such a file is opened here.
    Raises whatever onnxruntime raises, whose exceptions have no base class of their own, and what
    ``path_to_read`` raises.
    """
    with path_to_read(graph) as name:
        return onnxruntime.InferenceSession(
            name,
            sess_options=options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(disabled_optimizers),
        )
