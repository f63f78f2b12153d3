"""What answers: a bundle in an engine here, torch in ``torch_backend``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeunet.bundle import open_bundle
from edgeunet.evaluate.protocol import NoiseKind, Planes
from edgeunet.recipes import Recipe
from edgeunet.run.engine_choice import Note
from edgeunet.run.executor import Executor
from edgeunet.specs import Task


@dataclass(frozen=True)
class Head:
    """One output: its name, what it answers, and its classes' names."""

    output: str
    task: Task
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a network says of one image; None where it has no such head.

    denoised: (3, H, W), RGB, of the type of the image it was given; floats clipped to 0..1.
    labels: (H, W) integers. scores: (classes,) float32. The receiver's own.
    """

    denoised: Planes | None = None
    labels: NDArray[np.uint8] | None = None
    scores: NDArray[np.float32] | None = None


class Backend(Protocol):
    """A loaded network. frame: the one size it takes, (height, width); None for any."""

    @property
    def name(self) -> str: ...

    @property
    def engine(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def weights(self) -> str: ...

    @property
    def recipe(self) -> Recipe: ...

    @property
    def heads(self) -> tuple[Head, ...]: ...

    @property
    def kinds(self) -> tuple[NoiseKind, ...]:
        """The kinds of added noise it takes; a camera's images go in as uint8 ones do."""
        ...

    @property
    def frame(self) -> tuple[int, int] | None: ...

    def run(self, image: Planes) -> Answer:
        """Answer for one image, (3, H, W), RGB, of a type in ``kinds``."""
        ...

    def close(self) -> None: ...


def head_of(backend: Backend, task: Task) -> Head | None:
    """Return the first head with a task; a second one is not measured."""
    return next((head for head in backend.heads if head.task is task), None)


class BundleBackend:
    """A bundle, whole or in windows. Frames are uint8, so float noise cannot go in."""

    kinds = (NoiseKind.UINT8,)

    def __init__(
        self,
        path: Path,
        engine: str = "auto",
        *,
        threads: int | None = None,
        on_note: Note | None = None,
    ) -> None:
        self.bundle = bundle = open_bundle(path)
        manifest = bundle.manifest
        self.name = bundle.path.name
        self.weights = manifest.weights
        self.precision = str(manifest.precision)
        self.recipe = manifest.recipe
        self.frame: tuple[int, int] | None = (manifest.height, manifest.width)
        self.heads = tuple(
            Head(output.name, output.task, tuple(entry.name for entry in output.classes))
            for output in manifest.outputs
        )
        self._executor = Executor(bundle, engine, threads=threads, on_note=on_note)
        self.engine = self._executor.engine

    def run(self, image: Planes) -> Answer:
        outputs = self._executor.run(np.ascontiguousarray(image[::-1].transpose(1, 2, 0)))
        found = {}
        for task in Task:
            head = head_of(self, task)
            found[task] = None if head is None else outputs[head.output][0]
        denoised, labels, scores = (found[task] for task in Task)
        # The executor's buffers are written over by the next run.
        return Answer(
            None if denoised is None else denoised[:, :, ::-1].transpose(2, 0, 1).copy(),
            None if labels is None else labels.copy(),
            None if scores is None else scores.copy(),
        )

    def close(self) -> None:
        self._executor.close()
