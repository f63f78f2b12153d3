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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeunet import processors
from edgeunet.bundle import open_bundle
from edgeunet.imitation.onnxruntime_arena import up_to_pieces
from edgeunet.run.executor import Executor
from edgeunet.run.measured import FEWEST_FRAMES, Measurement, ask, run_and_measure
from edgeunet.run.promises import promise_of
from tests.emulated.aligned_memory import AlignedMemory
from tests.emulated.machines import Machine

_FRAMES = 5
_MOST_REGIONS = 8


@dataclass(frozen=True)
class Taken:
    """What a bundle takes with a thread for each core.

    measured_bytes: the highest of the frames above the loaded bundle, as ``measured.measure`` has
        it. predicted_bytes: of the same on this processor.
    further_bytes: what more the threads take that plans are made for, by prediction.
    regions_bytes: of the arena, in order.
    """

    measured_bytes: int
    predicted_bytes: int
    further_bytes: int
    regions_bytes: tuple[int, ...]


def taken_by(bundle: Path, on: Machine) -> Taken:
    """Run a bundle in two processes of its own. Raises EngineError when that fails.

    More threads than cores do not all get work in every frame, so that what they take is not seen.
    on: the processor; one that runs natively, or is told that it has fewer features.
    """
    order: dict[str, object] = {"bundle": str(bundle), "cpuinfo": None}
    if on.cpuinfo is not None:
        path = bundle.parent / "cpuinfo"
        path.write_text(on.cpuinfo)
        order["cpuinfo"] = str(path)
    measured = ask(__name__, {**order, "task": "measure"}, environment=on.environment)
    found = Measurement.read(measured)
    assert found.predicted_bytes is not None
    answer = ask(__name__, {**order, "task": "regions"}, environment=on.environment)
    return Taken(
        found.measured_bytes,
        found.predicted_bytes,
        answer["planned_bytes"] - found.predicted_bytes,
        tuple(answer["regions_bytes"]),
    )


def _main(order: dict[str, Any]) -> dict[str, object]:
    if order["cpuinfo"] is not None:
        processors.CPUINFO = Path(order["cpuinfo"])
    path, threads = Path(order["bundle"]), processors.usable_cores()
    if order["task"] == "measure":
        return asdict(run_and_measure(path, "onnxruntime", _FRAMES, threads))
    bundle = open_bundle(path)
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
    planned = promise_of(bundle.manifest, processors.THREADS).predicted_bytes
    return {"regions_bytes": regions, "planned_bytes": planned}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main(json.loads(sys.argv[1]))) + "\n")
