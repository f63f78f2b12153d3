"""Runs on an emulated processor: ``python -m tests.emulated.inside ORDER``, the order in JSON.

It answers with one line of JSON and leaves arrays in ``answers.npz`` in the order's folder. NumPy,
onnxruntime and edgeunet are all that it needs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgeunet import processors
from edgeunet.bundle import open_bundle
from edgeunet.engine import open_session
from edgeunet.run.executor import Executor

ANSWERS = "answers.npz"
GIVEN = "given.npz"


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Run what is ordered.

    folder: has ``given.npz`` and gets ``answers.npz``. cpuinfo: a text instead of this system's.
    graph: an ONNX file, fed with the arrays; or bundle: a folder, which runs on each array.
    """
    folder = Path(order["folder"])
    if order["cpuinfo"] is not None:
        processors.CPUINFO = folder / "cpuinfo"
        processors.CPUINFO.write_text(order["cpuinfo"])
    given = dict(np.load(folder / GIVEN))
    answers: dict[str, Any] = {}
    notes: list[str] = []
    if "graph" in order:
        with open_session(Path(order["graph"]), threads=1) as session:
            answers.update(session.run(given))
    else:
        executor = Executor(
            open_bundle(Path(order["bundle"])), "onnxruntime", threads=1, on_note=notes.append
        )
        for name, frame in given.items():
            for output, array in executor.run(frame).items():
                answers[f"{name}/{output}"] = array.copy()
    np.savez(folder / ANSWERS, **answers)
    return {"processor": processors.this_processor().name, "notes": notes}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
