"""Runs a bundle's stages on one frame. Nothing is allocated per frame after the first."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import Manifest, TensorEntry
from edgeunet.bundle.tensors import held_specs, pool_of, stage_borders
from edgeunet.engine import choose_engine, open_session
from edgeunet.errors import BundleError, SourceError
from edgeunet.memory.held import lay_out
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import FRAME, Array, Pool, Session, TensorSpec
from edgeunet.stream.frames import Image
from edgeunet.stream.windows import StageRunner, scratch_bytes
from edgeunet.units import format_size


class Executor:
    """Every stage of a bundle, loaded.

    ``run`` takes a frame, (H, W, 3) uint8 BGR, and gives the outputs by name: denoise
    (1, H, W, 3) uint8 BGR, segment (1, H, W) uint8, classify (1, classes) float32.
    """

    def __init__(self, bundle: Bundle, engine: str = "auto", *, threads: int | None = None) -> None:
        manifest = bundle.manifest
        self.engine = choose_engine(engine)
        self.height, self.width = manifest.height, manifest.width
        self._name = bundle.path.name
        self._runners: list[StageRunner] = []
        self._frame: Array | None = None
        self._outputs: dict[str, Array] = {}
        self._check_borders(manifest)
        tensors = {entry.name: entry for entry in manifest.plan.tensors} if manifest.plan else {}
        try:
            buffers = self._buffers(manifest)
            whole = {name: buffer.shape for name, buffer in buffers.items()}
            needed = max(scratch_bytes(stage, whole) for stage in manifest.stages)
            scratch = np.empty(needed, np.uint8)
            pool = pool_of(manifest)
            for stage in manifest.stages:
                runner = StageRunner(
                    stage,
                    buffers,
                    tensors,
                    scratch,
                    (self.height, self.width),
                    functools.partial(_open, bundle.file(stage.graph), self.engine, threads, pool),
                )
                self._runners.append(runner)
                self._check(runner.session.inputs, stage.inputs, stage.name)
                self._check(runner.session.outputs, stage.outputs, stage.name)
        except BaseException:
            self.close()
            raise

    def run(self, image: Image) -> Mapping[str, Array]:
        """Run every stage. The arrays returned are overwritten by the next run.

        Raises SourceError when the frame is not of the bundle's size.
        """
        if image.shape != (self.height, self.width, 3):
            raise SourceError(
                f"a frame is {format_size(*image.shape[:2])}, {self._name} takes "
                f"{format_size(self.height, self.width)}",
                hint="export a bundle of this size",
            )
        given: dict[str, Array] = {}
        if self._frame is None:
            given[FRAME] = np.ascontiguousarray(image)[np.newaxis]
        else:
            # Beyond the frame the buffer stays zero, as the network pads.
            self._frame[0, : self.height, : self.width] = image
        for runner in self._runners:
            runner.run(given)
        return self._outputs

    def close(self) -> None:
        for runner in self._runners:
            runner.close()
        self._runners.clear()
        self._outputs.clear()
        self._frame = None

    def _buffers(self, manifest: Manifest) -> dict[str, Array]:
        """Return a whole buffer for the frame, every held tensor and every output."""
        for output in manifest.outputs:
            self._outputs[output.name] = output.spec(self.height, self.width).empty()
        if manifest.plan is None:
            # The caller's own array takes its place in every run.
            frame = np.broadcast_to(np.uint8(0), (1, self.height, self.width, 3))
            return {FRAME: frame, **self._outputs}
        plan = manifest.plan
        self._frame = np.zeros((1, plan.height, plan.width, 3), np.uint8)
        held = held_specs(manifest)
        layout = lay_out(stage_borders(manifest), held)
        arena = np.empty(layout.arena_bytes, np.uint8)
        views = {
            spec.name: arena[layout.offsets[spec.name] :][: spec.size_bytes]
            .view(spec.dtype)
            .reshape(spec.shape)
            for spec in held
        }
        return {FRAME: self._frame, **views, **self._outputs}

    def _check_borders(self, manifest: Manifest) -> None:
        """Raise BundleError unless every stage's inputs are there when it runs."""
        known = {FRAME}
        for stage in manifest.stages:
            for entry in stage.inputs:
                if entry.name not in known:
                    raise self._broken(f"nothing gives stage {stage.name!r} its {entry.name!r}")
            known.update(entry.name for entry in stage.outputs)
        for output in manifest.outputs:
            if output.name not in known:
                raise self._broken(f"no stage gives the output {output.name!r}")

    def _check(
        self, found: tuple[TensorSpec, ...], listed: tuple[TensorEntry, ...], stage: str
    ) -> None:
        if set(found) != {entry.spec() for entry in listed}:
            raise self._broken(f"the graph of stage {stage!r} is not what the manifest describes")

    def _broken(self, what: str) -> BundleError:
        return BundleError(
            f"{self._name} cannot be run: {what}", hint="export it again: edgeunet export --help"
        )


def _open(
    graph: Path,
    engine: str,
    threads: int | None,
    pool: Pool | None,
    outputs: Mapping[str, Array],
) -> Session:
    return open_session(graph, engine, threads=threads, outputs=outputs, pool=pool)


def check_size(bundle: Bundle, name: str, height: int, width: int) -> None:
    """Raise SourceError, with the export that would fit, when a source has another size."""
    manifest = bundle.manifest
    if (height, width) == (manifest.height, manifest.width):
        return
    smallest = 1 << manifest.recipe.network.levels
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
    """Return the command that makes the same bundle for frames of another size."""
    recipe = manifest.recipe
    command = f"edgeunet export --model {recipe.name} --size {format_size(height, width)}"
    if recipe.name in recipe_names():
        shipped = load_recipe(recipe.name).network.width
        if recipe.network.width != shipped:
            command += f" --width {recipe.network.width}"
    command += f" --{manifest.precision}"
    if manifest.calibration:
        command += f" --calibration {manifest.calibration}"
    if manifest.quantization is not None:
        command += f" --target {manifest.quantization.target}"
    return command
