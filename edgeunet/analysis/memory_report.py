"""Memory figures of one graph, computed from its shapes. All sizes are in bytes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from edgeunet.analysis.arena import ArenaLayout, lay_out_arena
from edgeunet.analysis.levels import LevelRun, levels_of
from edgeunet.analysis.liveness import liveness_of
from edgeunet.analysis.roles import Role, roles_of
from edgeunet.graph.integer import with_integer_kernels
from edgeunet.graph.summary import GraphView, TensorKind
from edgeunet.notebook import html_table
from edgeunet.specs import Engine, Precision
from edgeunet.units import format_bytes, format_size

# Rows of a table of operators.
_MOST_ROWS = 5


@dataclass(frozen=True)
class LiveTensor:
    """One activation alive at the peak, in the steps ``[start, end)``."""

    name: str
    size_bytes: int
    role: Role
    shape: tuple[int, ...]
    dtype: str
    start: int
    end: int


@dataclass(frozen=True)
class Step:
    """One node, and the bytes alive while it runs."""

    index: int
    node: str
    op_type: str
    live_bytes: int
    skip_bytes: int


@dataclass(frozen=True)
class LevelSummary:
    """A run of steps at one level, and its step with the most live bytes."""

    run: LevelRun
    peak: Step


@dataclass(frozen=True)
class RunsOnce:
    """An operator that windows cannot run.

    why: a sentence that names it.
    size_bytes: of what it reads and makes.
    """

    why: str
    size_bytes: int


@dataclass(frozen=True)
class StageMemory:
    """The memory of one stage of a frame plan.

    window: (height, width) of its windows; None if it runs once on whole tensors.
    halo: the largest halo, in pixels.
    window_count: number of windows per frame.
    held_bytes: bytes held for this and later stages while it runs.
    window_bytes: size of the buffers that a window's tensors are copied to and from.
    live_bytes: live peak of one window.
    runs_once: of a stage that runs once, the operators that windows cannot run, the largest first.
    """

    name: str
    window: tuple[int, int] | None
    halo: int
    window_count: int
    held_bytes: int
    window_bytes: int
    live_bytes: int
    runs_once: tuple[RunsOnce, ...] = ()


@dataclass(frozen=True)
class Gain:
    """The predicted bytes after a measure is added to those before it."""

    measure: str
    predicted_bytes: int


@dataclass(frozen=True)
class MemoryReport:
    """The memory figures of a graph that runs whole frames node by node, or of a frame plan.

    frame: (height, width) of the input frame; None when no input looks like one.
    skip_bytes: encoder tensors alive while the bottleneck's first node runs, held only for the
        decoder; 0 for a graph without a bottleneck.
    peak_live_bytes: the largest sum of live activations; an engine that fuses may take less.
    arena_bytes: the same with real, aligned offsets, as in ``layout``.
    io_bytes: inputs and outputs of the graph, in buffers of the caller; not part of the peak.
    weight_bytes: weights as stored in the file; not part of any other figure.
    view_gain_bytes: how much higher the peak would be if reshapes copied.

    Fields of frame plans:
    window: (height, width) of the largest window.
    halo: the largest halo, in pixels.
    held_bytes, state_bytes: held for later stages at the peak, and kept from frame to frame.
    recompute_ratio: arithmetic of the plan over that of the whole frame.
    predicted_bytes: what ``engine`` is predicted to take, on the processor that takes most.
    planned: the stages.
    gains: the predicted bytes after each measure.
    """

    model: str
    frame: tuple[int, int] | None
    precision: str
    skip_bytes: int
    peak_live_bytes: int
    arena_bytes: int
    io_bytes: int
    weight_bytes: int
    view_gain_bytes: int
    peak_step: int
    bottleneck_step: int | None
    live_at_peak: tuple[LiveTensor, ...]
    steps: tuple[Step, ...]
    level_runs: tuple[LevelRun, ...]
    layout: ArenaLayout
    window: tuple[int, int] | None = None
    halo: int | None = None
    held_bytes: int = 0
    state_bytes: int = 0
    recompute_ratio: float = 1.0
    predicted_bytes: int | None = None
    engine: Engine | None = None
    planned: tuple[StageMemory, ...] = ()
    gains: tuple[Gain, ...] = ()

    @property
    def peak_at(self) -> str:
        """The name of the node that runs at the peak."""
        return self.steps[self.peak_step].node

    @property
    def arena_gap_percent(self) -> float:
        """How far the arena is above the live peak, in per cent."""
        if not self.peak_live_bytes:
            return 0.0
        return 100.0 * (self.arena_bytes / self.peak_live_bytes - 1.0)

    @property
    def size(self) -> str | None:
        return format_size(*self.frame) if self.frame else None

    @functools.cached_property
    def summaries(self) -> tuple[LevelSummary, ...]:
        """Return one entry per run; a single one when the graph has no levels."""
        runs = self.level_runs or (LevelRun("whole", 1, 0, len(self.steps)),)
        return tuple(
            LevelSummary(
                run=run,
                peak=max(self.steps[run.start : run.end], key=lambda step: step.live_bytes),
            )
            for run in runs
        )

    @property
    def facts(self) -> str:
        """Return model, frame size and precision in one line."""
        return " · ".join(fact for fact in (self.model, self.size, self.precision) if fact)

    def figures(self) -> list[tuple[str, str, int]]:
        """Return (name, description, bytes) of every figure, in the order of a table."""
        reshapes = (
            f"; reshapes that copied would add {format_bytes(self.view_gain_bytes)}"
            if self.view_gain_bytes
            else ""
        )
        offsets = (
            f"the peak with real offsets, {self.layout.alignment_bytes} B aligned "
            f"({self.arena_gap_percent:+.1f} % on the peak)"
        )
        held = "handed from stage to stage, within peak and arena"
        rows = [
            ("skip", "encoder tensors held when the bottleneck starts", self.skip_bytes),
            (
                "peak live",
                f"most that is alive at once, a lower bound{reshapes}",
                self.peak_live_bytes,
            ),
            ("arena", offsets, self.arena_bytes),
            *([("held", held, self.held_bytes)] if self.planned else []),
            ("input/output", "the caller's buffers, not in the peak", self.io_bytes),
            ("weights", "stored in the graph, not in the peak", self.weight_bytes),
        ]
        if self.state_bytes:
            rows.insert(-2, ("state", "kept from frame to frame", self.state_bytes))
        if self.predicted_bytes is not None:
            rows.append(
                ("predicted", f"what {self.engine} will take at most", self.predicted_bytes)
            )
        return rows

    def stage_table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Return (title, headings, rows) of the table of a frame plan's stages."""
        return (
            f"the frame plan: {100 * (self.recompute_ratio - 1):.1f} % of the arithmetic is done "
            "twice",
            ("stage", "window", "halo", "windows", "held", "window buffers", "live"),
            [
                (
                    stage.name,
                    "once" if stage.window is None else format_size(*stage.window),
                    str(stage.halo),
                    str(stage.window_count),
                    format_bytes(stage.held_bytes),
                    format_bytes(stage.window_bytes),
                    format_bytes(stage.live_bytes),
                )
                for stage in self.planned
            ],
        )

    def once_table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Return (title, headings, rows) of the table of what windows cannot run."""
        found = [(one.size_bytes, s.name, one.why) for s in self.planned for one in s.runs_once]
        found.sort(key=lambda row: -row[0])
        left_out = f", the largest {_MOST_ROWS} of {len(found)}" if len(found) > _MOST_ROWS else ""
        return (
            f"what windows cannot run, so that it runs once{left_out}",
            ("stage", "operator", "reads and makes"),
            [(name, why, format_bytes(size)) for size, name, why in found[:_MOST_ROWS]],
        )

    def _repr_html_(self) -> str:
        """Return the tables that a notebook shows."""
        figures = html_table(
            f"{self.facts}: estimated from the graph",
            ("figure", "what it is", "estimated"),
            [(name, what, format_bytes(size)) for name, what, size in self.figures()],
        )
        if not self.planned:
            return figures
        stages = html_table(*self.stage_table())
        return figures + stages

    def document(self) -> dict[str, Any]:
        """Return the figures as ``edgeunet memory --json`` prints them."""
        return {
            "model": self.model,
            "size": self.size,
            "precision": str(self.precision),
            "tile": None if self.window is None else format_size(*self.window),
            "halo": self.halo,
            "skip_bytes": self.skip_bytes,
            "peak_live_bytes": self.peak_live_bytes,
            "arena_bytes": self.arena_bytes,
            "io_bytes": self.io_bytes,
            "weight_bytes": self.weight_bytes,
            "held_bytes": self.held_bytes,
            **({"state_bytes": self.state_bytes} if self.state_bytes else {}),
            "recompute_ratio": round(self.recompute_ratio, 4),
            "predicted_bytes": self.predicted_bytes,
            "stages": [
                {
                    "name": stage.name,
                    "tile": None if stage.window is None else format_size(*stage.window),
                    "halo": stage.halo,
                    "windows": stage.window_count,
                    "held_bytes": stage.held_bytes,
                    "window_bytes": stage.window_bytes,
                    "live_bytes": stage.live_bytes,
                    "runs_once": [
                        {"why": one.why, "bytes": one.size_bytes} for one in stage.runs_once
                    ],
                }
                for stage in self.planned
            ],
            "gains": [
                {"measure": gain.measure, "predicted_bytes": gain.predicted_bytes}
                for gain in self.gains
            ],
            "peak_at": self.peak_at,
            "live_at_peak": [
                {"name": tensor.name, "bytes": tensor.size_bytes, "role": str(tensor.role)}
                for tensor in self.live_at_peak
            ],
        }


# The number formats by numpy's names.
_FORMATS = {
    "float32": Precision.FP32,
    "float16": Precision.FP16,
    "int8": Precision.INT8,
    "uint8": Precision.INT8,
}


def analyse(view: GraphView, model: str | None = None) -> MemoryReport:
    """Compute all figures of a graph. model: its name in the report."""
    view = with_integer_kernels(view)
    liveness = liveness_of(view)
    levels = levels_of(view)
    roles = roles_of(view, liveness, levels)
    skips = roles.skip_bytes_per_step()
    layout = lay_out_arena(liveness.activations)
    peak_step = liveness.peak_step
    alive = []
    for buffer in liveness.alive_at(peak_step):
        tensor = view.tensor(buffer.name)
        alive.append(
            LiveTensor(
                name=buffer.name,
                size_bytes=buffer.size_bytes,
                role=roles.role_of(buffer, peak_step),
                shape=tensor.shape,
                dtype=tensor.dtype,
                start=buffer.start,
                end=buffer.end,
            )
        )
    first = levels.bottleneck_step
    return MemoryReport(
        model=model or view.name,
        frame=frame_of(view),
        precision=precision_of(view),
        skip_bytes=0 if first is None else skips[first],
        peak_live_bytes=liveness.peak_bytes,
        arena_bytes=layout.arena_bytes,
        io_bytes=sum(view.tensor(name).size_bytes for name in (*view.inputs, *view.outputs)),
        weight_bytes=view.bytes_of(TensorKind.WEIGHT),
        view_gain_bytes=liveness_of(view, share_views=False).peak_bytes - liveness.peak_bytes,
        peak_step=peak_step,
        bottleneck_step=first,
        live_at_peak=tuple(alive),
        steps=tuple(
            Step(node.index, node.label, node.op_type, live, skip)
            for node, live, skip in zip(view.nodes, liveness.live_bytes, skips, strict=True)
        ),
        level_runs=levels.runs,
        layout=layout,
    )


def frame_of(view: GraphView) -> tuple[int, int] | None:
    """Return (height, width) of the first input that looks like a frame.

    (1, H, W, C) when the last dimension is a number of colours, else (1, C, H, W).
    """
    for name in view.inputs:
        shape = view.tensor(name).shape
        if len(shape) == 4:
            colours_last = shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4)
            return (shape[1], shape[2]) if colours_last else (shape[2], shape[3])
    return None


def precision_of(view: GraphView) -> str:
    """Return the number format that most convolutions and matrix products compute in.

    It is a ``Precision``, or numpy's name for a type that no network of edgeunet has, such as
    ``bfloat16``. A graph without such operators has the format of its largest tensors.
    """
    counts: dict[str, int] = {}
    makers = {name: node for node in view.nodes for name in node.outputs}
    for node in view.nodes:
        if not node.op_type.endswith(("Conv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul")):
            continue
        if not node.inputs:
            continue
        maker = makers.get(node.inputs[0])
        if node.op_type in ("QLinearConv", "ConvInteger", "QLinearMatMul") or (
            maker is not None and maker.op_type == "DequantizeLinear"
        ):
            found: str = Precision.INT8
        else:
            found = _format_of(view.tensor(node.inputs[0]).dtype)
        counts[found] = counts.get(found, 0) + 1
    if not counts:
        for tensor in view.tensors:
            if "float" in tensor.dtype:
                found = _format_of(tensor.dtype)
                counts[found] = counts.get(found, 0) + tensor.size_bytes
    # Of equal ones, the first of Precision.
    order: list[str] = [*Precision, *counts]
    return max(order, key=lambda kind: (counts.get(kind, 0), -order.index(kind)))


def _format_of(dtype: str) -> str:
    return _FORMATS.get(dtype, dtype)
