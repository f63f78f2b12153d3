"""Which region a bundle needs on a processor: ``python -m tests.emulated.region ORDER``, in JSON.

The region is onnxruntime's arena, packed weights included. Every trial opens the bundle with a
region of a size and a hard limit of the same size, and runs a frame twice.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeunet import processors
from edgeunet.bundle import Bundle, open_bundle
from edgeunet.engine.onnxruntime_arenas import ARENA_LIMIT
from edgeunet.errors import EngineError
from edgeunet.run.executor import Executor

_LARGEST = 4.0
_STEP = 0.8


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Find the smallest region.

    bundle: a folder. cpuinfo: a text instead of
    this system's, or None. folder: to write it into. accuracy: a share of the result, 0..1, by
    which it may be too large.
    """
    if order["cpuinfo"] is not None:
        processors.CPUINFO = Path(order["folder"]) / "cpuinfo"
        processors.CPUINFO.write_text(order["cpuinfo"])
    bundle = open_bundle(Path(order["bundle"]))
    predicted_bytes = bundle.manifest.memory.region_bytes
    needed_bytes = smallest(
        lambda size_bytes: serves(bundle, size_bytes), predicted_bytes, order["accuracy"]
    )
    return {
        "processor": processors.this_processor().name,
        "predicted_bytes": predicted_bytes,
        "needed_bytes": needed_bytes,
    }


def smallest(works: Callable[[int], bool], start: int, accuracy: float) -> int:
    """Return the smallest size that works, going down from above ``start``.

    A limit below the packed weights is none: onnxruntime's subtraction wraps around. So sizes are
    tried downwards, and never below the first one that fails.
    """
    high = int(start * _LARGEST)
    if not works(high):
        raise EngineError(f"{high} bytes are not enough", hint="raise the largest size")
    while works(int(high * _STEP)):
        high = int(high * _STEP)
    low = int(high * _STEP)
    while high - low > accuracy * high:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high


def serves(bundle: Bundle, size_bytes: int) -> bool:
    """Whether two frames run in one region of a size."""
    os.environ[ARENA_LIMIT] = str(size_bytes)
    memory = msgspec.structs.replace(bundle.manifest.memory, region_bytes=size_bytes)
    manifest = msgspec.structs.replace(bundle.manifest, memory=memory)
    generator = np.random.default_rng(0)
    try:
        executor = Executor(Bundle(bundle.path, manifest), "onnxruntime", threads=1)
    except EngineError:
        return False
    try:
        shape = (executor.height, executor.width, 3)
        for _ in range(2):
            executor.run(generator.integers(0, 256, shape, dtype=np.uint8))
    except EngineError:
        return False
    finally:
        executor.close()
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
