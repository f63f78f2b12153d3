"""How much processor time does planning take for graphs of hundreds and thousands of nodes?

    python -m benchmarks.planning_time

The graphs are U-Nets of ever longer runs of convolutions, 720x1280. First a small one is cut at
every level, run in windows and compared with the whole frame; if they differ, the script stops.
What is counted is the processor time of cutting, searching and predicting, which waiting for others
does not change. Writes ``results/planning_time.csv``.
"""

from __future__ import annotations

import time

import numpy as np
import onnx_ir as ir

from benchmarks.helpers.record import write_csv
from edgeunet.cli.console import note, print_table
from edgeunet.frame_windows import smallest_window
from edgeunet.graph.stages import FrameGraph
from edgeunet.planning.planner import Planner
from edgeunet.units import format_bytes
from tests.graph.foreign import Net, frame_of
from tests.graph.plain_windows import run_stages, run_whole

NAME = "planning_time"
SIZE = (720, 1280)
# Nodes of a graph, and the most seconds that planning may take.
LIMITS = {300: 2.0, 1000: 4.0, 5000: 10.0}
LEVELS = 4
CHECKED_SIZE = (96, 112)


def main() -> None:
    _check()
    rows, table = [], []
    for nodes, limit in LIMITS.items():
        model = _unet(Net(*SIZE), nodes)
        start = time.process_time()
        graph = FrameGraph(model)
        planner = Planner(graph, *SIZE, multiple=1, levels=graph.levels, name=NAME)
        plan = planner.comfortable()
        seconds = time.process_time() - start
        note(f"{len(model.graph)} nodes: {seconds:.1f} s of processor time")
        rows.append(
            {
                "nodes": len(model.graph),
                "seconds": round(seconds, 2),
                "limit_seconds": limit,
                "whole_bytes": planner.whole().prediction.total_bytes,
                "planned_bytes": plan.prediction.total_bytes,
            }
        )
        table.append(
            (
                str(len(model.graph)),
                f"{seconds:.2f} s",
                f"{limit:.0f} s",
                format_bytes(planner.whole().prediction.total_bytes),
                format_bytes(plan.prediction.total_bytes),
            )
        )
    title = "processor time of planning one frame size"
    print_table(title, ("nodes", "taken", "limit", "whole", "planned"), table, text_columns=0)
    note(f"wrote {write_csv(NAME, rows)}")


def _check() -> None:
    """Stop unless a small graph of the kind gives in windows what it gives on the whole frame."""
    model = _unet(Net(*CHECKED_SIZE), 60)
    graph = FrameGraph(model)
    frame = frame_of(*CHECKED_SIZE)
    (whole,) = run_whole(model, frame).values()
    for level in range(1, graph.levels + 1):
        stages = graph.cut(level)
        windows = []
        for stage in stages:
            rows, columns = (
                smallest_window(stage.align, halo, length)
                for halo, length in zip(
                    (stage.halo_rows, stage.halo_columns), CHECKED_SIZE, strict=True
                )
            )
            windows.append((rows, columns) if stage.windowed else None)
        given = run_stages(stages, frame, windows)[model.graph.outputs[0].name or ""]
        difference = np.abs(given - whole).max() / np.abs(whole).max()
        if difference > 1e-5:
            raise SystemExit(f"cut at level {level} it differs by {difference:.1e}")


def _unet(net: Net, nodes: int) -> ir.Model:
    """Return a U-Net of about this many nodes, as many at every level."""
    blocks = max(1, (nodes - 30) // (2 * (2 * LEVELS + 1)))
    x = net.conv(net.image(), 8)
    skips = []

    def run_of_blocks(x: str) -> str:
        for _ in range(blocks):
            x = net.block(x, net.channels[x])
        return x

    for level in range(LEVELS):
        x = run_of_blocks(x)
        skips.append(x)
        x = net.conv(x, net.channels[x] * (2 if level < 2 else 1), stride=2)
    x = run_of_blocks(x)
    for skip in reversed(skips):
        x = run_of_blocks(net.op("Add", net.up(x, net.channels[skip]), skip))
    return net.done(net.conv(x, 3))


if __name__ == "__main__":
    main()
