"""The stages of a plan: graphs that run once or window by window, with their borders and halos.

All positions are in full-resolution pixels of the padded frame. Intervals are half-open.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.frame_windows import Halo
from edgeunet.graph.geometry import Geometry
from edgeunet.graph.receptive import Axes, Range, ReceptiveField, spatial_axes
from edgeunet.graph.resize import at_sizes
from edgeunet.graph.split import Part, extract, split_at
from edgeunet.graph.summary import TensorKind, view_of_model
from edgeunet.graph.values import static_shape
from edgeunet.specs import FRAME

WHOLE = "whole"
"""The name of the only stage of a graph that is not cut."""


@dataclass(frozen=True)
class Border:
    """One input or output tensor of a stage.

    shape: for the size that the graph was made for.
    stride: full-resolution pixels per element.
    axes: the row and column axes; None for a tensor without a position in the frame, such as a
        vector of class scores.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    stride: int
    axes: Axes | None

    def shape_at(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape for a window, or a frame, of (height, width) pixels."""
        if self.axes is None:
            return self.shape
        shape = list(self.shape)
        for axis, length in zip(self.axes, (height, width), strict=True):
            shape[axis] = length // self.stride
        return tuple(shape)


@dataclass(frozen=True, eq=False)
class StageGraph:
    """One stage, as a graph that can be made for any window size.

    model: shared with stages of other cuts; must not be changed.
    align: windows start at multiples of this many pixels, and their sizes are multiples of it.
    halo_rows, halo_columns: pixels at the ends of a window that come out wrong.
    windowed: whether the stage runs window by window; otherwise it runs once.
    base: (height, width) in pixels of the frame that ``model`` was made for.
    """

    name: str
    model: ir.Model
    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]
    align: int
    halo_rows: Halo
    halo_columns: Halo
    windowed: bool
    base: tuple[int, int]

    @property
    def cellwise(self) -> bool:
        """Whether each window depends only on its own part of the inputs."""
        return self.windowed and self.halo_rows == self.halo_columns == Halo(0, 0)

    @property
    def largest_halo(self) -> int:
        rows, columns = self.halo_rows, self.halo_columns
        return max(rows.before, rows.after, columns.before, columns.after)

    def at(self, height: int, width: int) -> ir.Model:
        """Return the graph for a window of (height, width) pixels."""
        model = at_sizes(
            self.model,
            {
                border.name: (height // border.stride, width // border.stride)
                for border in self.inputs
                if border.axes is not None
            },
        )
        model.graph.name = self.model.graph.name if self.name == WHOLE else self.name
        return model


class FrameGraph:
    """The graph of a network, which can be cut in any way and made for any frame size.

    model: the graph of a frame that needs no padding; it must not be changed.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._stages: dict[tuple[bool, tuple[str, ...], tuple[str, ...]], StageGraph] = {}

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(value.name or "" for value in self._model.graph.outputs)

    @property
    def weight_bytes(self) -> int:
        return view_of_model(self._model).bytes_of(TensorKind.WEIGHT)

    def cut(self, level: int, *, recompute: int = 0) -> tuple[StageGraph, ...]:
        """Cut the graph into stages, in execution order; level 0 gives one stage.

        recompute: see ``split_at``. Raises GraphError, with the operator's name, when it cannot be
            cut. Equal stages of different cuts share one model.
        """
        if level == 0:
            return (self._stage(WHOLE, self._model, windowed=False),)
        return tuple(
            self._stage_of(part) for part in split_at(self._geometry, level, recompute=recompute)
        )

    @functools.cached_property
    def _geometry(self) -> Geometry:
        return Geometry(self._model)

    @functools.cached_property
    def _strides(self) -> Mapping[str | None, float]:
        return {value.name: stride for value, stride in self._geometry.strides.items()}

    def _stage_of(self, part: Part) -> StageGraph:
        key = (part.windowed, part.inputs, part.outputs)
        if key not in self._stages:
            model = extract(self._geometry, part.name, part.inputs, part.outputs)
            self._stages[key] = self._stage(part.name, model, part.windowed)
        return replace(self._stages[key], name=part.name)

    def _stage(self, name: str, part: ir.Model, windowed: bool) -> StageGraph:
        axes = spatial_axes(part.graph)
        inputs = tuple(_border(value, self._strides, axes) for value in part.graph.inputs)
        outputs = tuple(_border(value, self._strides, axes) for value in part.graph.outputs)
        align = max(b.stride for b in (*inputs, *outputs))
        rows = columns = Halo(0, 0)
        if windowed:
            field = ReceptiveField(part.graph)
            rows = _halo(field, part.graph, inputs, outputs, align, 0)
            columns = _halo(field, part.graph, inputs, outputs, align, 1)
        base = _frame_size(self._model)
        return StageGraph(name, part, inputs, outputs, align, rows, columns, windowed, base)


def _border(
    value: ir.Value, strides: Mapping[str | None, float], axes: Mapping[ir.Value, Axes]
) -> Border:
    shape = static_shape(value)
    if value.name is None or value.dtype is None or shape is None:
        raise GraphError("a tensor between stages has no static type", hint="export it again")
    stride = strides.get(value.name, math.inf)
    placed = value in axes and not math.isinf(stride)
    return Border(
        value.name,
        value.dtype.numpy().name,
        shape,
        int(stride) if placed else 1,
        axes[value] if placed else None,
    )


def _frame_size(whole: ir.Model) -> tuple[int, int]:
    """Return the (height, width) in pixels of the frame that a graph was exported for."""
    shape = next(static_shape(value) for value in whole.graph.inputs if value.name == FRAME)
    if shape is None:
        raise GraphError("the frame has no fixed size", hint="export with a fixed size")
    return shape[1], shape[2]


def _halo(
    field: ReceptiveField,
    graph: ir.Graph,
    inputs: tuple[Border, ...],
    outputs: tuple[Border, ...],
    align: int,
    which: int,
) -> Halo:
    """Return the number of pixels at each end of a window that depend on pixels outside it.

    Windows start and stop at multiples of ``align``. Moving an output moves its reach, so the first
    margin that works is the halo. It is a multiple of the coarsest output's element.
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
        """Return whether outputs [first, first + whole) depend only on [start, stop)."""
        wanted = {
            values[border.name]: Range(first // border.stride, (first + whole) // border.stride)
            for border in outputs
        }
        for value, reach in field.needed(wanted, which).items():
            stride = strides[value.name or ""]
            if reach.start * stride < start or reach.stop * stride > stop:
                return False
        return True

    before = _first(lambda steps: inside(start + steps * whole))
    after = _first(lambda steps: inside(stop - (steps + 1) * whole))
    return Halo(before * whole, after * whole)


def _first(holds: Callable[[int], bool]) -> int:
    """Return the smallest number for which a monotone condition holds."""
    if holds(0):
        return 0
    last = 1
    while not holds(last):
        last *= 2
    return bisect.bisect_left(range(last), True, lo=last // 2 + 1, key=holds)
