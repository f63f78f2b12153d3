"""In which order onnxruntime takes and gives back memory for one graph.

Its CPU kernels join a convolution with the sum and the activation that follow it: what is between
them is never stored, and the sum is written over the tensor that is added.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from edgeunet.graph.view import GraphNode, GraphView, TensorKind
from edgeunet.memory.arena_imitation import Arena


@dataclass(frozen=True)
class Buffer:
    """An activation: bytes per pixel of the window, or bytes whatever the window."""

    slope: float
    constant: int

    def size_bytes(self, pixels: int) -> int:
        return math.ceil(self.slope * pixels) + self.constant


@dataclass(frozen=True)
class Allocations:
    """Steps in order: which buffers are taken, and which are given back after it."""

    buffers: tuple[Buffer, ...]
    steps: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    def replay(self, arena: Arena, pixels: int) -> None:
        """Take and give back in an arena what a window of this area needs."""
        sizes = [buffer.size_bytes(pixels) for buffer in self.buffers]
        pieces = {}
        for taken, given in self.steps:
            for index in taken:
                pieces[index] = arena.take(sizes[index])
            for index in given:
                arena.give(pieces.pop(index))

    def live_lines(self) -> tuple[tuple[float, int], ...]:
        """Return, per step, the live bytes as (bytes per pixel, constant bytes)."""
        found = []
        slope, constant = 0.0, 0
        for taken, given in self.steps:
            slope += sum(self.buffers[index].slope for index in taken)
            constant += sum(self.buffers[index].constant for index in taken)
            found.append((slope, constant))
            slope -= sum(self.buffers[index].slope for index in given)
            constant -= sum(self.buffers[index].constant for index in given)
        return tuple(found)


@dataclass
class _Operation:
    """One kernel: what it reads and makes; ``over``: the input its result is written over."""

    inputs: list[str]
    outputs: list[str]
    over: str | None = None


def allocations_of(
    view: GraphView, placed: Collection[str], pixels: int, *, joined: bool
) -> Allocations:
    """Return the allocations of a graph made for a window of ``pixels``.

    placed: the tensors that grow with the window. joined: see above; else node by node.
    """
    operations = _operations(view, joined=joined)
    last = {name: i for i, op in enumerate(operations) for name in (*op.inputs, *op.outputs)}
    owner: dict[str, str] = {}
    for index, op in enumerate(operations):
        if op.over is None or op.over not in last:
            continue
        dies = last[op.over] == index or op.over in owner
        if dies and view.tensor(op.outputs[0]).kind is TensorKind.ACTIVATION:
            owner[op.outputs[0]] = owner.get(op.over, op.over)
    end: dict[str, int] = {}
    for name, index in last.items():
        held_by = owner.get(name, name)
        end[held_by] = max(end.get(held_by, 0), index)
    numbers: dict[str, int] = {}
    buffers: list[Buffer] = []
    steps: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for index, op in enumerate(operations):
        taken = []
        for name in op.outputs:
            tensor = view.tensor(name)
            if tensor.kind is TensorKind.ACTIVATION and name not in owner:
                grows = name in placed
                numbers[name] = len(buffers)
                taken.append(len(buffers))
                buffers.append(
                    Buffer(
                        tensor.size_bytes / pixels if grows else 0.0,
                        0 if grows else tensor.size_bytes,
                    )
                )
        given = tuple(number for name, number in numbers.items() if end[name] == index)
        steps.append((tuple(taken), given))
    return Allocations(tuple(buffers), tuple(steps))


@dataclass
class _Reader:
    """Who reads and who makes what."""

    view: GraphView
    makers: dict[str, GraphNode] = field(default_factory=dict)
    users: dict[str, list[GraphNode]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.view.nodes:
            for name in node.outputs:
                self.makers[name] = node
            for name in node.inputs:
                self.users.setdefault(name, []).append(node)

    def only_user(self, name: str) -> GraphNode | None:
        users = self.users.get(name, [])
        return users[0] if len(users) == 1 and name not in self.view.outputs else None

    def is_blocked(self, name: str) -> bool:
        """Whether a kernel leaves the tensor in channel blocks: a convolution, joined or not."""
        maker = self.makers.get(name)
        if maker is None:
            return False
        if maker.op_type in ("Relu", "Add"):
            return any(
                (m := self.makers.get(i)) is not None and m.op_type == "Conv" for i in maker.inputs
            )
        return maker.op_type == "Conv"


def _operations(view: GraphView, *, joined: bool) -> Sequence[_Operation]:
    reader = _Reader(view)
    gone: set[int] = set()
    found: list[_Operation] = []
    for node in view.nodes:
        if node.index in gone:
            continue
        op = _Operation(list(node.inputs), list(node.outputs))
        if node.op_type == "Conv" and joined:
            _join_sum(reader, node, op, gone)
            after = reader.only_user(op.outputs[0])
            if after is not None and after.op_type == "Relu":
                gone.add(after.index)
                op.outputs = [after.outputs[0]]
        elif node.is_view:
            op.over = node.inputs[0]
        found.append(op)
    return found


def _join_sum(reader: _Reader, node: GraphNode, op: _Operation, gone: set[int]) -> None:
    """Join a sum with the later of the two convolutions that make its terms."""
    after = reader.only_user(node.outputs[0])
    if after is None or after.op_type != "Add" or after.index in gone:
        return
    others = [name for name in after.inputs if name != node.outputs[0]]
    if len(others) != 1 or not reader.is_blocked(others[0]):
        return
    other = others[0]
    if reader.makers[other].index > node.index:
        return
    if reader.view.tensor(other).shape == reader.view.tensor(node.outputs[0]).shape:
        gone.add(after.index)
        op.inputs.append(other)
        op.outputs = [after.outputs[0]]
        op.over = other
