"""An executor that only waits, so that a stream is measured and not its network."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from unittest import mock

from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image


def network_that_waits(seconds: float) -> AbstractContextManager[object]:
    """Let every frame of every executor take so long. All answers are that of the first frame."""
    original = Executor.run
    answers: dict[str, Array] = {}

    def waiting(self: Executor, image: Image) -> dict[str, Array]:
        time.sleep(seconds)
        if not answers:
            answers.update({name: array.copy() for name, array in original(self, image).items()})
        return answers

    return mock.patch.object(Executor, "run", waiting)
