"""The stages of a plan: graphs that run once or window by window, with their borders and halos.

All positions are in full-resolution pixels of the padded frame. Intervals are half-open.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import onnx_ir as ir

from edgeunet.errors import GraphError
from edgeunet.frame_windows import Halo
from edgeunet.graph.aligned_corners import aligned_resizes, with_positions
from edgeunet.graph.divided_norms import with_divided_norms
from edgeunet.graph.element_ranges import Axes
from edgeunet.graph.geometry import Geometry
from edgeunet.graph.halos import align_of, halos_of
from edgeunet.graph.places import Place
from edgeunet.graph.receptive import Sources
from edgeunet.graph.resize import at_sizes
from edgeunet.graph.rows_apart import with_rows_apart
from edgeunet.graph.split import Part, extract, split_at
from edgeunet.graph.summary import TensorKind, view_of_model
from edgeunet.graph.tables import table_readers, with_maps
from edgeunet.graph.values import static_shape
from edgeunet.graph.whole_operators import WholeOperator, whole_operators
from edgeunet.graph.window_shapes import in_window, shape_in
from edgeunet.specs import FRAME

_StageKey = tuple[bool, tuple[str, ...], tuple[str, ...], frozenset[str]]

WHOLE = "whole"
"""The name of the only stage of a graph that is not cut."""


@dataclass(frozen=True)
class Border:
    """One input or output tensor of a stage.

    shape: for a frame of ``base`` (height, width) pixels.
    stride: full-resolution pixels per element.
    axes: the row and column axes; None for a tensor without a position in the frame, such as a
        vector of class scores.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    base: tuple[int, int]
    stride: Fraction = Fraction(1)
    axes: Axes | None = None

    def shape_at(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape for a window, or a frame, of (height, width) pixels."""
        if self.axes is None:
            return self.shape
        return shape_in(self.shape, Place(self.axes, self.stride), self.base, (height, width))


@dataclass(frozen=True, eq=False)
class StageGraph:
    """One stage, as a graph that can be made for any window size.

    model: shared with stages of other cuts; must not be changed.
    places: of the tensors inside, by name.
    align: windows start at multiples of this many pixels. Their sizes leave the same remainder as
        the frame's when divided by it.
    halo_rows, halo_columns: pixels at the ends of a window that come out wrong.
    windowed: whether the stage runs window by window; otherwise it runs once.
    base: (height, width) in pixels of the frame that ``model`` was made for.
    operators: of a stage that runs once, those that no window can run.
    chain: the name of the chain that the stage takes turns in; empty for none.
    remembers: whether its network remembers frames, so that a bit that is rounded otherwise lasts.
    make: makes the graph for a window of (height, width) pixels, where that does not follow from
        the places of its tensors; None where it does.
    """

    name: str
    model: ir.Model
    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]
    places: Mapping[str, Place]
    align: int
    halo_rows: Halo
    halo_columns: Halo
    windowed: bool
    base: tuple[int, int]
    operators: tuple[WholeOperator, ...] = ()
    chain: str = ""
    remembers: bool = False
    make: Callable[[int, int], ir.Model] | None = None

    @property
    def growing(self) -> frozenset[str]:
        """The names of the tensors that grow with the window."""
        if self.make is None:
            return frozenset(self.places)
        made = (value.name or "" for node in self.model.graph for value in node.outputs)
        return frozenset((*self.places, *made))

    @property
    def cellwise(self) -> bool:
        """Whether each window depends only on its own part of the inputs."""
        return self.windowed and self.halo_rows == self.halo_columns == Halo(0, 0)

    @property
    def largest_halo(self) -> int:
        rows, columns = self.halo_rows, self.halo_columns
        return max(rows.before, rows.after, columns.before, columns.after)

    def once(self) -> StageGraph:
        """Return the same stage on whole frames."""
        nothing = Halo(0, 0)
        return replace(self, windowed=False, align=1, halo_rows=nothing, halo_columns=nothing)

    def in_windows(self, align: int, halo: int, make: Callable[[int, int], ir.Model]) -> StageGraph:
        """Return the same stage in windows whose graphs are made anew.

        align: see above. halo: pixels at every end of a window that come out wrong.
        """
        around = Halo(halo, halo)
        return replace(
            self, windowed=True, align=align, halo_rows=around, halo_columns=around, make=make
        )

    def at(self, height: int, width: int) -> ir.Model:
        """Return the graph for a window of (height, width) pixels."""
        if (height, width) == self.base:
            model = self.model.clone()
        elif self.windowed and self.make is not None:
            model = self.make(height, width)
        elif self.windowed:
            model = in_window(self.model, self.places, self.base, (height, width))
        else:
            sizes = {}
            for border in self.inputs:
                if border.axes is not None:
                    shape = border.shape_at(height, width)
                    sizes[border.name] = (shape[border.axes[0]], shape[border.axes[1]])
            model = at_sizes(self.model, sizes)
        model.graph.name = self.model.graph.name if self.name == WHOLE else self.name
        return model


class FrameGraph:
    """The graph of a network, which can be cut in any way and made for any frame size.

    model: the graph of a frame that needs no padding; it must not be changed.
    before: stages that a frame goes through first, whole frames of which are of one size.
    once: the same for a graph that is not cut; ``before`` unless given.
    """

    def __init__(
        self,
        model: ir.Model,
        before: Sequence[StageGraph] = (),
        once: Sequence[StageGraph] | None = None,
    ) -> None:
        self._model = model
        self._once = tuple(before if once is None else once)
        self._sources: dict[ir.Node, Sources] = {}
        self._before = tuple(before)
        self._stages: dict[_StageKey, StageGraph] = {}
        self._for_levels: dict[frozenset[str], Geometry] = {}

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(value.name or "" for value in self._model.graph.outputs)

    @property
    def has_integers(self) -> bool:
        """Whether anything in it is computed in integers."""
        return any(node.op_type == "QuantizeLinear" for node in self._model.graph)

    @property
    def weight_bytes(self) -> int:
        return view_of_model(self._model).bytes_of(TensorKind.WEIGHT)

    @property
    def levels(self) -> int:
        """The number of levels that can be cut at; at the last, nothing is too coarse to cut."""
        return self._geometry.levels

    def cut(
        self, level: int, *, recompute: int = 0, relays: tuple[int, ...] = ()
    ) -> tuple[StageGraph, ...]:
        """Cut the graph into stages, in execution order; level 0 gives one stage.

        recompute, relays: see ``split_at``. Raises GraphError, with the operator's name, when it
            cannot be cut. Equal stages of different cuts share one model.
        """
        if level == 0:
            first = (stage.once() for stage in self._once)
            return (*first, self._stage(WHOLE, self._model, self._geometry, windowed=False))
        geometry, key = self._geometry_for(level)
        parts = split_at(geometry, level, recompute=recompute, relays=relays)
        return (*self._before, *(self._stage_of(part, geometry, key) for part in parts))

    def stage(self, name: str, *, windowed: bool) -> StageGraph:
        """Return the whole graph as one stage. Raises GraphError when windows cannot run it."""
        return self._stage(name, self._model, self._geometry, windowed)

    @functools.cached_property
    def _geometry(self) -> Geometry:
        return Geometry(with_rows_apart(with_divided_norms(self._model)))

    @functools.cached_property
    def _by_position(self) -> tuple[str, ...]:
        """The names of results that depend on where in the frame they are."""
        model, places = self._geometry.model, self._geometry.places
        return (*aligned_resizes(model), *table_readers(model, places))

    @functools.cached_property
    def _base(self) -> tuple[int, int]:
        """The (height, width) in pixels of the frame that the graph was made for."""
        inputs = self._model.graph.inputs
        shape = next((static_shape(value) for value in inputs if value.name == FRAME), None)
        if shape is None:
            raise GraphError("the frame has no fixed size", hint="export with a fixed size")
        return shape[1], shape[2]

    def _geometry_for(self, level: int) -> tuple[Geometry, frozenset[str]]:
        """Return the graph in which windows run all that they can at levels finer than ``level``.

        With it come the names of what was rewritten for that, which tell such graphs apart.
        """
        model, places = self._geometry.model, self._geometry.places
        key = frozenset(
            name for name in self._by_position if name in places and places[name].stride < 2**level
        )
        if not key:
            return self._geometry, key
        if key not in self._for_levels:
            model = with_maps(model, places, key & set(table_readers(model, places)))
            self._for_levels[key] = Geometry(with_positions(model, key))
        return self._for_levels[key], key

    def _stage_of(self, part: Part, geometry: Geometry, rewritten: frozenset[str]) -> StageGraph:
        key = (part.windowed, part.inputs, part.outputs, rewritten)
        if key not in self._stages:
            model = extract(geometry, part.name, part.inputs, part.outputs)
            self._stages[key] = self._stage(part.name, model, geometry, part.windowed)
        return replace(self._stages[key], name=part.name, chain=part.chain)

    def _stage(self, name: str, part: ir.Model, geometry: Geometry, windowed: bool) -> StageGraph:
        graph, known = part.graph, geometry.places
        inputs = tuple(self._border(value, known) for value in graph.inputs)
        outputs = tuple(self._border(value, known) for value in graph.outputs)
        made = [value for node in graph for value in node.outputs]
        places = {v: known[v.name or ""] for v in (*graph.inputs, *made) if v.name in known}
        named = {value.name or "": place for value, place in places.items()}
        align, rows, columns = 1, Halo(0, 0), Halo(0, 0)
        if windowed:
            align = align_of(places)
            rows, columns = halos_of(graph, places, align, self._base, self._sources)
        nodes = geometry.nodes if part is self._model else tuple(graph)
        operators = () if windowed else whole_operators(geometry, nodes)
        return StageGraph(
            name,
            part,
            inputs,
            outputs,
            named,
            align,
            rows,
            columns,
            windowed,
            self._base,
            operators,
            remembers=bool(self._before),
        )

    def _border(self, value: ir.Value, places: Mapping[str, Place]) -> Border:
        shape = static_shape(value)
        if value.name is None or value.dtype is None or shape is None:
            raise GraphError("a tensor between stages has no static type", hint="export it again")
        dtype, place = value.dtype.numpy().name, places.get(value.name)
        if place is None:
            return Border(value.name, dtype, shape, self._base)
        return Border(value.name, dtype, shape, self._base, place.stride, place.axes)
