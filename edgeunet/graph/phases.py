"""Put the nodes of a graph into phases that run in turn, in windows or once on whole frames.

Even phases run in windows, odd phases run once. Some nodes must run in windows, because their
tensors are large. Others must run once: what mixes pixels at coarse levels, and what windows cannot
run at any level. A node's first and last possible phases follow from the longest path to and from
it. All other nodes (1x1 convolutions, shuffles, sums) go where the fewest bytes are held between
phases: a minimum cut at every border.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgeunet.graph.geometry import Geometry
from edgeunet.graph.mincut import cheapest_cut

Free = Callable[[ir.Value, ir.Node], bool]
"""Returns whether reading a value costs nothing, because it need not be held for that reader."""


class Kind(enum.Enum):
    """How a node has to run."""

    WINDOWED = 0
    ONCE = 1
    EITHER = 2


def kinds_of(whole: Geometry, level: int) -> dict[ir.Node, Kind]:
    """Return how every node has to run when levels 0..level-1 run window by window."""
    strides = whole.finest_strides
    found = {}
    for node in whole.nodes:
        if node in whole.whole_nodes or node in whole.vector_nodes:
            found[node] = Kind.ONCE
        elif whole.reads_weights(node):
            found[node] = Kind.EITHER
        elif strides[node] < 2**level:
            found[node] = Kind.WINDOWED
        else:
            found[node] = Kind.ONCE if whole.mixes(node) else Kind.EITHER
    return found


def phases_of(
    whole: Geometry, kinds: Mapping[ir.Node, Kind], free: Free = lambda value, reader: False
) -> list[set[ir.Node]]:
    """Return the nodes of every phase, in order; a phase may be empty.

    free: reads that cost nothing across the first border.
    """
    first = first_phases(whole, kinds)
    last = _last_phases(whole, kinds, max(first.values(), default=0))
    found: list[set[ir.Node]] = []
    early: set[ir.Node] = set()
    for border in range(max(first.values(), default=0)):
        kind = Kind(border % 2)
        decided = {node for node in whole.nodes if node in early or last[node] <= border}
        late = {
            node
            for node in whole.nodes
            if node not in decided and (first[node] > border or kinds[node] not in (kind, _EITHER))
        }
        costless = free if not border else _never
        now = cheapest_cut(whole.nodes, decided, late, free=costless)
        found.append(now - early)
        early = now
    return [*found, {node for node in whole.nodes if node not in early}]


_EITHER = Kind.EITHER


def first_phases(whole: Geometry, kinds: Mapping[ir.Node, Kind]) -> dict[ir.Node, int]:
    """Return the first phase that each node can run in."""
    found: dict[ir.Node, int] = {}
    for node in whole.nodes:
        phase = max((found[maker] for maker in whole.before[node]), default=0)
        kind = kinds[node]
        found[node] = phase if kind in (Kind(phase % 2), _EITHER) else phase + 1
    return found


def _last_phases(whole: Geometry, kinds: Mapping[ir.Node, Kind], end: int) -> dict[ir.Node, int]:
    """Return the last phase that each node can run in. end: the last phase of all."""
    found: dict[ir.Node, int] = {}
    for node in reversed(whole.nodes):
        phase = min((found[reader] for reader in whole.after[node]), default=end)
        kind = kinds[node]
        found[node] = phase if kind in (Kind(phase % 2), _EITHER) else phase - 1
    return found


def _never(value: ir.Value, reader: ir.Node) -> bool:
    return False
