"""Engines that run a graph. Each engine's package is imported in one place only.

``open_session`` loads an ONNX file into an engine.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

from edgeunet.errors import EngineError, MissingPackageError, UsageError, near_match
from edgeunet.specs import Array, Engine, Pool, Session

__all__ = ["check_engine", "choose_engine", "open_session"]

_NAMES = tuple(str(engine) for engine in Engine)


def check_engine(engine: str) -> None:
    """Raise UsageError when the name is neither ``auto`` nor that of an ``Engine``."""
    if engine not in (*_NAMES, "auto"):
        raise UsageError(
            f"there is no engine {engine!r}",
            hint=near_match(engine, _NAMES) + f"known: auto, {', '.join(_NAMES)}",
        )


def choose_engine(engine: str = "auto") -> Engine:
    """Return the engine that runs an ONNX graph.

    TensorRT is never chosen here: it runs the built plans of a bundle and no graphs
    (``edgeunet/run/engine_choice.py``).

    Raises UsageError for an unknown name, EngineError for ``tensorrt``, and MissingPackageError
    when onnxruntime is not installed.
    """
    check_engine(engine)
    if engine == Engine.TENSORRT:
        raise EngineError(
            "TensorRT runs the plans of a bundle, not a graph",
            hint="make a bundle and build it: edgeunet export --help, edgeunet build BUNDLE",
        )
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingPackageError("onnxruntime", purpose="running a bundle", extra="cpu")
    return Engine.ONNXRUNTIME


def open_session(
    graph: Path,
    engine: str = "auto",
    *,
    threads: int | None = None,
    outputs: Mapping[str, Array] | None = None,
    pool: Pool | None = None,
    on_note: Callable[[str], None] | None = None,
    integer_kernels: bool = True,
) -> Session:
    """Load an ONNX file into an engine.

    graph: path of the file.
    engine: ``auto`` or the name of an engine.
    threads: CPU threads for one run; None takes every core this process may use.
    outputs: arrays to write results into, by output name; the session makes the missing ones.
    pool: memory that activations are expected to need; sessions with the same pool share it.
    on_note: called with one line when the session has to share the pool of others.
    integer_kernels: whether INT8 is computed by them, or in floats between the quantizers.
    Raises EngineError when the file cannot be loaded, and what ``choose_engine`` raises.
    """
    choose_engine(engine)
    # Imported here because this file must be importable where no engine is installed.
    from edgeunet.ort.onnxruntime_session import OnnxRuntimeSession

    return OnnxRuntimeSession(
        graph,
        threads=threads,
        outputs=outputs,
        pool=pool,
        on_note=on_note,
        integer_kernels=integer_kernels,
    )
