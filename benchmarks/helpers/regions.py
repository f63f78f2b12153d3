"""What frames of a bundle take, and the regions that onnxruntime's arena asks of the system.

``python -m benchmarks.helpers.regions ORDER`` runs a bundle in a process of its own and answers in
JSON. Bytes are measured in another process, because what is written down of every allocation takes
memory itself. The library's own limit of its arena is none for some INT8 graphs: weights that it
packs count against the limit, and below them a subtraction wraps around. So nothing is limited
here, and every region is counted: an arena that was predicted too small shows as a second one.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeunet.bundle import open_bundle
from edgeunet.imitation.onnxruntime_arena import up_to_pieces
from edgeunet.run.executor import Executor
from edgeunet.run.measured import FEWEST_FRAMES, ask, measure
from edgeunet.run.promises import promise_of
from tests.emulated.aligned_memory import AlignedMemory

_MOST_REGIONS = 8


@dataclass(frozen=True)
class Taken:
    """measured_bytes: the highest of the frames above the loaded bundle, as ``measured.measure``
    has it. predicted_bytes: for this processor. regions_bytes: of the arena, in order."""

    measured_bytes: int
    predicted_bytes: int
    regions_bytes: tuple[int, ...]


def taken_by(bundle: Path, threads: int) -> Taken:
    """Run a bundle in two processes of its own. Raises EngineError when that fails."""
    found = measure(bundle, threads=threads)
    assert found.predicted_bytes is not None
    answer = ask(__name__, {"bundle": str(bundle), "threads": threads})
    return Taken(found.measured_bytes, found.predicted_bytes, tuple(answer["regions_bytes"]))


def _main(order: dict[str, object]) -> dict[str, object]:
    bundle = open_bundle(Path(str(order["bundle"])))
    threads = int(str(order["threads"]))
    promise = promise_of(bundle.manifest, threads)
    # Every further region is twice as large as the one before.
    sizes = {up_to_pieces(promise.region_bytes) << shift for shift in range(_MOST_REGIONS)}
    with AlignedMemory() as memory:
        with contextlib.closing(Executor(bundle, threads=threads)) as executor:
            shape = (executor.height, executor.width, 3)
            frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            for _ in range(FEWEST_FRAMES):
                executor.run(frame)
        regions = [each for each in memory.events if each in sizes]
    return {"regions_bytes": regions}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main(json.loads(sys.argv[1]))) + "\n")
