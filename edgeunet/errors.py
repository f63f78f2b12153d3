"""Errors that a user can act on, with a message (what was wrong) and a hint (what works).

EdgeUnetError            exit code 1
├── UsageError           exit code 2: the command line itself is wrong
├── RecipeError          a recipe or calibration file
├── WeightsError         a safetensors file
├── GraphError           an ONNX file or a graph that cannot be handled
├── BudgetError          a byte limit that nothing fits
├── BundleError          a bundle folder
├── ParityError          an export that does not reproduce its network
├── SourceError          a source of frames
├── SinkError            a sink of frames
├── EngineError          an engine that runs graphs
└── MissingPackageError  an optional package that is not installed
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# A shared library as the loader names it: its name, and the version of its interface.
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+?)\.so\.(\d+)(?=.*: cannot open shared object file)")


class EdgeUnetError(Exception):
    """A failure that the user can fix; the command line prints its message and its hint."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgeUnetError):
    """The command line is wrong."""

    exit_code = 2


class RecipeError(EdgeUnetError):
    """A recipe or calibration file is missing, malformed or contradictory."""


class WeightsError(EdgeUnetError):
    """A weight file is missing, truncated, or belongs to another network."""


class GraphError(EdgeUnetError):
    """An ONNX graph cannot be read, rewritten or analysed."""


class BudgetError(EdgeUnetError):
    """No plan fits the byte limit."""


class BundleError(EdgeUnetError):
    """A bundle is incomplete, altered, or made by a newer version."""


class ParityError(EdgeUnetError):
    """An exported graph does not reproduce the torch FP32 output within its tolerance."""


class SourceError(EdgeUnetError):
    """A source of frames is missing, unreadable or of the wrong size."""


class SinkError(EdgeUnetError):
    """A sink for frames cannot be opened or written."""


class EngineError(EdgeUnetError):
    """An engine cannot load or run a graph."""


class MissingPackageError(EdgeUnetError):
    """An optional package is needed and not installed, or cannot be loaded.

    error: what importing it raised. Where that names a library of the system which is not there,
        such as ``libGL.so.1``, the message says so, because installing the package again would
        change nothing.
    """

    def __init__(
        self, package: str, *, purpose: str, extra: str, error: ImportError | None = None
    ) -> None:
        lacking = _MISSING_LIBRARY.match("" if error is None else str(error))
        if lacking is None:
            message = f"{purpose} needs the package {package!r}, which is not installed"
            hint = f'pip install "edgeunet[{extra}]"'
        else:
            library, stem, version = lacking.group(0, 1, 2)
            message = f"the package {package!r} is installed, but this system lacks {library}"
            dash = "-" if stem[-1].isdecimal() else ""
            hint = f"install it; on Debian and Ubuntu: apt install {stem.lower()}{dash}{version}"
        super().__init__(message, hint=hint)
        self.package = package


def near_match(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? `` for a hint, or an empty string when nothing is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? " if close else ""
