"""What the stages of a bundle allocate: ``python -m tests.emulated.traced ORDER``, in JSON.

Every stage runs once on random numbers, without an arena; then all of them in turn twice in one
arena of a given size, which must be enough. It answers with one line of JSON.
"""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from edgeunet import processors
from edgeunet.bundle import open_bundle
from edgeunet.engine import onnxruntime_session
from edgeunet.engine.onnxruntime_session import OnnxRuntimeSession
from edgeunet.imitation.onnxruntime_arena import pool_for, up_to_pieces
from edgeunet.specs import Session
from tests.emulated.aligned_memory import AlignedMemory

# On ARM64 every allocation from the system is this much larger than what was asked for.
_OVERRUN_BYTES = 30 if platform.machine() == "aarch64" else 0

_MOST_REGIONS = 8


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Trace a bundle.

    bundle: a folder. folder: to write into. cpuinfo: a text instead of this system's, or None.
    region_bytes: of the arena; None to leave that out. threads: of the CPU.
    """
    if order["cpuinfo"] is not None:
        processors.CPUINFO = Path(order["folder"]) / "cpuinfo"
        processors.CPUINFO.write_text(order["cpuinfo"])
    bundle = open_bundle(Path(order["bundle"]))
    graphs = {stage.name: bundle.file(stage.graph) for stage in bundle.manifest.stages}
    threads = order["threads"]
    with AlignedMemory() as memory:
        stages = {name: _traced(graph, threads, memory) for name, graph in graphs.items()}
        regions = None
        if order["region_bytes"] is not None:
            regions = _regions(list(graphs.values()), threads, order["region_bytes"], memory)
    return {
        "processor": processors.this_processor().name,
        "stages": stages,
        "regions": regions,
    }


def _traced(graph: Path, threads: int, memory: AlignedMemory) -> dict[str, list[int]]:
    """Return the weights that a stage packs into its arena, and the events of a run."""
    memory.clear()
    with OnnxRuntimeSession(graph, threads=threads, pool=pool_for(1 << 28)):
        # With an arena, only weights in the order of the file are asked of the system.
        in_file = Counter(memory.live_bytes())
    memory.clear()
    with _without_arena(graph, threads) as session:
        kept = Counter(memory.live_bytes()) - in_file
        memory.clear()
        _run(session)
        events = [each - _OVERRUN_BYTES if each > 0 else each for each in memory.events]
    return {"kept": [each - _OVERRUN_BYTES for each in kept.elements()], "events": events}


def _without_arena(graph: Path, threads: int) -> OnnxRuntimeSession:
    usual = onnxruntime_session._options

    def options(threads: int | None) -> Any:
        found = usual(threads)
        found.enable_cpu_mem_arena = False
        found.add_session_config_entry("session.use_env_allocators", "0")
        return found

    onnxruntime_session._options = options
    try:
        return OnnxRuntimeSession(graph, threads=threads)
    finally:
        onnxruntime_session._options = usual


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
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
