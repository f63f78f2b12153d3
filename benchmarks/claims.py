"""Do the papers' claims hold at equal width, data and steps?

    python -m benchmarks.claims --photographs DIR --test DIR [--streets DIR] [--claims skips,gate]
                                [--seeds 3] [--steps N] [--width 8] [--resume]

Small networks and short schedules: what is compared is trained alike, several times from other
random weights and batches. ``psnr_db`` and ``mean_iou`` are of float noise that is not clipped.
A difference is said to be there when its 95 % interval over the seeds (Student's t over paired
runs) leaves out zero; else the arms are not told apart, which with few seeds and short trainings
does not mean that they are equal.

photographs: to train on. test: other photographs, their central 256x256 pixels are used. streets:
a folder with ``train`` and ``val``, each with ``images`` and ``labels`` (CamVid's 11 classes).
Classes of ``gates`` are drawn patterns, those held out have sigma 25.

``block`` first looks for the width at which NAF blocks take as long as residual convolutions in
onnxruntime (FP32, 256x256, two frames in turns), and then trains both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from benchmarks.helpers.block_time import equal_time
from benchmarks.helpers.claim_arms import (
    PHOTOGRAPHS,
    SIGMAS,
    Arm,
    Claim,
    block_claim,
    claims,
    gates_of,
    with_schedule,
)
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from benchmarks.helpers.short_runs import Trained, train_short
from edgeunet.cli.console import note, print_table
from edgeunet.evaluate.evaluation import Figures, Levels, evaluate
from edgeunet.evaluate.interval import estimate
from edgeunet.evaluate.named_set import open_data
from edgeunet.evaluate.protocol import NoiseKind
from edgeunet.evaluate.truth import Fit
from edgeunet.recipes import Recipe
from edgeunet.specs import Task
from edgeunet.train.run_images import Data, read_data
from edgeunet.train.validation import validate, validation_noise

TEST_SIZE = (256, 256)
STREET_FRAMES = 50
FILE = RESULTS / "claims.csv"
COLUMNS = (
    *("claim", "arm", "seed", "sigma", "psnr_db", "mean_iou", "accuracy", "gates"),
    *("params", "kmac_per_pixel", "skip_elements_per_pixel", "steps", "train_seconds", "note"),
)
Row = dict[str, object]


def main() -> None:
    arguments = _arguments()
    facts = provenance()
    rows = read_csv(FILE) if arguments.resume and FILE.is_file() else []
    known = claims(arguments.width)
    names = arguments.claims.split(",") if arguments.claims else [*known, "block"]
    for name in names:
        if name not in (*known, "block"):
            raise SystemExit(f"there is no claim {name!r}; known: {', '.join(known)}, block")
    # Seeds outside: after the first round every claim has a first answer.
    remark = ""
    for seed in range(arguments.seeds):
        for name in names:
            if name == "block" and name not in known:
                known[name], remark = _block(arguments.width, rows)
            claim = known[name]
            folders = _folders(claim, arguments)
            if folders is None:
                note(f"{name}: left out, it needs --streets")
                continue
            for arm in claim.arms:
                done = any(_key(row) == (name, arm.name, str(seed)) for row in rows)
                if not done:
                    found = _run(claim, arm, seed, folders, arguments.steps)
                    extra = remark if name == "block" else ""
                    empty = dict.fromkeys(COLUMNS, "")
                    rows += [{**empty, **row, "note": extra, **facts} for row in found]
                    write_csv(FILE, rows, facts)
    for name in names:
        if name in known:
            _answer(known[name], [row for row in rows if row["claim"] == name])
    print(FILE)


def _run(
    claim: Claim, arm: Arm, seed: int, folders: tuple[Path, Path], steps: int | None
) -> Iterator[Row]:
    """Train one arm from one seed, and yield its rows."""
    recipe = with_schedule(arm.recipe, seed, steps)
    assert recipe.train is not None
    data = _read(recipe, folders[0])
    label = f"{claim.name}, {arm.name}, seed {seed}"
    note(label)
    start = time.perf_counter()
    network = train_short(
        arm.build(seed),
        recipe,
        data.training,
        report=lambda step, loss: note(f"{label}: step {step}, loss {loss:.4f}"),
    )
    seconds = time.perf_counter() - start
    # Only drawn images have classes; photographs are held against other photographs.
    drawn = [sample for sample in data.held_out if sample.number is not None]
    accuracy = None
    if Task.CLASSIFY in recipe.tasks and drawn:
        found = validate(network, recipe.pathways, drawn, validation_noise(recipe.train)[1])
        accuracy = found.get("accuracy")
        network.eval()
    gates = " ".join(f"{level}: {value:.3f}" for level, value in gates_of(network).items())
    for figures in _figures(network, recipe, claim, folders[1]):
        yield {
            "claim": claim.name,
            "arm": arm.name,
            "seed": seed,
            "sigma": f"{figures.sigma:g}",
            "psnr_db": "" if figures.psnr_db is None else round(figures.psnr_db.mean, 4),
            "mean_iou": "" if figures.labels is None else round(figures.labels.mean_iou, 5),
            "accuracy": "" if accuracy is None else round(accuracy, 4),
            "gates": gates,
            "params": arm.params,
            "kmac_per_pixel": round(arm.macs_per_pixel / 1e3, 2),
            "skip_elements_per_pixel": round(arm.skip_elements_per_pixel, 3),
            "steps": recipe.train.steps,
            "train_seconds": round(seconds, 1),
        }


def _read(recipe: Recipe, folder: Path) -> Data:
    assert recipe.train is not None
    return read_data([folder], recipe, recipe.train, notice=note)


def _figures(network: nn.Module, recipe: Recipe, claim: Claim, test: Path) -> Sequence[Figures]:
    backend = Trained(network, recipe)
    heads = [head for head in backend.heads if head.task is not Task.CLASSIFY]
    # Frames of a drive are taken whole: classes have their places in them.
    frame = TEST_SIZE if claim.data == PHOTOGRAPHS else None
    limit = None if claim.data == PHOTOGRAPHS else STREET_FRAMES
    data = open_data(str(test), heads, frame=frame, fit=Fit.CROP, limit=limit)
    levels = Levels((NoiseKind.FLOAT,), SIGMAS[claim.data])
    return evaluate(backend, data, levels).figures


def _folders(claim: Claim, arguments: argparse.Namespace) -> tuple[Path, Path] | None:
    if claim.data == PHOTOGRAPHS:
        return arguments.photographs, arguments.test
    streets: Path | None = arguments.streets
    return None if streets is None else (streets / "train", streets / "val")


def _block(width: int, rows: Sequence[Row]) -> tuple[Claim, str]:
    """Return the claim at the NAF width of rows that are there, else at that of equal time."""
    for row in rows:
        if row["claim"] == "block" and row["arm"] == "naf":
            for naf in range(1, 2 * width + 1):
                claim = block_claim((width, naf))
                if str(claim.arms[1].params) == str(row["params"]):
                    return claim, str(row["note"])
    naf, remark = equal_time(width)
    return block_claim((width, naf)), remark


def _answer(claim: Claim, rows: Sequence[Row]) -> None:
    """Print every arm's figures, and every difference with its interval."""
    if not rows:
        return
    sigmas = list(dict.fromkeys(str(row["sigma"]) for row in rows))
    metrics = [m for m in ("psnr_db", "mean_iou", "accuracy") if any(r[m] != "" for r in rows)]
    values: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        for metric in metrics:
            if row[metric] != "":
                key = str(row["arm"]), str(row["sigma"]), metric
                values[key][str(row["seed"])] = float(str(row[metric]))
    print(f"\n{claim.name} ({claim.source}): {claim.question}")
    table = []
    for arm in claim.arms:
        for metric in metrics:
            cells = [_mean(values[arm.name, sigma, metric]) for sigma in sigmas]
            table.append([arm.name, metric, f"{arm.params}", *cells])
    print_table(None, ("arm", "figure", "parameters", *(f"sigma {s}" for s in sigmas)), table)
    table = []
    for one, other in claim.differences:
        for metric in metrics:
            cells = []
            for sigma in sigmas:
                mine, theirs = values[one, sigma, metric], values[other, sigma, metric]
                both = sorted(mine.keys() & theirs.keys())
                cells.append(_difference([mine[seed] - theirs[seed] for seed in both]))
            table.append([f"{one} - {other}", metric, *cells])
    print_table(None, ("difference", "figure", *(f"sigma {s}" for s in sigmas)), table)
    gates = defaultdict(list)
    for row in rows:
        if row["gates"] and row["sigma"] == sigmas[0]:
            gates[str(row["arm"])].append(str(row["gates"]))
    for name, texts in gates.items():
        print(f"gates of {name}: " + " | ".join(texts))


def _mean(values: dict[str, float]) -> str:
    return f"{statistics.fmean(values.values()):.3f}" if values else ""


def _difference(values: Sequence[float]) -> str:
    found = estimate(values)
    if found is None:
        return ""
    text = f"{found.mean:+.3f}"
    if found.half_width is None:
        return f"{text} (1 seed)"
    verdict = "" if abs(found.mean) > found.half_width else ", not told apart"
    return f"{text} ± {found.half_width:.3f}{verdict}"


def _key(row: Row) -> tuple[str, str, str]:
    return str(row["claim"]), str(row["arm"]), str(row["seed"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", type=Path, required=True, help="to train on")
    parser.add_argument("--test", type=Path, required=True, help="other photographs")
    parser.add_argument("--streets", type=Path, help="frames with label maps")
    parser.add_argument("--claims", help="names with commas; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="another length than each claim's own")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--resume", action="store_true", help="keep the runs that are there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
