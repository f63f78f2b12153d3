"""The newest pictures of a run as JPEG or PNG, coded only while somebody looks at them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeunet.bundle.manifest import Manifest
from edgeunet.label_colours import colour_table
from edgeunet.media import opencv
from edgeunet.media.frames import Frame
from edgeunet.specs import Image, Task
from edgeunet.stream.slots import Slot

NAME = "preview"
_LONGEST_RATE_S = 0.08


@dataclass
class _Wanted:
    """One kind of picture. number: of the newest one, from 1; 0 before the first."""

    watchers: int = 0
    number: int = 0
    data: bytes = b""


class PictureSink:
    """Takes the frames of a run and keeps the newest of each kind that is watched.

    kinds: what can be watched: ``noisy``, and ``denoised`` and ``labels`` where the bundle has
        them, each with ``.jpg`` or ``.png``.
    on_new: called in the sink's thread after new pictures.
    """

    name = NAME

    def __init__(self, manifest: Manifest) -> None:
        outputs = {output.task: output for output in manifest.outputs}
        self._denoised = outputs.get(Task.DENOISE)
        self._labels = outputs.get(Task.SEGMENT)
        classes = [entry.label() for entry in self._labels.classes] if self._labels else []
        self._colours = colour_table(classes)
        self.legend = [
            {"name": label.name, "colour": [int(part) for part in self._colours[index][::-1]]}
            for index, label in enumerate(classes)
        ]
        self.views = ["noisy"]
        self.views += ["denoised"] if self._denoised else []
        self.views += ["labels"] if self._labels else []
        self._lock = threading.Lock()
        self._wanted = {
            f"{view}{end}": _Wanted() for view in self.views for end in (".jpg", ".png")
        }
        self._next_s = 0.0
        self.on_new: Callable[[], None] = _nothing

    def show(self, slot: Slot) -> bool:
        """Code the pictures of a frame that are watched, at most twelve times a second."""
        now_s = time.monotonic()
        with self._lock:
            kinds = [kind for kind, wanted in self._wanted.items() if wanted.watchers]
        if not kinds or now_s < self._next_s:
            return True
        self._next_s = now_s + _LONGEST_RATE_S
        for kind in kinds:
            view, _, suffix = kind.partition(".")
            data = opencv.encode_image(self._image(view, slot), f".{suffix}")
            with self._lock:
                self._wanted[kind].data = data
                self._wanted[kind].number += 1
        self.on_new()
        return True

    def watch(self, kind: str) -> int:
        """Begin to want a kind of picture; returns the newest one's number."""
        with self._lock:
            wanted = self._wanted[kind]
            wanted.watchers += 1
            return wanted.number

    def leave(self, kind: str) -> None:
        with self._lock:
            self._wanted[kind].watchers -= 1

    def newest(self, kind: str) -> tuple[int, bytes]:
        """Return the newest picture of a kind and its number, 0 and nothing before the first."""
        with self._lock:
            return self._wanted[kind].number, self._wanted[kind].data

    def has(self, kind: str) -> bool:
        return kind in self._wanted

    def write(self, image: Image, frame: Frame) -> bool:
        raise NotImplementedError("this sink takes whole slots")

    def finish(self) -> None:
        return None

    def discard(self) -> None:
        return None

    def warnings(self) -> tuple[str, ...]:
        return ()

    def _image(self, view: str, slot: Slot) -> Image:
        if view == "denoised" and self._denoised:
            denoised: Image = slot.outputs[self._denoised.name][0]
            return denoised
        if view == "labels" and self._labels:
            coloured: Image = np.take(self._colours, slot.outputs[self._labels.name][0], axis=0)
            return coloured
        return slot.seen


def _nothing() -> None:
    return None
