"""What does TensorRT's compiler say a plan takes, and did we say so before?

    python -m benchmarks.tensorrt_memory [--networks A,B] [--sizes 720x1280] [--resume]

Every network at width 16, every size, FP32 and FP16, whole frames, the default windows and the plan
that takes least: each stage is compiled by TensorRT-RTX, which needs no GPU, for compute capability
8.6, and the activation memory in its log stands beside what was predicted from the graph. A tiled
plan's total is its largest stage, because stages share one block, and everything held between
stages; it is set against whole-frame ``nafnet`` of the same size and precision. Untrained weights:
memory does not depend on them. Nothing is run: these are the compiler's figures, not measurements.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.bundle.manifest import StageEntry, TensorEntry
from edgeunet.cli.console import print_table
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.builder import build_plan
from edgeunet.engine.trt.provider import Provider, load_provider
from edgeunet.errors import EdgeUnetError
from edgeunet.graph.stages import FrameGraph, StageGraph
from edgeunet.graph.summary import TensorKind, view_of_model, write_model
from edgeunet.imitation.allocations import allocations_of
from edgeunet.imitation.tensorrt_compiler import compiled_bytes
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import Engine, Precision
from edgeunet.units import MIB, format_size, parse_size

SIZES = ("720x1280", "1080x1920")
PRECISIONS = (Precision.FP16, Precision.FP32)
WIDTH = 16
CAPABILITY = "8.6"
REFERENCE = "nafnet"
_BASE_CELLS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(recipe_names()))
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    arguments = parser.parse_args()
    provider = load_provider("tensorrt-rtx")
    facts = provenance(("tensorrt-rtx",))
    path = RESULTS / "tensorrt_memory.csv"
    rows = read_csv(path) if arguments.resume and path.is_file() else []
    done = {tuple(str(row[k]) for k in ("model", "precision", "size", "mode")) for row in rows}
    for name in arguments.networks.split(","):
        for precision in PRECISIONS:
            graph = _graph(name, precision)
            for size in arguments.sizes.split(","):
                planner = _planner(graph, name, size)
                for mode in ("whole", "tiled", "smallest"):
                    if (name, str(precision), size, mode) in done:
                        continue
                    plan = _plan(planner, mode)
                    about = {"model": name, "precision": precision, "size": size, "mode": mode}
                    rows += [{**about, **row} for row in _stages(plan, precision, provider)]
                    write_csv(path, rows, facts)
                    for row in rows[-len(plan.stages) :]:
                        print(*row.values(), flush=True)
    _summarise(rows)


def _graph(name: str, precision: Precision) -> FrameGraph:
    recipe = load_recipe(name).with_width(WIDTH)
    side = _BASE_CELLS << recipe.network.levels
    graphs = graphs_of_recipe(recipe)
    return FrameGraph(graphs.at(side, side, precision))


def _planner(graph: FrameGraph, name: str, size: str) -> Planner:
    levels = load_recipe(name).network.levels
    return Planner(
        graph,
        *parse_size(size),
        multiple=1 << levels,
        levels=levels,
        name=name,
        engine=Engine.TENSORRT,
    )


def _plan(planner: Planner, mode: str) -> FramePlan:
    if mode == "whole":
        return planner.whole()
    return planner.comfortable() if mode == "tiled" else planner.smallest()


def _stages(plan: FramePlan, precision: Precision, provider: Provider) -> list[dict[str, object]]:
    """Compile every stage of a plan; return a row for each."""
    rows = []
    for one in plan.stages:
        side = one.window or (plan.height, plan.width)
        model = one.stage.at(*side)
        view = view_of_model(model)
        live = allocations_of(view, (), 1, Engine.TENSORRT).peak_bytes(1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{one.stage.name}.onnx"
            write_model(model, path)
            started = time.monotonic()
            built = build_plan(
                path,
                _entry(one.stage, side),
                precision,
                provider,
                BuildOptions(compute_capabilities=(CAPABILITY,)),
                None,
            )
        reported = built.memory.activation_bytes or 0
        predicted = compiled_bytes(view)
        rows.append(
            {
                "stage": one.stage.name,
                "window": format_size(*side),
                "live_bytes": live,
                "predicted_bytes": predicted,
                "reported_bytes": reported,
                "prediction_ratio": round(predicted / reported, 4) if reported else "",
                "held_bytes": plan.prediction.held_bytes,
                "weight_bytes": view.bytes_of(TensorKind.WEIGHT),
                "plan_bytes": len(built.plan),
                "build_seconds": round(time.monotonic() - started, 1),
            }
        )
    return rows


def _entry(stage: StageGraph, side: tuple[int, int]) -> StageEntry:
    def entries(borders: tuple[object, ...]) -> tuple[TensorEntry, ...]:
        return tuple(
            TensorEntry(name=b.name, shape=b.shape_at(*side), dtype=b.dtype)  # type: ignore[attr-defined]
            for b in borders
        )

    return StageEntry(
        name=stage.name, graph="", inputs=entries(stage.inputs), outputs=entries(stage.outputs)
    )


def _summarise(rows: list[dict[str, object]]) -> None:
    ratios = [float(str(row["prediction_ratio"])) for row in rows if row["prediction_ratio"] != ""]
    errors = sorted(abs(ratio - 1) for ratio in ratios)
    plans: dict[tuple[str, ...], list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        plans[tuple(str(row[k]) for k in ("model", "precision", "size", "mode"))].append(row)
    totals = {key: _total(stages) for key, stages in plans.items()}
    shown = []
    for (model, precision, size, mode), total in sorted(totals.items()):
        whole = totals.get((REFERENCE, precision, size, "whole"))
        share = f"1/{whole / total:.1f}" if whole else "-"
        shown.append((model, precision, size, mode, f"{total / MIB:.1f}", share))
    print_table(
        "plans by TensorRT-RTX: largest stage and what is held",
        ("network", "precision", "size", "mode", "MiB", f"of whole {REFERENCE}"),
        shown,
        text_columns=4,
    )
    print(f"stages compiled: {len(rows)}")
    print(f"prediction, median error {statistics.median(errors):.1%}, largest {errors[-1]:.1%}, ")
    print(f"within 20 %: {sum(e <= 0.2 for e in errors)} of {len(errors)}")


def _total(stages: list[dict[str, object]]) -> int:
    return max(int(str(row["reported_bytes"])) for row in stages) + int(
        str(stages[0]["held_bytes"])
    )


if __name__ == "__main__":
    try:
        main()
    except EdgeUnetError as error:
        raise SystemExit(f"error: {error.message}\nhint: {error.hint}") from error
