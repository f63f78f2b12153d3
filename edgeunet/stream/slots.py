"""The buffers that frames wait in between the network and the sinks. They are made once."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

import numpy as np

from edgeunet.bundle.manifest import Manifest
from edgeunet.media.frames import Frame
from edgeunet.media.sinks.row_pictures import RowPicture
from edgeunet.specs import Array, Image
from edgeunet.stream.compose import Composer, View
from edgeunet.stream.strength import FULL, Blender

_NOTHING = Frame(-1, 0.0, np.empty((0, 0, 3), np.uint8))


class Slot:
    """One frame with the network's answers, in buffers of its own.

    frame: the source's frame.
    seen: what the network saw, (H, W, 3) uint8 BGR: the frame, or the frame with noise added.
    buffers: arrays for those of the network's outputs that the run needs, by name.
    outputs: the network's outputs in ``buffers``; denoised ones are mixed by the run's strength.
    image: the view that sinks write, (h, w, 3) uint8 BGR, after ``compose``.
    picture: the file that the view was written to row by row; None where it is in ``image``.
    users: how many still need it; the pool counts them.
    """

    frame: Frame
    seen: Image
    image: Image

    def __init__(
        self,
        manifest: Manifest,
        view: View,
        strength: float,
        *,
        noisy: bool,
        needed: Collection[str],
    ) -> None:
        """Make the buffers. noisy: noise is added to frames. needed: names of outputs to keep."""
        self._composer = Composer(manifest, view)
        self._blender = None if strength == FULL else Blender(strength, manifest)
        size = (manifest.height, manifest.width)
        self._noisy = np.empty((*size, 3), np.uint8) if noisy else None
        # np.empty takes no memory before it is written to: an unused slot costs nothing.
        self.buffers: Mapping[str, Array] = {
            entry.name: entry.spec(*size).empty()
            for entry in manifest.outputs
            if entry.name in needed
        }
        self.outputs: Mapping[str, Array] = self.buffers
        self.picture: RowPicture | None = None
        self.users = 0

    def fill(self, frame: Frame, seen: Image) -> None:
        """Take the frame whose answers are in ``buffers``. The source's frame is not copied."""
        self.frame = frame
        self.seen = seen
        if self._noisy is not None:
            np.copyto(self._noisy, seen)
            self.seen = self._noisy

    def let_go(self) -> Frame:
        """Forget the frame and what shows it, and return the frame."""
        frame, self.frame = self.frame, _NOTHING
        self.seen = self.image = _NOTHING.image
        return frame

    def blend(self) -> None:
        """Mix the denoised output with the frame by the run's strength."""
        self.outputs = self.buffers
        if self._blender is not None:
            self.outputs = self._blender.blended(self.seen, self.buffers)

    def compose(self) -> None:
        """Make ``image``, unless it was written row by row."""
        if self.picture is None:
            self.image = self._composer.image(self.seen, self.outputs)


class SlotPool:
    """Lends slots. A slot comes back when the last of its users has released it.

    To give a large frame back to the system takes a third of a millisecond, so neither the
    network's thread nor a sink's does it: frames are kept until ``forget``.
    """

    def __init__(self, slots: list[Slot]) -> None:
        self._free = slots
        self._spent: list[Frame] = []
        self._changed = threading.Condition()

    def take(self, stop: threading.Event) -> Slot | None:
        """Wait for a free slot, and return it with one user; None once ``stop`` is set.

        ``wake`` must be called after setting ``stop``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free or stop.is_set())
            if stop.is_set():
                return None
            # The one used last: its memory is in the cache, and the others stay untouched.
            slot = self._free.pop()
            slot.users = 1
            return slot

    def share(self, slot: Slot, users: int) -> None:
        """Add users to a slot."""
        with self._changed:
            slot.users += users

    def release(self, slot: Slot) -> None:
        with self._changed:
            slot.users -= 1
            if slot.users == 0:
                if slot.picture is not None:
                    # Of a sink that ended early; a complete one stays.
                    slot.picture.drop()
                    slot.picture = None
                self._spent.append(slot.let_go())
                self._free.append(slot)
                self._changed.notify_all()

    def forget(self) -> None:
        """Give the frames of slots that came back to the system."""
        with self._changed:
            spent, self._spent = self._spent, []
        spent.clear()

    def wake(self) -> None:
        """Make a waiting ``take`` look at its ``stop`` event."""
        with self._changed:
            self._changed.notify_all()
