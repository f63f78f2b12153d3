"""What of CUDA can be switched: which package, how frames get to the GPU, whether graphs are used.

Environment variables, because they are for measuring and for odd machines, not for every day.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, cast, get_args

from edgeunet.errors import UsageError
from edgeunet.units import shorten

Backend = Literal["pycuda", "cuda-python"]
Transfers = Literal["auto", "mapped", "copied"]
Switch = Literal["auto", "on", "off"]

BACKEND = "EDGEUNET_CUDA"
"""Which package calls CUDA."""

TRANSFERS = "EDGEUNET_TRANSFERS"
"""mapped: the GPU reads the frame where the CPU wrote it; copied: through page-locked memory."""

GRAPH = "EDGEUNET_CUDA_GRAPH"
"""Whether a frame is one CUDA graph; ``on`` makes it an error that it cannot be."""

_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True)
class DeviceSettings:
    """backend: None takes pycuda where it is installed, else cuda-python."""

    backend: Backend | None = None
    transfers: Transfers = "auto"
    graph: Switch = "auto"
    ordinal: int = 0


def read_settings(environment: Mapping[str, str] | None = None) -> DeviceSettings:
    """Read the variables; raises UsageError for a word that none of them knows."""
    given = os.environ if environment is None else environment
    backend = given.get(BACKEND)
    return DeviceSettings(
        backend=None if not backend else cast(Backend, _word(BACKEND, backend, get_args(Backend))),
        transfers=cast(
            Transfers, _word(TRANSFERS, given.get(TRANSFERS) or "auto", get_args(Transfers))
        ),
        graph=cast(Switch, _word(GRAPH, given.get(GRAPH) or "auto", get_args(Switch))),
    )


def _word(variable: str, text: str, known: tuple[_Word, ...]) -> _Word:
    for word in known:
        if word == text:
            return word
    raise UsageError(
        f"{variable} is {shorten(text)!r}",
        hint=f"set it to one of: {', '.join(known)}, or unset it",
    )
