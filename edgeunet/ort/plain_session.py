"""A network of somebody else, as onnxruntime runs it by default: what parity compares with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import onnxruntime

from edgeunet.errors import EngineError
from edgeunet.ort.graph_loading import load
from edgeunet.specs import Array

_LOG_ERRORS_ONLY = 3


def open_plain(path: Path) -> Callable[[Mapping[str, Array]], Mapping[str, Array]]:
    """Load an ONNX file with the library's own options; return a function on its tensors.

    Raises EngineError for a file that onnxruntime does not run; so does the function for inputs
    that the network refuses.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    try:
        session = load(path, options)
    except Exception as error:  # onnxruntime's own exception types are not public
        raise _refused(path, "load", error) from error
    names = [output.name for output in session.get_outputs()]
    known = {entry.name for entry in session.get_inputs()}

    def run(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        given = {name: array for name, array in feeds.items() if name in known}
        try:
            return dict(zip(names, session.run(names, given), strict=True))
        except Exception as error:  # as above
            raise _refused(path, "run", error) from error

    return run


def _refused(path: Path, verb: str, error: Exception) -> EngineError:
    reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else "no reason given"
    return EngineError(
        f"onnxruntime does not {verb} {path.name}: {reason}",
        hint="the file itself is refused: check it with onnxruntime alone, or export it again",
    )
