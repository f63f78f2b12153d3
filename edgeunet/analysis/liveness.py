"""Lifetimes of buffers. They are half-open ``[start, end)`` in steps; step i runs node i.

A step needs its inputs and its outputs at the same time, because no operator overwrites its input.
For engines that run node by node, the peak is a lower bound for every allocator.

Only activations count. Inputs and outputs of the graph lie in buffers of the caller for the whole
run, so an allocator cannot reuse them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from edgeunet.graph.summary import GraphView, TensorKind


@dataclass(frozen=True)
class Lifetime:
    """One buffer: its tensor, and the views that share it.

    start: the step that makes it; 0 for an input of the graph.
    end: one past the step that uses it last.
    uses: the steps that read it or its views, in order.
    views: names of the tensors that share its bytes.
    """

    name: str
    size_bytes: int
    kind: TensorKind
    start: int
    end: int
    uses: tuple[int, ...] = ()
    views: tuple[str, ...] = ()

    def alive_at(self, step: int) -> bool:
        return self.start <= step < self.end


@dataclass(frozen=True)
class Liveness:
    """The lifetimes of a graph that runs in ``steps`` steps.

    activations: buffers that an engine has to allocate.
    borders: inputs and outputs of the graph.
    """

    steps: int
    activations: tuple[Lifetime, ...]
    borders: tuple[Lifetime, ...]

    @functools.cached_property
    def live_bytes(self) -> tuple[int, ...]:
        """Bytes of live activations at each step."""
        spans = [(item.start, item.end, item.size_bytes) for item in self.activations]
        return sum_per_step(self.steps, spans)

    @property
    def peak_bytes(self) -> int:
        return max(self.live_bytes, default=0)

    @property
    def peak_step(self) -> int:
        """The first step at which the peak is reached."""
        return self.live_bytes.index(self.peak_bytes) if self.live_bytes else 0

    def alive_at(self, step: int) -> tuple[Lifetime, ...]:
        """Return the activations alive at a step, the largest first."""
        alive = [item for item in self.activations if item.alive_at(step)]
        return tuple(sorted(alive, key=lambda item: (-item.size_bytes, item.start)))


def sum_per_step(steps: int, spans: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    """Return the bytes alive at each step. spans: (start, end, size_bytes) of each buffer."""
    changes = [0] * (steps + 1)
    for start, end, size_bytes in spans:
        changes[start] += size_bytes
        changes[end] -= size_bytes
    return tuple(accumulate(changes[:steps]))


def liveness_of(view: GraphView, *, share_views: bool = True) -> Liveness:
    """Return the lifetime of every buffer.

    share_views: let Reshape, Squeeze, Unsqueeze, Flatten and Identity share the buffer of their
        input, as engines do; False gives each its own. An output of the graph always has its own
        buffer, because the caller owns it.
    """
    owner: dict[str, str] = {}
    start: dict[str, int] = dict.fromkeys(view.inputs, 0)
    uses: dict[str, list[int]] = {name: [] for name in view.inputs}
    views: dict[str, list[str]] = {}
    for node in view.nodes:
        for name in dict.fromkeys(node.inputs):
            held = owner.get(name, name)
            if held in uses and (not uses[held] or uses[held][-1] != node.index):
                uses[held].append(node.index)
        for position, name in enumerate(node.outputs):
            kind = view.tensor(name).kind
            if kind in (TensorKind.WEIGHT, TensorKind.CONSTANT):
                continue
            shares = share_views and node.is_view and position == 0
            if shares and kind is TensorKind.ACTIVATION:
                held = owner.get(node.inputs[0], node.inputs[0])
                owner[name] = held
                views.setdefault(held, []).append(name)
            else:
                start[name] = node.index
                uses[name] = []
    steps = len(view.nodes)
    found: list[Lifetime] = []
    for name, first in start.items():
        tensor = view.tensor(name)
        last = max([first, *uses[name]])
        found.append(
            Lifetime(
                name=name,
                size_bytes=tensor.size_bytes,
                kind=tensor.kind,
                start=first,
                end=steps if tensor.kind is TensorKind.OUTPUT else last + 1,
                uses=tuple(uses[name]),
                views=tuple(views.get(name, ())),
            )
        )
    activations = tuple(item for item in found if item.kind is TensorKind.ACTIVATION)
    borders = tuple(item for item in found if item.kind is not TensorKind.ACTIVATION)
    return Liveness(steps, activations, borders)
