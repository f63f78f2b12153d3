"""The memory of frames that went through a run."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

import numpy as np

from edgeunet.media.frames import Frame
from edgeunet.stream.compose import View
from edgeunet.stream.slots import Slot, SlotPool
from edgeunet.stream.strength import FULL
from tests.bundle.tiny import tiny_bundle


def test_a_frame_is_given_back_when_the_pool_is_told_to(tmp_path: Path) -> None:
    """Not by whoever is the last to use it: the network or a sink would be held up."""
    manifest = tiny_bundle(tmp_path).manifest
    pool = SlotPool([Slot(manifest, View.DENOISED, FULL, noisy=False, needed=("denoised",))])
    slot = pool.take(threading.Event())
    assert slot is not None
    image = np.zeros((48, 64, 3), np.uint8)
    there = weakref.ref(image)
    slot.fill(Frame(0, 0.0, image), image)
    slot.compose()
    pool.share(slot, 1)
    del image
    pool.release(slot)
    pool.forget()
    assert there() is not None, "a sink still has it"
    pool.release(slot)
    assert there() is not None
    pool.forget()
    assert there() is None
    assert pool.take(threading.Event()) is slot
