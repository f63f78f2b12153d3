"""Runs a bundle's stages on one frame. Nothing is allocated per frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import Manifest
from edgeunet.engine import choose_engine, open_session
from edgeunet.errors import BundleError, SourceError
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import FRAME, Array, Session, TensorSpec
from edgeunet.stream.frames import Image
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
        self._sessions: list[Session] = []
        self._tensors: dict[str, Array] = {}
        known = {FRAME: TensorSpec(FRAME, (1, self.height, self.width, 3), "uint8")}
        try:
            for stage in manifest.stages:
                session = open_session(bundle.file(stage.graph), self.engine, threads=threads)
                self._sessions.append(session)
                self._check(session.inputs, [entry.spec() for entry in stage.inputs], stage.name)
                self._check(session.outputs, [entry.spec() for entry in stage.outputs], stage.name)
                for spec in session.inputs:
                    if known.get(spec.name) != spec:
                        raise self._broken(f"nothing gives stage {stage.name!r} its {spec.name!r}")
                known.update((spec.name, spec) for spec in session.outputs)
            for output in manifest.outputs:
                if known.get(output.name) != output.spec(self.height, self.width):
                    raise self._broken(f"no stage gives the output {output.name!r} as it must be")
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
        tensors = self._tensors
        tensors[FRAME] = np.ascontiguousarray(image)[np.newaxis]
        for session in self._sessions:
            tensors.update(session.run({spec.name: tensors[spec.name] for spec in session.inputs}))
        return tensors

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self._tensors.clear()

    def _check(self, found: tuple[TensorSpec, ...], listed: list[TensorSpec], stage: str) -> None:
        if set(found) != set(listed):
            raise self._broken(f"the graph of stage {stage!r} is not what the manifest describes")

    def _broken(self, what: str) -> BundleError:
        return BundleError(
            f"{self._name} cannot be run: {what}", hint="export it again: edgeunet export --help"
        )


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
    return command
