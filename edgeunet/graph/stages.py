"""The stages of a plan: graphs that run window by window or once, and what each needs.

All positions are in full-resolution pixels of the padded frame, half-open.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.graph.receptive import Axes, Range, needed_ranges, spatial_axes
from edgeunet.graph.resize import at_sizes
from edgeunet.graph.split import extract, split_at, strides_of
from edgeunet.specs import FRAME


@dataclass(frozen=True)
class Border:
    """One tensor at a stage's border: pixels per element, and which axes are rows and columns.

    axes is None for what has no place in the frame, a vector of class scores for example.
    """

    name: str
    stride: int
    axes: Axes | None


@dataclass(frozen=True)
class Halo:
    """Pixels at the start and end of a window that come out wrong unless the frame ends there."""

    before: int
    after: int


@dataclass(frozen=True)
class StageGraph:
    """One stage, as a graph that can be made for any window size.

    align: windows start, and are as large as, multiples of this many pixels.
    tiled: runs window by window; else once, on everything.
    """

    name: str
    model: ir.Model
    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]
    align: int
    halo_rows: Halo
    halo_columns: Halo
    tiled: bool

    def at(self, height: int, width: int) -> ir.Model:
        """Return the graph for a window of (height, width) pixels."""
        return at_sizes(
            self.model,
            {
                border.name: (height // border.stride, width // border.stride)
                for border in self.inputs
                if border.axes is not None
            },
        )


def cut_into_stages(
    model: ir.Model, level: int, *, recompute: bool = False
) -> tuple[StageGraph, ...]:
    """Cut a frame graph into encode, core and decode; level 0 leaves it whole.

    model: the graph of a frame that needs no padding, FRAME in.
    recompute: see ``split_at``. Raises GraphError, with the operator's name, when it cannot.
    """
    outputs = [value.name for value in model.graph.outputs if value.name is not None]
    if level == 0:
        return (_stage("whole", model, model, tiled=False),)
    split = split_at(model, level, recompute=recompute)
    # What has no place in the frame, class scores for example, no window can make.
    axes = spatial_axes(model.graph)
    early = [v.name for v in model.graph.outputs if v not in axes and v.name is not None]
    late = [name for name in outputs if name not in early]
    encode = extract(model, "encode", [FRAME], split.held)
    core = extract(model, "core", split.held_for_core, [*split.made, *early])
    decode = extract(model, "decode", [FRAME, *split.held_for_decode, *split.made], late)
    return (
        _stage("encode", encode, model, tiled=True),
        _stage("core", core, model, tiled=False),
        _stage("decode", decode, model, tiled=True),
    )


def _stage(name: str, part: ir.Model, whole: ir.Model, *, tiled: bool) -> StageGraph:
    strides = {value.name: stride for value, stride in strides_of(whole.graph).items()}
    axes = spatial_axes(part.graph)

    def border(value: ir.Value) -> Border:
        if value.name is None:
            raise GraphError("a tensor between stages has no name", hint="export it again")
        stride = strides.get(value.name, 1.0)
        place = axes.get(value)
        return Border(value.name, int(stride) if place is not None else 1, place)

    inputs = tuple(border(value) for value in part.graph.inputs)
    outputs = tuple(border(value) for value in part.graph.outputs)
    align = max(b.stride for b in (*inputs, *outputs))
    none = Halo(0, 0)
    rows = columns = none
    if tiled:
        rows = _halo(part.graph, inputs, outputs, align, 0)
        columns = _halo(part.graph, inputs, outputs, align, 1)
    return StageGraph(name, part, inputs, outputs, align, rows, columns, tiled)


def _halo(
    graph: ir.Graph,
    inputs: tuple[Border, ...],
    outputs: tuple[Border, ...],
    align: int,
    which: int,
) -> Halo:
    """Return how many pixels at a window's ends need what lies outside the window.

    Windows start and stop at multiples of align. The reach of an output only moves with it, so
    the first output that stays inside says it for all after it. In whole elements of the
    coarsest output, because what a window settles ends at one.
    """
    start, stop = align * 1024, align * 2048
    strides = {border.name: border.stride for border in inputs}
    values = {value.name: value for value in graph.outputs}
    whole = max(border.stride for border in outputs)
    for border in outputs:
        if border.axes is None:
            raise GraphError(
                f"output {border.name!r} has no place in the frame, so no window makes it",
                hint="leave it to the core",
            )

    def inside(first: int) -> bool:
        """Whether the outputs in [first, first + whole) need nothing outside [start, stop)."""
        for border in outputs:
            wanted = Range(first // border.stride, (first + whole) // border.stride)
            needed = needed_ranges(graph, {values[border.name]: wanted}, which)
            for value, reach in needed.items():
                stride = strides[value.name or ""]
                if reach.start * stride < start or reach.stop * stride > stop:
                    return False
        return True

    before = after = 0
    while not inside(start + before):
        before += whole
    while not inside(stop - whole - after):
        after += whole
    return Halo(before, after)
