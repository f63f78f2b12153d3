"""Runs a bundle's stages on one frame. After the first frame nothing is allocated."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgeunet.analysis.held_layout import lay_out_held
from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import Manifest
from edgeunet.bundle.tensors import held_specs, stage_borders, state_specs, turns_of_stages
from edgeunet.errors import EngineError, SourceError
from edgeunet.run.bundle_checks import check_borders, check_stage
from edgeunet.run.device_space import DeviceSpace, DeviceUse
from edgeunet.run.engine_choice import (
    Note,
    OpenedSpace,
    open_in_floats,
    open_space,
    open_without_gpu,
)
from edgeunet.run.float_frames import Rounding
from edgeunet.run.promises import FirstFrame, Rehearsal
from edgeunet.run.scene_cut import SCENE, SceneCut
from edgeunet.run.spaces import Call, HostSpace, OnRows, Space
from edgeunet.run.windows import StageRunner, scratch_bytes
from edgeunet.run.workers import Workers
from edgeunet.specs import FRAME, Array, Engine, FrameType, Image, TensorSpec
from edgeunet.units import format_size

# Purposes of the memory blocks, as error messages name them.
HELD = "the tensors held between stages"
WINDOW = "the current window"
STATE = "what is kept from frame to frame"


class Executor:
    """A loaded bundle.

    ``run`` takes a frame (H, W, 3) uint8 BGR and returns the outputs by name: denoise
    (1, H, W, 3) uint8 BGR, segment (1, H, W) uint8, classify (1, classes) float32.

    engine: name of the engine. With ``auto``, onnxruntime replaces a GPU that has too little
        memory left for the plans.
    threads: CPU threads of onnxruntime; None takes every core.
    workers: windows that run at a time on onnxruntime, which share the threads; None for as many
        as the bundle was planned for. What runs once has all threads. The output is the same.
    on_note: called with one line about the chosen engine, about what it cannot do here, and about
        memory beyond the budget or the prediction; after the first frame as well.
    integer_kernels: False computes INT8 in floats, on onnxruntime, to compare with.
    in_rows: the name of an image that is handed on in rows, where it can be, and not returned.
    The output arrays must not be used after ``close``. Any thread may run a frame, one at a time.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str = "auto",
        *,
        threads: int | None = None,
        workers: int | None = None,
        on_note: Note | None = None,
        integer_kernels: bool = True,
        in_rows: str | None = None,
    ) -> None:
        manifest = bundle.manifest
        self.height, self.width = manifest.height, manifest.width
        self._name = bundle.path.name
        self._busy = threading.Lock()
        self._closed = False
        self._states: dict[str, Any] = {}
        self._repeating = [s.name for s in manifest.states if s.repeats_first]
        self._cut = SceneCut(looks=bool(manifest.states) and not self._repeating)
        self._first_of_clip = True
        self._in_rows = in_rows
        floats = manifest.frame_type is FrameType.FLOAT32
        self._rounding = Rounding(manifest) if floats else None
        notes: list[str] = []
        try:
            if integer_kernels:
                opened = open_space(
                    bundle, engine, threads=threads, workers=workers, on_note=notes.append
                )
            else:
                opened = open_in_floats(bundle)
            try:
                self._make_ready(opened, manifest)
            except EngineError as error:
                if engine != "auto" or opened.engine is not Engine.TENSORRT:
                    raise
                # Notes about the GPU no longer apply.
                notes.clear()
                opened = open_without_gpu(
                    bundle, error, threads=threads, workers=workers, on_note=notes.append
                )
                self._make_ready(opened, manifest)
        finally:
            if on_note is not None:
                for line in notes:
                    on_note(line)
        self._on_note = on_note
        # What onnxruntime is predicted to take here; None where that is not known.
        self.predicted_bytes = None if opened.promise is None else opened.promise.predicted_bytes
        frame_bytes = 3 * manifest.height * manifest.width
        self._first = FirstFrame(self.predicted_bytes, frame_bytes) if on_note else None

    @property
    def rehearsal_share(self) -> float:
        """The share of a frame's runs of stages that ``rehearse`` does."""
        return len(self._rehearsed) / max(self._runs, 1)

    def rehearse(self) -> None:
        """Run every stage once, on zeros, so that the first frame is as quick as later ones.

        What the engine takes for that is held against the prediction, so nothing else should run.
        Nothing is left of it. Does nothing on a GPU. Raises EngineError when a stage fails.
        """
        with self._busy:
            if not isinstance(self._space, HostSpace) or self._closed:
                return
            rehearsal = Rehearsal(self.predicted_bytes, self._space.buffers_bytes)
            self._space.rehearse(self._rehearsed)
            self._forget()
            note, self._first = rehearsal.note(), None
            if note is not None and self._on_note is not None:
                self._on_note(note)

    def run_in_rows(
        self, image: Image, on_rows: OnRows, into: Mapping[str, Array] | None = None
    ) -> Mapping[str, Array]:
        """Run a frame, and hand the image ``in_rows`` on, if ``gives_rows``; else as ``run``."""
        if isinstance(self._space, HostSpace):
            self._space.on_rows = on_rows
        return self.run(image, into)

    def run(self, image: Image, into: Mapping[str, Array] | None = None) -> Mapping[str, Array]:
        """Run every stage on a frame. The next run overwrites the returned arrays.

        into: arrays of the caller for outputs, by name: contiguous, of the output's shape and
            dtype. They are returned, and only a run that is given them overwrites them.
            onnxruntime writes there; what comes from a GPU or is rounded is copied.
        Raises SourceError when the frame does not have the bundle's size, and EngineError after
        ``close`` or while another thread runs a frame, because both would use the same buffers.
        """
        if image.shape != (self.height, self.width, 3):
            raise SourceError(
                f"a frame is {format_size(*image.shape[:2])}, {self._name} takes "
                f"{format_size(self.height, self.width)}",
                hint="export a bundle of this size",
            )
        if not self._busy.acquire(blocking=False):
            raise EngineError(
                f"{self._name} is running a frame in another thread",
                hint="give every thread an executor of its own, or let them take turns",
            )
        try:
            if self._closed:
                raise EngineError(f"{self._name} was closed", hint="open it again")
            try:
                if self._cut.is_cut(image):
                    self._forget()
                if self._first_of_clip:
                    self._repeat(image)
                if isinstance(self._space, HostSpace):
                    self._space.write_to({} if self._rounding or into is None else into)
                answers = self._space.run(image)
            except EngineError:
                # Half a frame may have been written over the memory.
                with contextlib.suppress(EngineError):
                    self._forget()
                raise
            if self._first is not None and self._on_note is not None:
                note, self._first = self._first.note(), None
                if note is not None:
                    self._on_note(note)
            if self._rounding is not None:
                answers = self._rounding.of(answers)
            return answers if into is None else _in(answers, into)
        finally:
            self._busy.release()

    @property
    def device_use(self) -> DeviceUse | None:
        """The GPU memory it has taken; None on the CPU."""
        return self._space.use if isinstance(self._space, DeviceSpace) else None

    @property
    def gives_rows(self) -> bool:
        """Whether ``in_rows`` comes in rows: of windows on onnxruntime, one at a time."""
        return bool(self._band)

    @property
    def remembers(self) -> bool:
        """Whether a frame's answer depends on the frames before it."""
        return bool(self._states)

    def restart(self) -> None:
        """Forget all frames: the next one is a first frame."""
        with self._busy:
            self._forget()
            self._cut.forget()

    @property
    def has_memory(self) -> bool:
        """Whether the next frame's answer depends on frames before it."""
        return bool(self._states) and not self._first_of_clip

    def memory(self) -> dict[str, Array]:
        """Return a copy of what is kept of the frames before, by name; empty for most networks.

        States are uint8, see ``convert/remembering_frame.py``; ``SCENE`` is missing if not known.
        """
        with self._busy:
            states = {name: self._space.read(tensor) for name, tensor in self._states.items()}
            return {**states, **({} if (seen := self._cut.seen) is None else {SCENE: seen})}

    def remember(self, memory: Mapping[str, Array]) -> None:
        """Go on from a copy of ``memory``. Raises EngineError when it is of another bundle."""
        shapes = {name: tuple(array.shape) for name, array in memory.items() if name != SCENE}
        if shapes != {name: tuple(tensor.shape) for name, tensor in self._states.items()}:
            raise EngineError(
                f"the memory is not one of {self._name}", hint="give what its own memory() returned"
            )
        with self._busy:
            for name, tensor in self._states.items():
                self._space.write(tensor, np.ascontiguousarray(memory[name], np.uint8))
            self._first_of_clip = False
            self._cut.go_on(memory.get(SCENE))

    def close(self) -> None:
        """Free everything. A frame that another thread runs is finished first."""
        with self._busy:
            self._closed = True
            self._workers.close()
            self._space.close()

    def _forget(self) -> None:
        for tensor in self._states.values():
            self._space.write(tensor, np.zeros(tensor.shape, np.uint8))
        self._first_of_clip = True

    def _repeat(self, image: Image) -> None:
        """Take the first frame of a clip for those before it, where the network reads frames."""
        self._first_of_clip = False
        for name in self._repeating:
            earlier = np.zeros(self._states[name].shape, np.uint8)
            earlier[0, : self.height, : self.width] = image
            self._space.write(self._states[name], earlier)

    def _make_ready(self, opened: OpenedSpace, manifest: Manifest) -> None:
        self.engine = opened.engine
        self._space: Space[Any] = opened.space
        self._workers = Workers(opened.workers)
        try:
            check_borders(manifest, self._name)
            self._space.ready([*self._calls(manifest), *self._keeping])
            self._forget()
        except BaseException:
            self._workers.close()
            self._space.close()
            raise

    def _calls(self, manifest: Manifest) -> list[Call]:
        """Open every stage for every worker, and return the calls of a frame."""
        turns = turns_of_stages(manifest)
        self._band = self._band_of(manifest)
        buffers = self._buffers(manifest)
        # One worker after the other, because each sets an arena up.
        lanes = [
            self._runners(manifest, buffers, {**turns.held_rows, **self._band}, lane)
            for lane in range(self._workers.count)
        ]
        self._rehearsed = [one.opened.run for lane in lanes for one in lane.values()]
        self._runs = sum(runner.windows for runner in lanes[0].values())
        calls: list[Call] = []
        for _, turn in itertools.groupby(
            turns.order, lambda one: manifest.stages[one[0]].chain or one[0]
        ):
            parts = list(turn)
            able = [lane for lane in lanes if parts[0][0] in lane]
            if len(able) == 1:
                calls += [call for index, row in parts for call in able[0][index].calls(row)]
                continue
            steps = [[step for i, row in parts for step in lane[i].steps(row)] for lane in able]
            touched = [one for i, row in parts for one in able[0][i].touched(row)]
            calls.append(self._workers.together(steps, touched))
        return calls

    def _runners(
        self,
        manifest: Manifest,
        buffers: Mapping[str, Any],
        held_rows: Mapping[str, int],
        lane: int,
    ) -> dict[int, StageRunner[Any]]:
        """Open a worker's stages on its buffers, and return them by their place in the manifest.

        They run in turn, so they share one scratch block. Only the first worker, ``lane`` 0, has
        the stages that run once.
        """
        space = self._space
        tensors = {entry.name: entry for entry in manifest.plan.tensors} if manifest.plan else {}
        whole = {name: buffer.shape for name, buffer in buffers.items()}
        every = enumerate(manifest.stages)
        stages = {i: stage for i, stage in every if lane == 0 or stage.window is not None}
        needed = max(
            scratch_bytes(stage, whole, held_rows, space.alignment_bytes) + space.work_bytes(stage)
            for stage in stages.values()
        )
        scratch = space.block(needed, WINDOW)
        runners = {}
        for index, stage in stages.items():
            runner = StageRunner(stage, buffers, tensors, scratch, space, held_rows, lane)
            check_stage(runner.opened, stage, self._name)
            runners[index] = runner
        return runners

    def _buffers(self, manifest: Manifest) -> dict[str, Any]:
        """Allocate a whole buffer for the frame, every held tensor and every output."""
        space, size, kind = self._space, (self.height, self.width), manifest.frame_type
        outputs = {
            entry.name: space.output(self._in_band(entry.spec(*size, kind)))
            for entry in manifest.outputs
        }
        plan = manifest.plan
        padded = size if plan is None else (plan.height, plan.width)
        spec = TensorSpec(FRAME, (1, *padded, 3), str(kind))
        frame = space.frame(spec, size, padded=plan is not None)
        self._keep(manifest, {FRAME: frame, **outputs})
        held = held_specs(manifest)
        if not held:
            return {FRAME: frame, **self._kept, **outputs}
        layout = lay_out_held(stage_borders(manifest), held, space.alignment_bytes)
        arena = space.block(layout.arena_bytes, HELD)
        views = {spec.name: space.view(arena, layout.offsets[spec.name], spec) for spec in held}
        return {FRAME: frame, **views, **self._kept, **outputs}

    def _band_of(self, manifest: Manifest) -> Mapping[str, int]:
        """Return how many rows ``in_rows`` has in memory at a time; empty where it is whole."""
        name, plan, space = self._in_rows, manifest.plan, self._space
        if name is None or plan is None or not isinstance(space, HostSpace):
            return {}
        window = next(s.window for s in manifest.stages if name in [e.name for e in s.outputs])
        padded = (plan.height, plan.width) != (self.height, self.width)
        if window is None or padded or self._workers.count > 1 or manifest.states:
            return {}
        rows = window.cover(plan.height, plan.width)[0]
        if len(rows) == 1 or self._rounding is not None:
            return {}
        space.give_rows(name)
        return {name: max(row.last - row.first for row in rows)}

    def _in_band(self, spec: TensorSpec) -> TensorSpec:
        """Return an output's spec with the rows that are in memory at a time."""
        if spec.name not in self._band:
            return spec
        count, rows, *others = spec.shape
        return replace(spec, shape=(count, self._band[spec.name] * rows // self.height, *others))

    def _keep(self, manifest: Manifest, shown: Mapping[str, Any]) -> None:
        """Allocate the states. What takes the place of one is written there, or copied at the end.

        shown: the frame and the outputs. They belong to the caller, and outputs have no padding, so
            they are copied; the padding of the state stays zero. So are states that take the place
            of others.
        Only the first stage reads what a stage writes over.
        """
        space, specs = self._space, state_specs(manifest)
        offsets, end = {}, 0
        for spec in specs:
            offsets[spec.name] = end
            end += -(-spec.size_bytes // space.alignment_bytes) * space.alignment_bytes
        block = space.block(end, STATE) if specs else None
        self._states = {spec.name: space.view(block, offsets[spec.name], spec) for spec in specs}
        self._kept = dict(self._states)
        self._keeping: list[Call] = []
        for state in manifest.states:
            tensor = self._states[state.name]
            source = {**self._states, **shown}.get(state.made_by)
            if source is None:
                self._kept[state.made_by] = tensor
                continue
            part = tuple(slice(0, length) for length in source.shape)
            self._keeping.append(space.copy(source, part, tensor, part))


def _in(answers: Mapping[str, Array], arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """Return the answers with some of them in these arrays."""
    found = dict(answers)
    for name in arrays.keys() & answers.keys():
        if arrays[name] is not answers[name]:
            np.copyto(arrays[name], answers[name])
            found[name] = arrays[name]
    return found
