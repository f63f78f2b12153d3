"""Does a run keep to its byte limit, and is the prediction it was accepted on right?

    python -m benchmarks.budgets [--networks A,B] [--sizes 480x640] [--budgets 64,128] [--resume]

For every network, frame size and budget: the plan, or the refusal. Every accepted plan runs in a
fresh process to be measured, and in another one under a hard limit: onnxruntime's arena may take
what the budget leaves beside the plan's own buffers, and a run that asks for more fails. Where a
budget is refused, the smallest plan is measured: if it took 15 % less than the refused budget, the
refusal would have been wrong. Untrained weights: memory does not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.cli.console import print_table
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.network_plan import planner_of
from edgeunet.engine.onnxruntime_arenas import ARENA_LIMIT
from edgeunet.errors import BudgetError, EdgeUnetError, EngineError
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import PlanRequest
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.run.measured import FEWEST_FRAMES, measure
from edgeunet.specs import Precision
from edgeunet.units import MIB, format_size, parse_size

NETWORKS = ("unetmm", "joint", "addunet", "unetmm-naf")
SIZES = ("480x640", "720x1280", "1080x1920")
BUDGETS_MIB = (48, 56, 64, 80, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
WIDTH = 16
THREADS = 2
_ENOUGH_SHARE = 0.85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS_MIB)), help="in MiB")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    arguments = parser.parse_args()
    facts = provenance()
    path = RESULTS / "budgets.csv"
    rows = read_csv(path) if arguments.resume and path.is_file() else []
    done = {(row["model"], row["size"], str(row["budget_mib"])) for row in rows}
    for size in arguments.sizes.split(","):
        for name in arguments.networks.split(","):
            asked = map(int, arguments.budgets.split(","))
            left = [b for b in asked if (name, size, str(b)) not in done]
            if not left:
                continue
            recipe = load_recipe(name).with_width(WIDTH)
            graphs = graphs_of_recipe(recipe)
            planner = planner_of(graphs, *parse_size(size), Precision.FP32)
            known: dict[tuple[object, ...], dict[str, object]] = {}
            for budget in left:
                rows.append(_row(planner, recipe, size, budget, known))
                write_csv(path, rows, facts)
                print(*rows[-1].values(), flush=True)
    _summarise(rows)


def _row(
    planner: Planner,
    recipe: Recipe,
    size: str,
    budget_mib: int,
    known: dict[tuple[object, ...], dict[str, object]],
) -> dict[str, object]:
    """Plan and run one budget; plans that several budgets share are measured once."""
    budget = budget_mib << 20
    row: dict[str, object] = {"model": recipe.name, "size": size, "budget_mib": budget_mib}
    try:
        plan = planner.fitting(budget)
        accepted = True
    except BudgetError:
        plan, accepted = planner.smallest(), False
    key = tuple((one.stage.name, one.window) for one in plan.stages), plan.level, plan.recompute
    with tempfile.TemporaryDirectory() as folder:
        order = ExportOrder(recipe, *parse_size(size), Precision.FP32, request=PlanRequest(budget))
        bundle = draft_bundle(order, Path(folder) / "plan.bundle", plan=plan).path
        if key not in known:
            known[key] = _measured(bundle, plan)
        row |= {"answer": "accepted" if accepted else "refused", **known[key]}
        if accepted:
            row["under_cap"] = _under_cap(bundle, plan, budget)
            row["verdict"] = "held" if row["under_cap"] == "ran" else "BROKEN"
        else:
            took = float(str(row["measured_mib"]))
            row["under_cap"] = ""
            row["verdict"] = "right" if took > _ENOUGH_SHARE * budget_mib else "WRONG"
    return row


def _measured(bundle: Path, plan: FramePlan) -> dict[str, object]:
    found = measure(bundle, threads=THREADS, frames=FEWEST_FRAMES)
    predicted = plan.prediction.total_bytes
    return {
        "level": plan.level,
        "tile": "whole" if not plan.windowed else format_size(*_largest(plan)),
        "recompute_ratio": round(plan.recompute_ratio, 3),
        "predicted_mib": round(predicted / MIB, 2),
        "measured_mib": round(found.measured_bytes / MIB, 2),
        "prediction_ratio": round(predicted / found.measured_bytes, 4),
        "seconds": round(statistics.median(found.frames_seconds[1:]), 3),
    }


def _largest(plan: FramePlan) -> tuple[int, int]:
    windows = [stage.window for stage in plan.stages if stage.window is not None]
    return max(windows, key=lambda window: window[0] * window[1])


def _under_cap(bundle: Path, plan: FramePlan, budget: int) -> str:
    """Run where the arena cannot take more than the budget leaves beside the other buffers."""
    # What the arena itself adds for bookkeeping is in no limit of its own.
    beside = plan.prediction.total_bytes - plan.region_bytes
    limit = {ARENA_LIMIT: str(budget - beside)}
    try:
        measure(bundle, threads=THREADS, frames=FEWEST_FRAMES, environment=limit)
    except EngineError as error:
        return f"failed: {error.message}"
    return "ran"


def _summarise(rows: list[dict[str, object]]) -> None:
    accepted = [row for row in rows if row["answer"] == "accepted"]
    plans = {(row["model"], row["size"], row["tile"], row["predicted_mib"]): row for row in rows}
    errors = sorted(abs(float(str(row["prediction_ratio"])) - 1) for row in plans.values())
    broken = [row for row in rows if row["verdict"] in ("BROKEN", "WRONG")]
    print_table(
        "budgets, onnxruntime, fp32",
        ("question", "answer"),
        [
            ("budgets accepted, run under their cap", str(len(accepted))),
            ("budgets refused", str(len(rows) - len(accepted))),
            ("caps broken, refusals wrong", str(len(broken))),
            ("different plans measured", str(len(plans))),
            ("prediction, median error", f"{statistics.median(errors):.1%}"),
            ("prediction, largest error", f"{errors[-1]:.1%}"),
        ],
        text_columns=1,
    )
    if broken:
        raise SystemExit(f"{len(broken)} budgets were not kept: see the CSV")


if __name__ == "__main__":
    try:
        main()
    except EdgeUnetError as error:
        raise SystemExit(f"error: {error.message}\nhint: {error.hint}") from error
