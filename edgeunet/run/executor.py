"""Runs a bundle's stages on one frame. After the first frame nothing is allocated."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from edgeunet.analysis.held_layout import lay_out_held
from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import Manifest, TensorEntry
from edgeunet.bundle.tensors import held_specs, stage_borders
from edgeunet.errors import BundleError, EngineError, SourceError
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.run.device_space import DeviceSpace, DeviceUse
from edgeunet.run.engine_choice import (
    Note,
    OpenedSpace,
    open_in_floats,
    open_space,
    open_without_gpu,
)
from edgeunet.run.float_frames import Rounding
from edgeunet.run.spaces import Space
from edgeunet.run.windows import StageRunner, scratch_bytes
from edgeunet.specs import FRAME, Array, Engine, FrameType, Image, TensorSpec
from edgeunet.units import format_size

# Purposes of the two memory blocks, as error messages name them.
HELD = "the tensors held between stages"
WINDOW = "the current window"


class Executor:
    """A loaded bundle.

    ``run`` takes a frame (H, W, 3) uint8 BGR and returns the outputs by name: denoise
    (1, H, W, 3) uint8 BGR, segment (1, H, W) uint8, classify (1, classes) float32.

    engine: name of the engine. With ``auto``, onnxruntime replaces a GPU that has too little
        memory left for the plans.
    threads: CPU threads of onnxruntime; None takes every core.
    on_note: called with one line about the chosen engine, and about what it cannot do here.
    integer_kernels: False computes INT8 in floats, on onnxruntime, to compare with.
    The output arrays must not be used after ``close``. Any thread may run a frame, one at a time.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str = "auto",
        *,
        threads: int | None = None,
        on_note: Note | None = None,
        integer_kernels: bool = True,
    ) -> None:
        manifest = bundle.manifest
        self.height, self.width = manifest.height, manifest.width
        self._name = bundle.path.name
        self._busy = threading.Lock()
        self._closed = False
        floats = manifest.frame_type is FrameType.FLOAT32
        self._rounding = Rounding(manifest) if floats else None
        notes: list[str] = []
        try:
            if integer_kernels:
                opened = open_space(bundle, engine, threads=threads, on_note=notes.append)
            else:
                opened = open_in_floats(bundle)
            try:
                self._make_ready(opened, manifest)
            except EngineError as error:
                if engine != "auto" or opened.engine is not Engine.TENSORRT:
                    raise
                # Notes about the GPU no longer apply.
                notes.clear()
                opened = open_without_gpu(bundle, error, threads=threads, on_note=notes.append)
                self._make_ready(opened, manifest)
        finally:
            if on_note is not None:
                for line in notes:
                    on_note(line)

    def run(self, image: Image) -> Mapping[str, Array]:
        """Run every stage on a frame. The next run overwrites the returned arrays.

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
            answers = self._space.run(image)
            return answers if self._rounding is None else self._rounding.of(answers)
        finally:
            self._busy.release()

    @property
    def device_use(self) -> DeviceUse | None:
        """The GPU memory it has taken; None on the CPU."""
        return self._space.use if isinstance(self._space, DeviceSpace) else None

    def close(self) -> None:
        """Free everything. A frame that another thread runs is finished first."""
        with self._busy:
            self._closed = True
            self._space.close()

    def _make_ready(self, opened: OpenedSpace, manifest: Manifest) -> None:
        self.engine = opened.engine
        self._space: Space[Any] = opened.space
        try:
            self._check_borders(manifest)
            self._space.ready([call for r in self._runners(manifest) for call in r.calls()])
        except BaseException:
            self._space.close()
            raise

    def _runners(self, manifest: Manifest) -> list[StageRunner[Any]]:
        """Open every stage on its buffers. Stages run in turn, so they share one scratch block."""
        space = self._space
        tensors = {entry.name: entry for entry in manifest.plan.tensors} if manifest.plan else {}
        buffers = self._buffers(manifest)
        whole = {name: buffer.shape for name, buffer in buffers.items()}
        needed = max(
            scratch_bytes(stage, whole, space.alignment_bytes) + space.work_bytes(stage)
            for stage in manifest.stages
        )
        scratch = space.block(needed, WINDOW)
        runners = []
        for stage in manifest.stages:
            runner = StageRunner(stage, buffers, tensors, scratch, space)
            self._check(runner.opened.inputs, stage.inputs, stage.name)
            self._check(runner.opened.outputs, stage.outputs, stage.name)
            runners.append(runner)
        return runners

    def _buffers(self, manifest: Manifest) -> dict[str, Any]:
        """Allocate a whole buffer for the frame, every held tensor and every output."""
        space, size, kind = self._space, (self.height, self.width), manifest.frame_type
        outputs = {entry.name: space.output(entry.spec(*size, kind)) for entry in manifest.outputs}
        plan = manifest.plan
        padded = size if plan is None else (plan.height, plan.width)
        spec = TensorSpec(FRAME, (1, *padded, 3), str(kind))
        frame = space.frame(spec, size, padded=plan is not None)
        held = held_specs(manifest)
        if not held:
            return {FRAME: frame, **outputs}
        layout = lay_out_held(stage_borders(manifest), held, space.alignment_bytes)
        arena = space.block(layout.arena_bytes, HELD)
        views = {spec.name: space.view(arena, layout.offsets[spec.name], spec) for spec in held}
        return {FRAME: frame, **views, **outputs}

    def _check_borders(self, manifest: Manifest) -> None:
        """Raise BundleError when no stage makes an output, or no earlier stage makes an input."""
        known = {FRAME}
        for stage in manifest.stages:
            for entry in stage.inputs:
                if entry.name not in known:
                    raise self._broken(f"no earlier stage makes {entry.name!r} for {stage.name!r}")
            known.update(entry.name for entry in stage.outputs)
        for output in manifest.outputs:
            if output.name not in known:
                raise self._broken(f"no stage makes the output {output.name!r}")

    def _check(
        self, found: tuple[TensorSpec, ...], listed: tuple[TensorEntry, ...], stage: str
    ) -> None:
        if set(found) != {entry.spec() for entry in listed}:
            raise self._broken(f"the graph of stage {stage!r} is not what the manifest describes")

    def _broken(self, problem: str) -> BundleError:
        return BundleError(
            f"{self._name} cannot be run: {problem}", hint="export it again: edgeunet export --help"
        )


def check_size(bundle: Bundle, name: str, height: int, width: int) -> None:
    """Raise SourceError when a source's size is not the bundle's. The hint has a fitting export.

    name: the source, for the message.
    height, width: size of the source in pixels.
    """
    manifest = bundle.manifest
    if (height, width) == (manifest.height, manifest.width):
        return
    smallest = manifest.network.smallest_side
    if min(height, width) < smallest:
        hint = f"give a source of {smallest} pixels or more on each side"
    else:
        hint = f"make a bundle of its size: {_export_command(manifest, height, width)}"
    raise SourceError(
        f"{name!r} is {format_size(height, width)}, {bundle.path.name} takes "
        f"{format_size(manifest.height, manifest.width)}",
        hint=hint,
    )


def _export_command(manifest: Manifest, height: int, width: int) -> str:
    """Return the command that exports the same bundle for another frame size."""
    recipe, foreign = manifest.recipe, manifest.foreign
    source = f"--model {manifest.network.name}" if foreign is None else f"--onnx {foreign.file}"
    command = f"edgeunet export {source} --size {format_size(height, width)}"
    if recipe is not None and recipe.name in recipe_names():
        shipped = load_recipe(recipe.name).network.width
        if recipe.network.width != shipped:
            command += f" --width {recipe.network.width}"
    command += f" --{manifest.precision}"
    if manifest.frame_type is FrameType.FLOAT32:
        command += " --frame float"
    if manifest.calibration:
        command += f" --calibration {manifest.calibration}"
    if manifest.quantization is not None:
        command += f" --target {manifest.quantization.target}"
    return command
