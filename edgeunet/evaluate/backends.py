"""The networks that are evaluated: bundles here, torch in ``torch_backend``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeunet.bundle import open_bundle
from edgeunet.evaluate.protocol import NoiseKind, Planes
from edgeunet.network_facts import NetworkFacts
from edgeunet.run.engine_choice import Note
from edgeunet.run.executor import Executor
from edgeunet.specs import ClassLabel, Task


@dataclass(frozen=True)
class Head:
    """One output of a network: its name, its task, and its classes.

    classes: names. colours: what each class is drawn in; empty for classes without colours.
    """

    output: str
    task: Task
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(cls, output: str, task: Task, labels: Sequence[ClassLabel]) -> Head:
        """Return the head with these classes."""
        names = tuple(label.name for label in labels)
        return cls(output, task, names, tuple(label.colour for label in labels))

    @property
    def labels(self) -> tuple[ClassLabel, ...]:
        """The classes with their colours; black where none is known."""
        colours = self.colours or ((0, 0, 0),) * len(self.classes)
        return tuple(map(ClassLabel, self.classes, colours))


@dataclass(frozen=True)
class Answer:
    """The outputs of a network for one image; None for a head that it does not have.

    denoised: (3, H, W), RGB, of the input's dtype; H and W are the backend's scale times the
        input's. Floats are clipped to 0..1.
    labels: (H, W) uint8, the class of each pixel.
    scores: (classes,) float32, probabilities.
    The arrays belong to the receiver.
    """

    denoised: Planes | None = None
    labels: NDArray[np.uint8] | None = None
    scores: NDArray[np.float32] | None = None


class Backend(Protocol):
    """A loaded network.

    name, engine, precision, weights: what it is, for reports.
    network: the recipe or the foreign network that it was made from.
    heads: its outputs.
    frame: the one size it takes, (height, width); None for any size.
    scale: how many times the frame's rows and columns its image has.
    """

    @property
    def name(self) -> str: ...

    @property
    def engine(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def weights(self) -> str: ...

    @property
    def network(self) -> NetworkFacts: ...

    @property
    def heads(self) -> tuple[Head, ...]: ...

    @property
    def kinds(self) -> tuple[NoiseKind, ...]:
        """The kinds of added noise that it takes. Real noisy images are given as uint8 ones."""
        ...

    @property
    def frame(self) -> tuple[int, int] | None: ...

    @property
    def scale(self) -> int: ...

    def run(self, image: Planes) -> Answer:
        """Run the network on one image, (3, H, W), RGB, of a dtype that belongs to ``kinds``."""
        ...

    def close(self) -> None:
        """Free the network."""
        ...


def head_of(backend: Backend, task: Task) -> Head | None:
    """Return the first head with a task, or None. Further ones are not evaluated."""
    return next((head for head in backend.heads if head.task is task), None)


@runtime_checkable
class RemembersFrames(Protocol):
    """A backend whose network may remember the frames of a clip.

    Its ``run`` takes every image as a first frame.
    """

    @property
    def remembers(self) -> bool: ...

    def step(self, image: Planes, memory: Any) -> tuple[Answer, Any]:
        """Run the network on the next frame of a clip; return the answer and the memory after it.

        memory: what the frame before returned; None for a first frame.
        """
        ...


class BundleBackend:
    """A bundle, for whole frames or in windows. It takes uint8 images only.

    engine, threads, workers, on_note: as for ``Executor``.
    """

    kinds = (NoiseKind.UINT8,)

    def __init__(
        self,
        path: Path,
        engine: str = "auto",
        *,
        threads: int | None = None,
        workers: int | None = None,
        on_note: Note | None = None,
    ) -> None:
        self.bundle = bundle = open_bundle(path)
        manifest = bundle.manifest
        self.name = bundle.path.name
        self.weights = manifest.weights
        self.precision = str(manifest.precision)
        self.network: NetworkFacts = manifest.network
        self.frame: tuple[int, int] | None = (manifest.height, manifest.width)
        self.heads = tuple(
            Head.of(output.name, output.task, [entry.label() for entry in output.classes])
            for output in manifest.outputs
        )
        image = head_of(self, Task.DENOISE)
        scales = {pathway.output: pathway.scale for pathway in manifest.network.pathways}
        self.scale = 1 if image is None else scales[image.output]
        self._executor = Executor(bundle, engine, threads=threads, workers=workers, on_note=on_note)
        self.engine = self._executor.engine

    @property
    def remembers(self) -> bool:
        return self._executor.remembers

    def step(self, image: Planes, memory: Any) -> tuple[Answer, Any]:
        if memory is None:
            self._executor.restart()
        else:
            self._executor.remember(memory)
        return self._answer(image), self._executor.memory()

    def run(self, image: Planes) -> Answer:
        if self._executor.remembers:
            self._executor.restart()
        return self._answer(image)

    def _answer(self, image: Planes) -> Answer:
        outputs = self._executor.run(np.ascontiguousarray(image[::-1].transpose(1, 2, 0)))
        found = {}
        for task in Task:
            head = head_of(self, task)
            found[task] = None if head is None else outputs[head.output][0]
        denoised, labels, scores = (found[task] for task in Task)
        # The executor's next run overwrites its buffers.
        return Answer(
            None if denoised is None else denoised[:, :, ::-1].transpose(2, 0, 1).copy(),
            None if labels is None else labels.copy(),
            None if scores is None else scores.copy(),
        )

    def close(self) -> None:
        self._executor.close()
