"""The attributes of every TensorRT version, from ``tensorrt_matrix.txt``."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace

from edgeunet.engine.trt.provider import Provider, provider_of

_FILE = Path(__file__).with_name("tensorrt_matrix.txt")

RTX = "rtx"


@functools.cache
def matrix() -> dict[str, dict[str, bool]]:
    """Return a table: ``Class.attribute`` -> version -> whether the version has it."""
    lines = [line for line in _FILE.read_text().splitlines() if not line.startswith("#")]
    versions = lines[0].split()[1:]
    found = {}
    for line in lines[1:]:
        name, *cells = line.split()
        assert len(cells) == len(versions), line
        assert set(cells) <= {"Y", "y", "."}, line
        found[name] = {v: cell != "." for v, cell in zip(versions, cells, strict=True)}
    return found


def versions() -> tuple[str, ...]:
    return tuple(next(iter(matrix().values())))


def column_of(version: str) -> str:
    """Return the matrix's newest column that is not newer than a version."""
    if version == RTX:
        return RTX
    asked = tuple(map(int, version.split(".")))
    columns = [v for v in versions() if v != RTX and tuple(map(int, v.split("."))) <= asked]
    return columns[-1]


def offered(version: str) -> frozenset[str]:
    """Return every ``Class.attribute`` that a version has."""
    column = column_of(version)
    return frozenset(name for name, cells in matrix().items() if cells[column])


def provider_at(version: str) -> Provider:
    """Return a provider of a version without a module."""
    if version == RTX:
        return provider_of("tensorrt-rtx", SimpleNamespace(__version__="1.7.1.116"))
    return provider_of("tensorrt", SimpleNamespace(__version__=version))
