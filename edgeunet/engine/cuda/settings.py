"""CUDA settings: which package calls it, how frames reach the GPU, whether graphs are used.

They are environment variables because they are for measurements and unusual machines only.
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
"""The package that calls CUDA: ``pycuda`` or ``cuda-python``."""

TRANSFERS = "EDGEUNET_TRANSFERS"
"""``mapped``: the GPU reads frames in host memory. ``copied``: frames are copied to the GPU."""

GRAPH = "EDGEUNET_CUDA_GRAPH"
"""Whether a frame runs as one CUDA graph. With ``on`` it is an error when that is impossible."""

_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True)
class DeviceSettings:
    """How a GPU is used.

    backend: package that calls CUDA; None takes pycuda where it is installed, else cuda-python.
    transfers: how frames and outputs are moved.
    graph: whether a frame runs as one CUDA graph.
    ordinal: number of the GPU, from 0.
    """

    backend: Backend | None = None
    transfers: Transfers = "auto"
    graph: Switch = "auto"
    ordinal: int = 0


def read_settings(environment: Mapping[str, str] | None = None) -> DeviceSettings:
    """Read the settings from environment variables.

    environment: variables by name; None reads those of this process.
    Raises UsageError for a value that a variable does not have.
    """
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
