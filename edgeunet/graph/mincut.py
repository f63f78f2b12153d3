"""The cut between an early and a late part of a graph that holds the fewest bytes across it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

import numpy as np
import onnx_ir as ir
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from edgeunet.errors import GraphError
from edgeunet.graph.values import static_shape

_SOURCE, _SINK = "source", "sink"
# scipy counts a flow in 32 bits, and adds an edge's capacity to the flow of the edge back.
_LARGEST_FLOW = 1 << 30

_Edge = tuple[Hashable, Hashable]


def cheapest_cut(
    nodes: Collection[ir.Node],
    early: Collection[ir.Node],
    late: Collection[ir.Node],
    *,
    free: Callable[[ir.Value, ir.Node], bool] = lambda value, reader: False,
) -> set[ir.Node]:
    """Return the largest early side, among ``nodes``, of the cut with the fewest bytes across.

    early, late: nodes whose side is known. What comes into ``nodes`` from outside counts as made
    early, what is read outside as read late. free: reads for which nothing needs to be held.
    Raises GraphError when a size is not known, or when sizes are beyond counting.
    """
    inside, early, late = set(nodes), set(early), set(late)
    undecided = inside - early - late
    if not undecided:
        return inside & early

    def place(node: ir.Node) -> Hashable:
        """A node whose side is known is its side: few others are left."""
        if node in early:
            return _SOURCE
        return _SINK if node in late else node

    edges: dict[_Edge, int | None] = {}
    # What is between nodes of known sides is held, or not, whatever is chosen.
    for value in _values_around(undecided):
        producer = value.producer()
        made_in = place(producer) if producer in inside else _SOURCE
        edges[made_in, value] = size_bytes(value)
        for reader in {use.node for use in value.uses()}:
            if reader not in inside:
                edges[value, _SINK] = None
                continue
            read_in = place(reader)
            if producer in inside and read_in != made_in:
                # Nothing may be needed by an earlier part than the one that makes it.
                edges[read_in, made_in] = None
            if read_in != made_in and not free(value, reader):
                edges[value, read_in] = None
    return (inside & early) | (undecided & _side_of_source(edges))


def _side_of_source(edges: Mapping[_Edge, int | None]) -> set[Hashable]:
    """Return the vertices from which a maximum flow leaves no way to the sink.

    edges: the capacity from one vertex to another, in bytes; None where it has no limit.
    """
    numbers: dict[Hashable, int] = {_SOURCE: 0, _SINK: 1}
    for edge in edges:
        for vertex in edge:
            numbers.setdefault(vertex, len(numbers))
    sizes = [size for size in edges.values() if size is not None]
    # Sizes are multiples of a vector's: fewer units are counted than bytes.
    unit = math.gcd(*sizes) or 1
    no_limit = sum(sizes) // unit + 1
    if no_limit > _LARGEST_FLOW:
        raise GraphError(
            f"a graph with {sum(sizes)} bytes of activations is too large to cut",
            hint="cut it at a smaller frame size: the cut is the same for all sizes",
        )
    capacities = [no_limit if size is None else size // unit for size in edges.values()]
    rows = [numbers[start] for start, _ in edges]
    columns = [numbers[end] for _, end in edges]
    network = csr_matrix(
        (np.array(capacities, dtype=np.int32), (rows, columns)), shape=(len(numbers),) * 2
    )
    left = network - maximum_flow(network, numbers[_SOURCE], numbers[_SINK]).flow
    left.eliminate_zeros()
    reaching = breadth_first_order(
        left.T.tocsr(), numbers[_SINK], directed=True, return_predecessors=False
    )
    lost = set(reaching.tolist())
    return {vertex for vertex, number in numbers.items() if number not in lost}


def size_bytes(value: ir.Value) -> int:
    """Return a value's size; raises GraphError when it is not fixed."""
    shape = static_shape(value)
    if shape is None or value.dtype is None:
        raise GraphError(
            f"the size of {value.name!r} is not known", hint="export with a fixed size"
        )
    return math.ceil(math.prod(shape) * value.dtype.itemsize)


def _values_around(nodes: Iterable[ir.Node]) -> set[ir.Value]:
    """Return what the nodes make and what they read of other nodes' results."""
    found: set[ir.Value] = set()
    for node in nodes:
        found.update(value for value in node.outputs if value.uses())
        found.update(v for v in node.inputs if v is not None and v.producer() is not None)
    # A Constant's result is in every part that reads it.
    return {value for value in found if value.const_value is None}
