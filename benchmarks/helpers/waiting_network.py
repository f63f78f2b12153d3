"""An executor that only waits, so that a stream is measured and not its network."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from unittest import mock

from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image


def network_that_waits(seconds: float) -> AbstractContextManager[object]:
    """Let every frame of every executor take so long. All answers are that of the first frame.

    A network writes its answers into the arrays that it is given. Here each of these is written
    once, before the first wait with it.
    """
    original = Executor.run
    answers: dict[str, Array] = {}
    written: dict[int, Array] = {}

    def waiting(
        self: Executor, image: Image, into: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        if not answers:
            answers.update({name: array.copy() for name, array in original(self, image).items()})
        for name, array in (into or {}).items():
            # The dictionary keeps the array, so that no other one gets its id.
            if id(array) not in written:
                array[...] = answers[name]
                written[id(array)] = array
        time.sleep(seconds)
        return {**answers, **(into or {})}

    return mock.patch.object(Executor, "run", waiting)
