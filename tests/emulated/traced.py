"""What bundles allocate and answer here: ``python -m tests.emulated.traced``.

It reads orders, one line of JSON each, and answers each with one line. A bundle runs one frame
without an arena, where every allocation of a stage is seen. Then, if that is ordered, its stages
run twice in turn in one arena of a given size, which must be enough.
"""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import numpy as np

from edgeunet import processors
from edgeunet.bundle import open_bundle
from edgeunet.imitation.onnxruntime_arena import pool_for, up_to_pieces
from edgeunet.ort import onnxruntime_session
from edgeunet.ort.onnxruntime_session import OnnxRuntimeSession
from edgeunet.run import engine_choice
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Session
from tests.emulated.aligned_memory import AlignedMemory

# On ARM64 every allocation from the system is this much larger than what was asked for.
_OVERRUN_BYTES = 30 if platform.machine() == "aarch64" else 0

_MOST_REGIONS = 8
_OPTIONS = onnxruntime_session._options
_ROOMY_BYTES = 1 << 28


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Run and trace a bundle.

    bundle: a folder. frame: a file with one frame, (H, W, 3) uint8 BGR. answers: the file that gets
    what the bundle makes of it, by output. region_bytes: of the arena; None to leave that out.
    threads: of the CPU.
    """
    bundle = open_bundle(Path(order["bundle"]))
    threads = order["threads"]
    with AlignedMemory() as memory:
        stages: dict[str, _Traced] = {}
        opener = _opener(memory, stages)
        with mock.patch.object(engine_choice, "open_session", opener):
            executor = Executor(bundle, "onnxruntime", threads=threads, workers=1)
            answers = executor.run(np.load(order["frame"]))
            arrays: dict[str, Any] = {name: array.copy() for name, array in answers.items()}
            executor.close()
        np.savez(order["answers"], **arrays)
        regions = None
        if order["region_bytes"] is not None:
            graphs = [bundle.file(stage.graph) for stage in bundle.manifest.stages]
            regions = _regions(graphs, threads, order["region_bytes"], memory)
    found = [stages[bundle.file(stage.graph).name] for stage in bundle.manifest.stages]
    return {
        "processor": processors.this_processor().name,
        "stages": [{"kept": one.kept, "events": one.events} for one in found],
        "regions": regions,
    }


class _Traced:
    """A session that writes down what its first run allocates.

    kept: the weights that are packed into the arena. events: see ``AlignedMemory``. All in bytes.
    """

    def __init__(self, session: OnnxRuntimeSession, kept: list[int], memory: AlignedMemory) -> None:
        self.engine = session.engine
        self.inputs, self.outputs = session.inputs, session.outputs
        self.kept = kept
        self.events: list[int] = []
        self._session, self._memory = session, memory

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        self._memory.clear()
        made = self._session.run(feeds)
        if not self.events:
            self.events = [e - _OVERRUN_BYTES if e > 0 else e for e in self._memory.events]
        return made

    def write_to(self, name: str, array: Array) -> None:
        self._session.write_to(name, array)

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> _Traced:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _opener(memory: AlignedMemory, stages: dict[str, _Traced]) -> Callable[..., Session]:
    """Return what opens a stage's graph traced and without an arena; ``stages`` gets it."""

    def opened(graph: Path, *_: Any, **options: Any) -> Session:
        threads, outputs = options["threads"], options["outputs"]
        memory.clear()
        with OnnxRuntimeSession(graph, threads=threads, pool=pool_for(_ROOMY_BYTES)):
            # With an arena, only weights in the order of the file are asked of the system.
            in_file = Counter(memory.live_bytes())
        memory.clear()
        with mock.patch.object(onnxruntime_session, "_options", _without_arena):
            session = OnnxRuntimeSession(graph, threads=threads, outputs=outputs)
        stages[graph.name] = _Traced(session, _kept(memory, in_file), memory)
        return stages[graph.name]

    return opened


def _kept(memory: AlignedMemory, in_file: Counter[int]) -> list[int]:
    """Return the sizes of weights that are packed, in the order in which that was done."""
    kept = []
    for size_bytes in memory.live_bytes():
        if in_file[size_bytes]:
            in_file[size_bytes] -= 1
        else:
            kept.append(size_bytes - _OVERRUN_BYTES)
    return kept


def _without_arena(threads: int | None) -> Any:
    found = _OPTIONS(threads)
    found.enable_cpu_mem_arena = False
    found.add_session_config_entry("session.use_env_allocators", "0")
    return found


def _regions(
    graphs: list[Path], threads: int, region_bytes: int, memory: AlignedMemory
) -> list[int]:
    """Return the sizes of the regions that an arena asks for; every further one is twice as large.

    This holds whatever is packed into the arena: nothing is limited, and every region is seen.
    """
    memory.clear()
    pool = pool_for(region_bytes)
    sessions = [OnnxRuntimeSession(graph, threads=threads, pool=pool) for graph in graphs]
    for session in sessions * 2:
        _run(session)
    sizes = {up_to_pieces(region_bytes) << shift for shift in range(_MOST_REGIONS)}
    found = [each for each in memory.events if each - _OVERRUN_BYTES in sizes]
    for session in sessions:
        session.close()
    return found


def _run(session: Session) -> None:
    generator = np.random.default_rng(0)
    session.run({spec.name: spec.random(generator) for spec in session.inputs})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        processors.CPUINFO = Path(sys.argv[1])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(main(json.loads(line))) + "\n")
        sys.stdout.flush()
