"""Find the cut between an early and a late part of a graph that holds the fewest bytes."""

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
# scipy stores flows in 32 bits, and adds the capacity of an edge to the flow of its reverse.
_LARGEST_FLOW = 1 << 30

_Edge = tuple[Hashable, Hashable]


def cheapest_cut(
    nodes: Collection[ir.Node],
    early: Collection[ir.Node],
    late: Collection[ir.Node],
    *,
    free: Callable[[ir.Value, ir.Node], bool] = lambda value, reader: False,
) -> set[ir.Node]:
    """Return the early side of the cut through ``nodes`` that holds the fewest bytes.

    Of several such cuts, the one with the largest early side is returned.
    early, late: nodes whose side is given.
    free: returns whether a read costs nothing, because the value need not be held for it.
    Values from outside ``nodes`` count as made early; reads outside ``nodes`` count as late.
    Raises GraphError when a size is not known.
    """
    inside, early, late = set(nodes), set(early), set(late)
    undecided = inside - early - late
    if not undecided:
        return inside & early

    def place(node: ir.Node) -> Hashable:
        """Return the vertex of a node; all nodes of a given side are one vertex."""
        if node in early:
            return _SOURCE
        return _SINK if node in late else node

    edges: dict[_Edge, int | None] = {}
    # Values between nodes of given sides cost the same for every cut.
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
                # A reader may not be in an earlier part than the node that makes the value.
                edges[read_in, made_in] = None
            if read_in != made_in and not free(value, reader):
                edges[value, read_in] = None
    return (inside & early) | (undecided & _side_of_source(edges))


def _side_of_source(edges: Mapping[_Edge, int | None]) -> set[Hashable]:
    """Return the vertices that a maximum flow leaves connected to the source.

    edges: capacities from one vertex to another, in bytes; None for no limit.
    """
    numbers: dict[Hashable, int] = {_SOURCE: 0, _SINK: 1}
    for edge in edges:
        for vertex in edge:
            numbers.setdefault(vertex, len(numbers))
    sizes = [size for size in edges.values() if size is not None]
    # Dividing by the common divisor keeps most sizes within 32 bits; others are rounded up.
    unit = math.gcd(*sizes) or 1
    unit = max(unit, -(-sum(sizes) // (_LARGEST_FLOW - len(sizes) - 1)))
    no_limit = sum(-(-size // unit) for size in sizes) + 1
    capacities = [no_limit if size is None else -(-size // unit) for size in edges.values()]
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
    """Return a value's size in bytes. Raises GraphError when it is not fixed."""
    shape = static_shape(value)
    if shape is None or value.dtype is None:
        raise GraphError(
            f"the size of {value.name!r} is not known", hint="export with a fixed size"
        )
    return math.ceil(math.prod(shape) * value.dtype.itemsize)


def _values_around(nodes: Iterable[ir.Node]) -> set[ir.Value]:
    """Return the values that the nodes make, and those that they read from other nodes."""
    found: set[ir.Value] = set()
    for node in nodes:
        found.update(value for value in node.outputs if value.uses())
        found.update(v for v in node.inputs if v is not None and v.producer() is not None)
    # Constants are copied into every part that reads them.
    return {value for value in found if value.const_value is None}
