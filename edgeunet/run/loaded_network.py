"""The Python interface to a loaded bundle. It converts frames to and from the caller's format."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeunet.bundle import Bundle
from edgeunet.errors import UsageError
from edgeunet.pixels import as_bytes
from edgeunet.run.engine_choice import Note
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image, Task

ColourOrder = Literal["bgr", "rgb"]
"""The order of an image's three channels. OpenCV reads and shows ``bgr``."""

Scale = Literal["bytes", "unit"]
"""``bytes``: uint8 values 0..255. ``unit``: floats 0..1."""


class Network:
    """A network that is ready to run. Use it in a ``with`` statement, or close it.

    bundle: the verified bundle it was loaded from.
    size: (height, width) of the frames it takes, in pixels.
    engine: the engine that runs it, ``onnxruntime`` or ``tensorrt``.
    outputs: the names of its outputs, in the recipe's order.

    Any thread may run a frame, one at a time.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str = "auto",
        threads: int | None = None,
        workers: int | None = None,
        on_note: Note | None = None,
    ) -> None:
        """Load a bundle; ``edgeunet.open_bundle`` explains the arguments and errors."""
        manifest = bundle.manifest
        self._executor = Executor(bundle, engine, threads=threads, workers=workers, on_note=on_note)
        self._tasks = {entry.name: entry.task for entry in manifest.outputs}
        self.bundle: Bundle = bundle
        self.size: tuple[int, int] = (manifest.height, manifest.width)
        self.engine: str = str(self._executor.engine)
        self.outputs: tuple[str, ...] = tuple(self._tasks)

    def run(
        self,
        frame: NDArray[Any],
        *,
        colours: ColourOrder = "bgr",
        scale: Scale = "bytes",
        out: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Run the network on one frame, and return its outputs by name.

        frame: (H, W, 3), of ``size``; uint8 0..255, or floats 0..1 with ``scale="unit"``.
        colours: the order of the frame's channels; images in the answer have the same order.
        scale: ``unit`` rounds floats to 8 bits, because that is what networks take; images in the
            answer are then float32, 0..1.
        out: arrays by output name. An output is written into its array, which is returned.

        Returns arrays that belong to the caller:
        denoise: (H, W, 3), uint8 0..255, or float32 0..1 with ``scale="unit"``.
        segment: (H, W) uint8, the number of each pixel's class.
        classify: (classes,) float32, probabilities 0..1.

        Raises SourceError for a frame of another size; UsageError for a frame or an array of
        another type; EngineError while another thread runs a frame, and after ``close``.
        """
        if colours not in ("bgr", "rgb"):
            raise UsageError(f"there is no order of colours {colours!r}", hint="use bgr or rgb")
        unknown = sorted(set(out or ()) - set(self._tasks))
        if unknown:
            raise UsageError(
                f"{self.bundle.path.name} has no output {unknown[0]!r}",
                hint=f"its outputs: {', '.join(self._tasks)}",
            )
        image = _checked_bytes(frame, scale)
        if colours == "rgb" and image.ndim == 3:
            image = image[:, :, ::-1]
        answers = self._executor.run(np.ascontiguousarray(image))
        found: dict[str, Array] = {}
        for name, task in self._tasks.items():
            answer = answers[name][0]
            if task is Task.DENOISE:
                answer = answer[:, :, ::-1] if colours == "rgb" else answer
                answer = answer / np.float32(255) if scale == "unit" else answer
            found[name] = _copied(name, answer, None if out is None else out.get(name))
        return found

    def restart(self) -> None:
        """Forget all frames; only a network that remembers frames has any."""
        self._executor.restart()

    def memory(self) -> dict[str, Array]:
        """Return a copy of what is kept of the frames before, by name; empty for most networks."""
        return self._executor.memory()

    def remember(self, memory: Mapping[str, Array]) -> None:
        """Go on from what ``memory`` returned, here or in another process with the same bundle.

        Raises EngineError for a memory of another bundle.
        """
        self._executor.remember(memory)

    def close(self) -> None:
        """Give back the engine and its memory. A frame that is being run is finished first."""
        self._executor.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.size
        return f"<Network {self.bundle.path.name}, {height}x{width}, {self.engine}>"


def _checked_bytes(frame: NDArray[Any], scale: Scale) -> Image:
    """Return a frame of any shape as uint8, 0..255.

    scale: range of the frame's values; floats outside 0..1 are clipped.
    Raises UsageError when the dtype does not fit the scale, and for values that are not finite.
    """
    if scale not in ("bytes", "unit"):
        raise UsageError(f"there is no scale {scale!r}", hint="use bytes or unit")
    in_floats = np.issubdtype(frame.dtype, np.floating)
    if in_floats != (scale == "unit") or not (in_floats or frame.dtype == np.uint8):
        raise UsageError(
            f"a frame of {frame.dtype} does not have the scale {scale!r}",
            hint='give uint8, 0..255, or floats, 0..1, with scale="unit"',
        )
    if not in_floats:
        return frame
    if not np.isfinite(frame).all():
        raise UsageError("the frame holds values that are not finite", hint="give floats, 0..1")
    return as_bytes(frame)


def _copied(name: str, answer: Array, given: Array | None) -> Array:
    """Return a copy of an output in an array of the caller's: a new one, or ``given``."""
    if given is None:
        return np.ascontiguousarray(answer.copy())
    if given.shape != answer.shape or given.dtype != answer.dtype:
        raise UsageError(
            f"the array for {name!r} is {given.dtype} {given.shape}, "
            f"the output {answer.dtype} {answer.shape}",
            hint="give an array of the output's shape and type",
        )
    np.copyto(given, answer)
    return given
