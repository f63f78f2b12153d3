"""What an export has to know of a network, wherever it comes from: a recipe or a foreign file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edgeunet.recipes import ClassTable, ExportTable, ToleranceTable
from edgeunet.specs import ClassLabel, Task


class OutputFacts(Protocol):
    """One output of a network.

    output: its name in our graphs.
    head: the kind of its answer.
    scale: for images, output pixels per pixel of the frame along each side.
    classes, labels: of a label map or of scores.
    """

    @property
    def output(self) -> str: ...

    @property
    def head(self) -> Task: ...

    @property
    def scale(self) -> int: ...

    @property
    def classes(self) -> Sequence[ClassTable]: ...

    @property
    def labels(self) -> tuple[ClassLabel, ...]: ...


class NetworkFacts(Protocol):
    """A network.

    width: channels at full resolution; 0 for a foreign network, which has only one form.
    smallest_side: the fewest rows or columns of a frame.
    remembers: whether an answer depends on the frames before.
    pathways: its outputs, in order.
    export: defaults of an export, and what stays in floats.
    tolerance: limits of the parity check.
    """

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def smallest_side(self) -> int: ...

    @property
    def remembers(self) -> bool: ...

    @property
    def pathways(self) -> Sequence[OutputFacts]: ...

    @property
    def export(self) -> ExportTable: ...

    @property
    def tolerance(self) -> ToleranceTable: ...
