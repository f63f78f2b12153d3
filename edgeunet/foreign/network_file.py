"""A foreign network's file: its graph in canonical form at any size that the file allows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgeunet.contracts import ForeignInput, ForeignNetwork
from edgeunet.errors import GraphError, UsageError
from edgeunet.files import sha256_of
from edgeunet.foreign.another_size import at_another_size
from edgeunet.foreign.canonical import SizeError, canonical
from edgeunet.foreign.contract_text import NOTHING_SAID, SaidContract
from edgeunet.foreign.double_sums import with_double_sums
from edgeunet.foreign.finding_inputs import find_inputs, open_shape
from edgeunet.foreign.finding_outputs import find_outputs
from edgeunet.foreign.frame_axis import join_frame_axes
from edgeunet.foreign.reading import prepared, read_network
from edgeunet.foreign.tensor_names import name_of
from edgeunet.foreign.wide_floats import widen_halves
from edgeunet.graph.onnx_file import weight_files
from edgeunet.graph.summary import refuse_subgraphs
from edgeunet.graph.values import static_shape
from edgeunet.recipes import ToleranceTable
from edgeunet.units import format_size

_STEPS = (2, 4, 8, 16, 32, 64)
"""Multiples that networks ask of the sides of a frame."""

# The file itself rounds to 16 bits after every operator, its graph in 32 bits does not.
_OF_HALVES = ToleranceTable(fp32_db=ToleranceTable().fp16_db)


@dataclass(frozen=True)
class Feed:
    """What an input of a graph takes: its shape, and the name of its numpy type."""

    shape: tuple[int, ...]
    dtype: str


def feeds_of(model: ir.Model) -> dict[str, Feed]:
    """Return what the inputs of a graph of one size take, by name."""
    return {
        value.name or "": Feed(static_shape(value) or (), _numpy_type(value))
        for value in model.graph.inputs
    }


class NetworkFile:
    """The graph of a foreign network and the contract of its inputs.

    own_size: the (height, width) that is written into the file; None where it is open.
    halves: whether the file has 16-bit floats. The graph has 32-bit ones in their place.
    """

    def __init__(
        self, model: ir.Model, name: str, sha256: str, said: SaidContract = NOTHING_SAID
    ) -> None:
        """Prepare a graph.

        model: as ``reading.prepared`` gives it; it is changed.
        name: the file's name, for messages and for the manifest.
        Raises GraphError for a network that takes no frame.
        """
        refuse_loops(model.graph, name)
        self.name, self.sha256 = name, sha256
        self._given_types = {value.name or "": _numpy_type(value) for value in model.graph.inputs}
        self.halves = widen_halves(model)
        self._on_axis = join_frame_axes(model.graph, {one.name: one for one in said.inputs})
        self._model, self._said = model, said
        self.inputs = find_inputs(model.graph, said.inputs, name)
        self._frame_value = next(
            value for value in model.graph.inputs if value.name == self._frame.name
        )
        self._known: dict[tuple[int, int], ir.Model] = {}

    @classmethod
    def read(cls, path: Path, said: SaidContract = NOTHING_SAID) -> NetworkFile:
        """Read a file. Raises the errors of ``read_network``, and those of the contract."""
        return cls(read_network(path), path.name, _digest_of(path), said)

    @property
    def _frame(self) -> ForeignInput:
        return next(entry for entry in self.inputs if entry.is_frame)

    @property
    def own_size(self) -> tuple[int, int] | None:
        shape = self._frame_value.shape
        rows = 2 if self._frame.layout == "nchw" else 1
        sides = [] if shape is None else [d for d in shape[rows : rows + 2] if isinstance(d, int)]
        return (sides[0], sides[1]) if len(sides) == 2 else None

    def network(self, height: int, width: int) -> ForeignNetwork:
        """Return the whole contract. height, width: of the frames that are exported.

        Raises UsageError, with the nearest sizes that it takes, for a size that it refuses, and
        the errors of ``find_outputs``.
        """
        try:
            model = self.canonical(height, width)
        except SizeError as error:
            near = self._near_sizes(height, width)
            hint = error.hint if not near else f"it takes {' and '.join(near)}"
            raise UsageError(error.message, hint=hint) from error
        pathways, left_out = find_outputs(
            model,
            (height, width),
            self._frame.colours,
            self._said.outputs,
            self.name,
        )
        return ForeignNetwork(
            name=name_of(self.name),
            file=self.name,
            sha256=self.sha256,
            inputs=self.inputs,
            pathways=pathways,
            left_out=left_out,
            halves=self.halves,
            tolerance=_OF_HALVES if self.halves else ToleranceTable(),
        )

    def shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of every input for a frame of (height, width) pixels."""
        size = (height, width)
        frame = self._frame.shape(*size)
        return {
            entry.name: open_shape(value, self._frame_value, frame, size)
            if entry.fill is not None
            else entry.shape(*size)
            for value, entry in zip(self._model.graph.inputs, self.inputs, strict=True)
        }

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(value.name or "" for value in self._model.graph.outputs)

    def feeds(self, height: int, width: int) -> dict[str, Feed]:
        """Return what the inputs are of what is compared at a size, by name.

        That is the file itself, or its graph at a size that the file does not have.
        """
        if self.own_size not in (None, (height, width)):
            return feeds_of(self.canonical(height, width))
        found = {}
        for name, shape in self.shapes(height, width).items():
            if name in self._on_axis:
                shape = (shape[0], *self._on_axis[name], *shape[2:])
            found[name] = Feed(shape, self._given_types[name])
        return found

    def canonical(self, height: int, width: int) -> ir.Model:
        """Return the graph for a frame of (height, width) pixels; it must not be changed.

        Raises GraphError for a size that the network refuses, or that the file does not allow.
        """
        size = (height, width)
        if size not in self._known:
            own = self.own_size
            if own is None or own == size:
                self._known[size] = canonical(self._model, self.shapes(*size))
            else:
                self._known[size] = self._resized(own, size)
        return self._known[size]

    def in_doubles(self, height: int, width: int) -> ir.Model | None:
        """Return the file's graph with its sums over the frame in float64, None without any.

        Raises GraphError as ``canonical`` does.
        """
        size = (height, width)
        own = self.own_size in (None, size)
        return with_double_sums(self._model if own else self.canonical(*size), self.shapes(*size))

    def _near_sizes(self, height: int, width: int) -> list[str]:
        """Return the nearest sizes, below and above, that the network takes."""
        found = []
        for up in (False, True):
            for step in _STEPS:
                size = (_multiple(height, step, up=up), _multiple(width, step, up=up))
                if min(size) and size != (height, width) and self._takes(*size):
                    found.append(format_size(*size))
                    break
        return found

    def _takes(self, height: int, width: int) -> bool:
        try:
            self.canonical(height, width)
        except (GraphError, UsageError):
            return False
        return True

    def _resized(self, own: tuple[int, int], size: tuple[int, int]) -> ir.Model:
        base = self.canonical(*own)
        try:
            return at_another_size(base, self._frame, own, size, self.shapes(*size))
        except GraphError as error:
            raise UsageError(
                f"{self.name} is fixed at {format_size(*own)}, and its graph is not for "
                f"{format_size(*size)}: {error.message}",
                hint="leave --size out, or export the file with open (dynamic) height and width",
            ) from error


def _digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of those of it and its files of weights."""
    beside = weight_files(path)
    if not beside:
        return sha256_of(path)
    digests = [sha256_of(one) for one in (path, *beside)]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _numpy_type(value: ir.Value) -> str:
    return "float32" if value.dtype is None else value.dtype.numpy().name


def refuse_loops(graph: ir.Graph, name: str) -> None:
    """Raise GraphError for a loop; a choice (If) may follow from the sizes alone."""
    for node in graph:
        if node.op_type in ("Loop", "Scan"):
            refuse_subgraphs(graph)


def file_of_model(
    model: ir.Model, name: str, sha256: str, said: SaidContract = NOTHING_SAID
) -> NetworkFile:
    """Return a network that is not in a file, such as an exported torch module."""
    return NetworkFile(prepared(model, name), name, sha256, said)


def _multiple(side: int, step: int, *, up: bool) -> int:
    """Return the nearest multiple of a step that is not smaller, or not larger."""
    return -(-side // step) * step if up else side // step * step
