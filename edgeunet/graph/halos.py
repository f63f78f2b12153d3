"""How much of its neighbours a window of a stage needs, and where its windows may start.

Everything in a window is what the whole frame has at that place, moved by whole elements: windows
start at multiples of ``align`` pixels, which are whole elements of every tensor inside the stage. A
window and the frame leave the same remainder when divided by ``align``, so that a window at the
frame's end ends as the frame does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.frame_windows import Halo
from edgeunet.graph.attributes import text_of
from edgeunet.graph.element_ranges import Range
from edgeunet.graph.geometry import common_multiple
from edgeunet.graph.places import Place
from edgeunet.graph.receptive import ReceptiveField, Sources
from edgeunet.graph.values import static_shape
from edgeunet.graph.window_reach import pads_of

_LARGEST_ALIGN = 1 << 12


def align_of(places: Mapping[ir.Value, Place]) -> int:
    """Return the pixels that every window starts at a multiple of.

    Raises GraphError when windows would hardly ever start.
    """
    align = common_multiple({place.stride for place in places.values()})
    if align > _LARGEST_ALIGN:
        raise GraphError(
            f"windows would start at multiples of {align} pixels",
            hint="run this network on whole frames",
        )
    return align


def halos_of(
    graph: ir.Graph,
    places: Mapping[ir.Value, Place],
    align: int,
    base: tuple[int, int],
    known: dict[ir.Node, Sources],
) -> tuple[Halo, Halo]:
    """Return the halos of a stage's windows for rows and for columns, in pixels.

    places: of the stage's tensors.
    base: (height, width) in pixels of the frame that the graph was made for.
    known: what is known about nodes from other stages of the same graph.
    Raises GraphError for an output without a place in the frame.
    """
    for value in graph.outputs:
        if value not in places:
            raise GraphError(
                f"output {value.name!r} has no place in the frame, so no window makes it",
                hint="leave it to the core",
            )
    field = ReceptiveField(graph, {value: place.axes for value, place in places.items()}, known)
    least = [_reflected(graph, places, which) for which in (0, 1)]
    rows, columns = (
        _halo(field, graph.outputs, places, align, base, which, least[which]) for which in (0, 1)
    )
    return rows, columns


def _reflected(graph: ir.Graph, places: Mapping[ir.Value, Place], which: int) -> int:
    """Return the most pixels that a reflection at the frame's ends reads; windows are longer."""
    found = 0
    for node in graph:
        source = node.inputs[0] if node.inputs else None
        if node.op_type != "Pad" or text_of(node, "mode", "constant") != "reflect":
            continue
        if source is not None and source in places:
            place = places[source]
            most = max(pads_of(node)[place.axes[which]])
            found = max(found, math.ceil(most * place.stride))
    return found


def _halo(
    field: ReceptiveField,
    outputs: Sequence[ir.Value],
    places: Mapping[ir.Value, Place],
    align: int,
    base: tuple[int, int],
    which: int,
    least: int,
) -> Halo:
    """Return the pixels at each end of a window that depend on what is outside it.

    least: the halo is not smaller, in pixels.

    The coarsest output's elements are asked about at every position relative to ``align``: moving
    an output by ``align`` moves its reach by as much. Every tensor counts, not only the inputs,
    because an operator may leave out rows of its input that the next one fills up with zeros.
    """
    step = common_multiple(places[value].stride for value in outputs)
    first = np.arange(0, align, step, dtype=np.int64)
    wanted = {}
    for value in outputs:
        elements = int(step / places[value].stride)
        start = first // step * elements
        wanted[value] = Range(start, start + elements)
    before = np.zeros_like(first)
    after = np.full_like(first, np.iinfo(np.int64).max)
    for value, reach in field.ranges(wanted, which).items():
        place, shape = places[value], static_shape(value)
        assert shape is not None
        moved = int(align / place.stride)
        length = shape[place.axes[which]]
        before = np.maximum(before, -(reach.start // moved))
        after = np.minimum(after, (length - reach.stop) // moved)
    end = int((first + step + after * align).max())
    settled = min(end, (base[which] - least) // step * step)
    return Halo(max(least, int((first + before * align).min())), base[which] - settled)
