"""Does a run keep to its byte limit, and is a refusal right?

    python -m benchmarks.budgets [--cases unetmm:fp32:240x320,joint:int8:240x320:avx2] [--resume]

For every network, precision and frame size: budgets from the least that fits to one for the whole
frame, and two that are refused. Plans are for one processor, so that nothing is to spare because
another one takes more: this one, or one with AVX2, whose kernels run here on a copy of onnxruntime
that is told of fewer features (``make emulated`` makes it). Every accepted plan runs in a fresh
process with a thread for each core, and what was measured is compared with what is predicted for
as many threads. Plans are made for four threads: ``with_four_mib`` is what was measured, and what
is predicted for those that are missing. A budget is kept if this is within it, and if onnxruntime's
arena asked the system for no second region: a limit that is hard for INT8, too
(``helpers/regions.py``). A refusal is wrong if the smallest plan took 15 % less than was refused.
``--resume`` keeps the rows that are there.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from benchmarks.helpers.regions import Taken, taken_by
from edgeunet.calibration import calibration_path, read_set
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.network_plan import planner_of
from edgeunet.convert.quantizing import make_quantizer
from edgeunet.errors import BudgetError, EdgeUnetError
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import PlanRequest
from edgeunet.processors import processors_of
from edgeunet.recipes import load_recipe
from edgeunet.specs import Engine, Precision
from edgeunet.units import MIB, format_size, parse_size
from tests.emulated.machines import machine

HERE = "here"
CASES = (
    *(
        f"{name}:{kind}:240x320"
        for name in ("unetmm", "joint", "unetmm-naf")
        for kind in ("fp32", "int8")
    ),
    "unet:fp32:240x320",
    *(f"unetmm:{kind}:480x640" for kind in ("fp32", "int8")),
    *(f"joint:{kind}:480x640" for kind in ("fp32", "int8")),
    *(
        f"{name}:{kind}:240x320:avx2"
        for name in ("unetmm", "joint", "unetmm-naf")
        for kind in ("fp32", "int8")
    ),
    *(f"unetmm:{kind}:720x1280" for kind in ("fp32", "int8")),
)
SET = "photographs"
# Accepted budgets of a case, and the shares of the least that are refused.
_ACCEPTED = 6
_REFUSED = (0.99, 0.85)
_ENOUGH_SHARE = 0.85

Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    arguments = parser.parse_args()
    facts = provenance()
    path = RESULTS / "budgets.csv"
    rows = read_csv(path) if arguments.resume and path.is_file() else []
    named = ("model", "precision", "size", "processor")
    done = {tuple(str(row[name]) for name in named) for row in rows}
    for case in arguments.cases.split(","):
        words = case.split(":")
        if (*words[:3], *(words[3:] or [HERE])) in done:
            continue
        note(case)
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            rows += _Case(case, Path(folder)).rows()
        write_csv(path, rows, facts)
    _summarise(rows)


class _Case:
    """A network in a precision, at a frame size; plans that budgets share are measured once."""

    def __init__(self, words: str, folder: Path) -> None:
        name, precision, size, *others = words.split(":")
        self._cpu = others[0] if others else HERE
        self._machine = machine(self._cpu)
        self._recipe, self._size = load_recipe(name), parse_size(size)
        self._precision, self._folder = Precision(precision), folder
        weights = shipped_weights(name, self._recipe)
        int8 = None
        if self._precision is Precision.INT8:
            calibration = calibration_path(SET)
            frames = read_set(calibration)
            int8 = Int8Order(frames, folder, Engine.ONNXRUNTIME, None, None, calibration.parent)
        self._order = ExportOrder(
            self._recipe,
            *self._size,
            self._precision,
            weights=weights,
            request=PlanRequest(auto=True),
            int8=int8,
            cpu=self._cpu,
        )
        self._graphs = graphs_of_recipe(self._recipe, weights)
        quantizer = None if int8 is None else make_quantizer(int8, self._graphs)
        self._planner: Planner = planner_of(
            self._graphs, *self._size, self._precision, quantizer, processors_of(self._cpu)
        )
        self._known: dict[object, Taken] = {}

    def rows(self) -> list[Row]:
        return [self._row(budget) for budget in self._budgets()]

    def _budgets(self) -> Iterator[int]:
        least = self._planner.smallest().prediction.total_bytes
        most = self._planner.whole().prediction.total_bytes
        yield from (int(least * share) for share in _REFUSED)
        for step in range(_ACCEPTED):
            yield round(least * (most / least) ** (step / (_ACCEPTED - 1)))

    def _row(self, budget_bytes: int) -> Row:
        try:
            plan, answer = self._planner.fitting(budget_bytes), "accepted"
        except BudgetError:
            plan, answer = self._planner.smallest(), "refused"
        taken = self._taken_by(plan)
        needed = taken.measured_bytes + taken.further_bytes
        if answer == "accepted":
            kept = len(taken.regions_bytes) == 1 and needed <= budget_bytes
            verdict = "kept" if kept else "BROKEN"
        else:
            verdict = "right" if needed > _ENOUGH_SHARE * budget_bytes else "WRONG"
        return {
            "model": self._recipe.name,
            "precision": str(self._precision),
            "size": format_size(*self._size),
            "processor": self._cpu,
            "budget_mib": round(budget_bytes / MIB, 3),
            "answer": answer,
            "stages": len(plan.stages),
            "recompute_ratio": round(plan.recompute_ratio, 3),
            "predicted_mib": round(taken.predicted_bytes / MIB, 2),
            "measured_mib": round(taken.measured_bytes / MIB, 2),
            "with_four_mib": round(needed / MIB, 2),
            "prediction_ratio": round(taken.predicted_bytes / taken.measured_bytes, 4),
            "regions": len(taken.regions_bytes),
            "verdict": verdict,
        }

    def _taken_by(self, plan: FramePlan) -> Taken:
        key = plan.level, plan.relays, *((one.stage.name, one.window) for one in plan.stages)
        if key not in self._known:
            target = self._folder / f"{len(self._known)}.bundle"
            bundle = draft_bundle(self._order, target, graphs=self._graphs, plan=plan)
            self._known[key] = taken_by(bundle.path, self._machine)
            shutil.rmtree(target)
        return self._known[key]


def _summarise(rows: list[Row]) -> None:
    accepted = [row for row in rows if row["answer"] == "accepted"]
    errors = sorted(
        abs(float(error) - 1) for error in {str(row["prediction_ratio"]): None for row in rows}
    )
    broken = [row for row in rows if row["verdict"] in ("BROKEN", "WRONG")]
    print_table(
        "budgets on onnxruntime",
        ("question", "answer"),
        [
            ("budgets accepted", str(len(accepted))),
            ("budgets refused", str(len(rows) - len(accepted))),
            ("broken, or wrongly refused", str(len(broken))),
            ("different plans", str(len(errors))),
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
