"""What a compiler that joins operators, such as TensorRT's, takes for a graph's activations."""

from __future__ import annotations

from edgeunet.graph.integer import with_integer_kernels
from edgeunet.graph.view import GraphView
from edgeunet.memory.allocations import allocations_of
from edgeunet.specs import Engine


def compiled_bytes(view: GraphView) -> int:
    """Return the most that is live at once when a graph runs as a TensorRT plan."""
    return allocations_of(with_integer_kernels(view), (), 1, Engine.TENSORRT).peak_bytes(1)
