"""The table of a bundle's TensorRT plans: predicted memory beside what the compiler reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeunet.bundle import Bundle
from edgeunet.cli.console import print_table
from edgeunet.errors import MissingPackageError
from edgeunet.units import format_bytes


@dataclass(frozen=True)
class PlanRow:
    """The memory of one stage's TensorRT plan, in bytes; None where a figure is not known.

    predicted_bytes: activations, as predicted from the graph.
    activation_bytes, scratch_bytes, weight_bytes: as the compiler reports them; the scratch is
        part of the activations.
    further: the cells of further columns.
    """

    stage: str
    predicted_bytes: int | None
    activation_bytes: int | None
    scratch_bytes: int | None
    weight_bytes: int | None
    further: tuple[str, ...]


def predicted_bytes(bundle: Bundle) -> dict[str, int]:
    """Return the predicted activation bytes of each stage's TensorRT plan, by stage name.

    Returns an empty dict when the package onnx is missing.
    """
    from edgeunet.graph.summary import view_of_file
    from edgeunet.imitation.tensorrt_compiler import compiled_bytes

    try:
        return {
            entry.name: compiled_bytes(view_of_file(bundle.file(entry.graph)))
            for entry in bundle.manifest.stages
        }
    except MissingPackageError:
        return {}


def print_plan_table(title: str, rows: Sequence[PlanRow], further: Sequence[str]) -> None:
    """Print one line per TensorRT plan. further: the headings of further columns."""
    print_table(
        title,
        ("stage", "predicted", "activations", "scratch", "weights", *further),
        [
            (
                row.stage,
                size_or_dash(row.predicted_bytes),
                size_or_dash(row.activation_bytes),
                size_or_dash(row.scratch_bytes),
                size_or_dash(row.weight_bytes),
                *row.further,
            )
            for row in rows
        ],
        text_columns=1,
    )


def size_or_dash(size_bytes: int | None) -> str:
    """Return a size as text, "-" for None."""
    return "-" if size_bytes is None else format_bytes(size_bytes)
