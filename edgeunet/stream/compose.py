"""Composes the image that a run writes: denoised frame, labels, both, or input beside output."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import numpy as np

from edgeunet.bundle.manifest import Manifest, OutputEntry
from edgeunet.errors import UsageError, near_match
from edgeunet.label_colours import colour_table
from edgeunet.specs import Array, Image, Task

_SEPARATOR_PIXELS = 2
_SEPARATOR_GREY = 200


class View(str, enum.Enum):
    """What is written. All views but side-by-side have the size of the image or of the source."""

    DENOISED = "denoised"
    LABELS = "labels"
    OVERLAY = "overlay"
    SIDE_BY_SIDE = "side-by-side"

    def __str__(self) -> str:
        return self.value


def choose_view(name: str | None, manifest: Manifest) -> View:
    """Return the named view. Without a name: denoised where the bundle has it, else overlay.

    Raises UsageError for an unknown view, and for one whose output the bundle does not have.
    """
    tasks = {output.task for output in manifest.outputs}
    if name is None:
        return View.DENOISED if Task.DENOISE in tasks else View.OVERLAY
    names = [str(view) for view in View]
    if name not in names:
        raise UsageError(
            f"there is no view {name!r}",
            hint=near_match(name, names) + f"known: {', '.join(names)}",
        )
    view = View(name)
    needed = {View.DENOISED: Task.DENOISE, View.LABELS: Task.SEGMENT}.get(view)
    if needed is not None and needed not in tasks:
        possible = [View.OVERLAY, View.SIDE_BY_SIDE]
        possible += [View.LABELS] if Task.SEGMENT in tasks else []
        possible += [View.DENOISED] if Task.DENOISE in tasks else []
        raise UsageError(
            f"the bundle has no {needed} output, so there is no view {name!r}",
            hint=f"its views: {', '.join(sorted(str(view) for view in possible))}",
        )
    return view


def outputs_in(view: View, manifest: Manifest) -> frozenset[str]:
    """Return the names of the outputs that a view is composed of."""
    tasks = {output.task for output in manifest.outputs}
    only = {View.DENOISED: Task.DENOISE, View.LABELS: Task.SEGMENT}.get(view)
    if view is View.SIDE_BY_SIDE and Task.DENOISE in tasks:
        only = Task.DENOISE
    return frozenset(output.name for output in manifest.outputs if only in (None, output.task))


class Composer:
    """Composes images from a frame and its outputs, in buffers that are made once."""

    def __init__(self, manifest: Manifest, view: View) -> None:
        height, width = manifest.height, manifest.width
        self._view = view
        self._denoise = _first(manifest, Task.DENOISE)
        self._segment = _first(manifest, Task.SEGMENT)
        self._classify = _first(manifest, Task.CLASSIFY)
        labels = self._segment.classes if self._segment else ()
        self._colours = colour_table([entry.label() for entry in labels])
        self._names = [entry.name for entry in self._classify.classes] if self._classify else []
        shows_image = self._denoise is not None and view is not View.LABELS
        self._scale = self._denoise.scale(height) if shows_image and self._denoise else 1
        rows, columns = height * self._scale, width * self._scale
        self._shape = (rows, 2 * columns if view is View.SIDE_BY_SIDE else columns, 3)
        self._tinted: Image = np.empty((height, width, 3), dtype=np.uint8)
        self._mixed: Image = np.empty((rows, columns, 3), dtype=np.uint8)
        self._enlarged: Image = np.empty((rows, columns, 3), dtype=np.uint8)
        self._beside: Image = np.empty(self._shape, dtype=np.uint8)

    @property
    def height(self) -> int:
        return self._shape[0]

    @property
    def width(self) -> int:
        return self._shape[1]

    def image(self, frame: Image, outputs: Mapping[str, Array]) -> Image:
        """Return the view of a frame, (H, W, 3) uint8 BGR.

        frame: the network's input.
        outputs: the executor's outputs for it.
        The next call, or the executor's next run, overwrites the image.
        """
        if self._view is View.SIDE_BY_SIDE:
            return self._side_by_side(frame, outputs)
        if self._view is View.LABELS:
            return self._labels(outputs)
        if self._view is View.DENOISED:
            return self._base(frame, outputs)
        return self._overlay(frame, outputs)

    def _as_large(self, image: Image) -> Image:
        """Return a picture of the frame's size, with every pixel repeated to the image's size."""
        if self._scale == 1:
            return image
        rows, columns = image.shape[:2]
        cells = self._enlarged.reshape(rows, self._scale, columns, self._scale, 3)
        cells[...] = image[:, np.newaxis, :, np.newaxis]
        return self._enlarged

    def _base(self, frame: Image, outputs: Mapping[str, Array]) -> Image:
        return frame if self._denoise is None else outputs[self._denoise.name][0]

    def _labels(self, outputs: Mapping[str, Array]) -> Image:
        if self._segment is None:  # choose_view refuses this case
            return self._tinted
        labels = outputs[self._segment.name][0]
        # All 256 values are in the table; mode "clip" only saves numpy a buffer.
        return np.take(self._colours, labels, axis=0, out=self._tinted, mode="clip")

    def _overlay(self, frame: Image, outputs: Mapping[str, Array]) -> Image:
        image = self._base(frame, outputs)
        if self._segment is not None:
            # Half of each, in integers, which needs no float buffer.
            tinted, mixed = self._labels(outputs), self._mixed
            np.right_shift(image, 1, out=mixed)
            np.right_shift(tinted, 1, out=tinted)
            tinted = self._as_large(tinted)
            image = np.add(mixed, tinted, out=mixed)
        if self._classify is not None:
            np.copyto(self._mixed, image)
            image = self._mixed
            scores = outputs[self._classify.name][0]
            best = int(scores.argmax())
            _caption(image, f"{self._names[best]} {float(scores[best]):.2f}")
        return image

    def _side_by_side(self, frame: Image, outputs: Mapping[str, Array]) -> Image:
        width = self._shape[1] // 2
        left, right = self._beside[:, :width], self._beside[:, width:]
        left[...] = self._as_large(frame)
        right[...] = self._base(frame, outputs) if self._denoise else self._overlay(frame, outputs)
        right[:, :_SEPARATOR_PIXELS] = _SEPARATOR_GREY
        _caption(left, "input")
        _caption(right, "denoised" if self._denoise else "output")
        return self._beside


def _first(manifest: Manifest, task: Task) -> OutputEntry | None:
    return next((output for output in manifest.outputs if output.task is task), None)


def _caption(image: Image, text: str) -> None:
    from edgeunet.media import opencv

    opencv.draw_caption(image, text)
