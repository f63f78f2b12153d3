"""A frame plan: the stages that a frame goes through, and the memory that is predicted for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgeunet.analysis.held_layout import HeldLayout
from edgeunet.graph.stages import StageGraph
from edgeunet.graph.whole_operators import WholeOperator
from edgeunet.imitation.prediction import StageCost
from edgeunet.planning.processor_memory import ProcessorMemory, further_worker_bytes
from edgeunet.planning.request import WindowSize
from edgeunet.processors import ProcessorClass
from edgeunet.specs import Engine, TensorSpec


@dataclass(frozen=True)
class Prediction:
    """The memory of a run at its peak, without weights, in bytes.

    frame_bytes: the padded frame and the outputs.
    held_bytes: the arena of held tensors.
    state_bytes: what is kept from frame to frame.
    window_bytes: the buffers of the stage whose windows take most, for every worker.
    live_bytes: live activations of the stage that needs most.
    engine_bytes: those live activations and what the engine adds to them, for every worker.
    """

    frame_bytes: int
    held_bytes: int
    window_bytes: int
    live_bytes: int
    engine_bytes: int
    state_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        around = self.frame_bytes + self.held_bytes + self.state_bytes
        return around + self.window_bytes + self.engine_bytes


@dataclass(frozen=True)
class PlannedStage:
    """A stage and its window. Without a window it runs once, on whole tensors."""

    stage: StageGraph
    window: WindowSize | None
    window_count: int
    cost: StageCost

    @property
    def window_bytes(self) -> int:
        """The buffers of one window, in bytes."""
        if self.window is None:
            return 0
        return int(self.cost.border_bytes(np.array([self.window[0] * self.window[1]]))[0])


@dataclass(frozen=True)
class FramePlan:
    """Everything that is decided about how a frame runs.

    frame: (height, width) in pixels.
    level: the level that the graph is cut at; 0 for a whole frame.
    recompute: the number of skip levels that decode makes again.
    relays: the levels that the graph is divided at into chains; see graph/split.py.
    height, width: of the padded frame, in pixels.
    held: the tensors that stages hold for later ones.
    states: the tensors that are kept from frame to frame.
    prediction: on the processor that takes most of those that the plan is for.
    memory: for every group of those processors.
    recompute_ratio: the arithmetic of all windows over that of the whole frame.
    workers: how many windows run at a time.
    """

    frame: tuple[int, int]
    level: int
    recompute: int
    relays: tuple[int, ...]
    height: int
    width: int
    stages: tuple[PlannedStage, ...]
    held: tuple[TensorSpec, ...]
    layout: HeldLayout
    prediction: Prediction
    memory: tuple[ProcessorMemory, ...]
    recompute_ratio: float
    engine: Engine
    states: tuple[TensorSpec, ...] = ()
    workers: int = 1

    @property
    def windowed(self) -> bool:
        return self.level > 0

    @property
    def limit(self) -> WholeOperator | None:
        """The operator that keeps the plan from taking less, if one does.

        That is the largest operator of the stage that takes most, if it runs once because of it.
        """
        pixels = self.height * self.width
        taken = []
        for one, held in zip(self.stages, self.layout.live_bytes, strict=True):
            area = pixels if one.window is None else one.window[0] * one.window[1]
            live = int(one.cost.live_bytes(np.array([area]))[0])
            taken.append(held + one.window_bytes + live)
        if not taken:
            return None
        most = max(range(len(taken)), key=lambda index: taken[index])
        found = self.operators_of(self.stages[most])
        return found[0] if found and 4 * found[0].size_bytes >= taken[most] else None

    def operators_of(self, planned: PlannedStage) -> tuple[WholeOperator, ...]:
        """Return the operators that keep a stage on whole frames, with their bytes."""
        height, width = planned.stage.base
        share = self.height * self.width / (height * width)
        return tuple(
            replace(one, size_bytes=round(one.size_bytes * share))
            for one in planned.stage.operators
        )

    @property
    def staged(self) -> bool:
        """Whether a frame goes through several stages or windows, or past what is kept."""
        return self.windowed or len(self.stages) > 1 or bool(self.states)

    @property
    def processors(self) -> tuple[ProcessorClass, ...]:
        """The classes that the plan is for, and its graphs are laid out for."""
        return tuple(one for group in self.memory for one in group.processors)

    @property
    def worker_bytes(self) -> int:
        """What each worker after the first takes: buffers, and an arena for the windows."""
        in_windows = [
            (one.cost.allocations, one.window[0] * one.window[1])
            for one in self.stages
            if one.window is not None
        ]
        if not in_windows:
            return 0
        found = [
            further_worker_bytes(
                self.engine, group, [(each[index], size) for each, size in in_windows]
            )
            for index, group in enumerate(self.memory)
        ]
        engine = max(found, default=0)
        return self.prediction.window_bytes // self.workers + engine

    @property
    def region_bytes(self) -> int:
        """The region that onnxruntime's arena needs on the processor that needs most."""
        return max(one.region_bytes for one in self.memory)
