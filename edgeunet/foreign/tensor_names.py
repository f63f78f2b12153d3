"""Names and shapes of a file's tensors, for messages; the name of a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from edgeunet.errors import UsageError, near_match
from edgeunet.foreign.contract_text import Said


def check_names(said: Mapping[str, Said], names: Sequence[str], option: str, file: str) -> None:
    """Raise UsageError for an option that names a tensor which the file does not have."""
    for name in said:
        if name not in names:
            raise UsageError(
                f"{option} {name}: {file} has no such tensor",
                hint=f"{near_match(name, names)}it has: {', '.join(names)}",
            )


_IN_FILE = "shape in the file"


def remember_shape(value: ir.Value, shape: ir.Shape) -> None:
    """Let messages give an input the shape that it has in the file."""
    value.meta[_IN_FILE] = shape


def shape_text(value: ir.Value) -> str:
    """Return a tensor's shape and type, with names or ? for open dimensions."""
    kind = "unknown" if value.dtype is None else value.dtype.name.lower()
    shape: ir.Shape | None = value.meta.get(_IN_FILE, value.shape)
    if shape is None:
        return f"({kind})"
    lengths = [d if isinstance(d, int) else (d.value or "?") for d in shape]
    return f"({', '.join(map(str, lengths))}) {kind}"


def name_of(file: str) -> str:
    """Return a name of a-z, 0-9 and '-' for a network, made of its file's name."""
    stem = file.rpartition(".")[0] or file
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "network"
