"""Where does the memory of a whole-frame run go, and what does an engine make of it?

    python -m benchmarks.whole_frame [--size 480x640] [--width 16]

For each network at equal width: the figures computed from the graph, and what onnxruntime took
in a process of its own. Untrained weights: memory and time do not depend on them. Before anything
is measured the graph's output is compared with torch. Times are ratios to the first network,
interleaved with it, because machines are noisy.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import write_csv
from edgeunet.cli.console import print_table
from edgeunet.convert.network_graph import frame_module, module_to_graph, network_for_export
from edgeunet.engine import open_session
from edgeunet.graph.view import view_of_model, write_model
from edgeunet.memory.report import analyse
from edgeunet.recipes import load_recipe
from edgeunet.specs import Array, Precision, Session
from edgeunet.stream.measure import measure
from edgeunet.units import MIB, parse_size

NETWORKS = ("nafnet", "unetmm-full", "unet", "addunet", "unetmm-naf", "unetmm", "joint")
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="480x640")
    parser.add_argument("--width", type=int, default=16)
    arguments = parser.parse_args()
    height, width = parse_size(arguments.size)
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for name in NETWORKS:
            recipe = load_recipe(name).with_width(arguments.width)
            module = frame_module(network_for_export(recipe, None), recipe)
            model = module_to_graph(module, recipe, height, width, Precision.FP32)
            report = analyse(view_of_model(model), model=name)
            graph = Path(folder) / f"{name}.onnx"
            write_model(model, graph)
            session = open_session(graph)
            with torch.inference_mode():
                wanted = module(torch.from_numpy(frame))[0].numpy()
            given = session.run({"frame": frame})[recipe.pathways[0].output]
            wrong = float(np.mean(given != wanted))
            if wrong > 1e-3:
                raise SystemExit(f"{name}: {wrong:.2%} of the output differs from torch")
            first = first or session
            measured = measure(graph)
            rows.append(
                {
                    "model": name,
                    "width": arguments.width,
                    "size": arguments.size,
                    "skip_mib": round(report.skip_bytes / MIB, 2),
                    "peak_live_mib": round(report.peak_live_bytes / MIB, 2),
                    "arena_mib": round(report.arena_bytes / MIB, 2),
                    "measured_first_mib": round(measured.first_frame_bytes / MIB, 1),
                    "measured_steady_mib": round(measured.steady_bytes / MIB, 1),
                    "time_ratio": round(time_ratio(session, first, frame), 2),
                }
            )
    columns = list(rows[0])
    print_table("whole frame, fp32", columns, [[str(v) for v in row.values()] for row in rows])
    print(write_csv("whole_frame", rows))


def time_ratio(session: Session, reference: Session, frame: Array) -> float:
    """Return the median over rounds of this session's time over the reference's."""
    ratios = []
    for _ in range(ROUNDS):
        times = []
        for one in (session, reference):
            start = time.perf_counter()
            one.run({"frame": frame})
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
    return float(np.median(ratios))


if __name__ == "__main__":
    main()
