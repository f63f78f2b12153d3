"""What does INT8 lose, save and gain, beside FP32 and FP16?

    python -m benchmarks.int8 --kodak FOLDER [--camvid FOLDER] [--only NAME] [--limit N]
        [--labelled-limit N] [--quality | --costs] [--keep FOLDER]

Every network at width 16 with its shipped weights, calibrated on the shipped set, which has none
of these images. ``results/int8.csv`` has a row per network, form (fp32, fp16, int8 for
onnxruntime, int8 for tensorrt, int8 with --max-drop 0.1dB) and run (whole, tiled).

PSNR is in noise clipped to 8 bits, at sigma 15, 25 and 50, over the centres of the first N images;
mIoU (networks with a label map) in the same noise over the centres of ``labelled_images`` frames of
CamVid, and what is lost of it in points. FP16 and TensorRT's graphs run in
onnxruntime, which computes the same graph in floats: a simulation. All forms of a network see the
same pixels. Losses are to FP32 of the same run. Bytes are of frames of 1080x1920, computed from the
graph; ``predicted_bytes``: what the engine the graph is for is predicted to take, input and outputs
included. --max-drop has quality alone. ``frame_ms``, with --costs alone: the median of frames of
512x512, the forms in turn, on onnxruntime.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import Manifest
from edgeunet.calibration import calibration_path, read_set
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.int8_order import Int8Order
from edgeunet.evaluate.protocol import SIGMAS, NoiseKind, add_noise
from edgeunet.label_maps import read_labels
from edgeunet.metrics import ConfusionMatrix, psnr_db
from edgeunet.photographs import list_images, read_photograph
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.run.executor import Executor
from edgeunet.specs import Engine, Precision, Task

NAME = "int8"
NETWORKS = ("unetmm", "joint", "unetmm-naf")
SIZE = (256, 256)
LABELLED_SIZE = (352, 480)
LARGE = (1080, 1920)
TILE = (256, 256)
SET = "photographs"
_WARM_UP, _RUNS = 2, 9

COLUMNS = (
    *("model", "form", "run", "images"),
    *(f"{what}_{sigma:g}_db" for what in ("psnr", "loss") for sigma in SIGMAS),
    "labelled_images",
    *(f"miou_{sigma:g}_percent" for sigma in SIGMAS),
    *(f"miou_loss_{sigma:g}_points" for sigma in SIGMAS),
    *("macs_share", "weight_bytes", "held_bytes", "skip_bytes"),
    *("peak_live_bytes", "predicted_bytes", "frame_ms", "times_as_fast"),
)

Row = dict[str, object]


@dataclass(frozen=True)
class Form:
    name: str
    precision: Precision
    engine: Engine = Engine.ONNXRUNTIME
    max_drop_db: float | None = None

    def order(self, folder: Path) -> Int8Order | None:
        if self.precision is not Precision.INT8:
            return None
        path = calibration_path(SET)
        return Int8Order(read_set(path), folder, self.engine, None, self.max_drop_db, path.parent)


FORMS = (
    Form("fp32", Precision.FP32),
    Form("fp16", Precision.FP16, Engine.TENSORRT),
    Form("int8 onnxruntime", Precision.INT8),
    Form("int8 tensorrt", Precision.INT8, Engine.TENSORRT),
    Form("int8 onnxruntime, max-drop 0.1dB", Precision.INT8, Engine.ONNXRUNTIME, 0.1),
)
WHOLE = "whole"
RUNS = {WHOLE: WHOLE_FRAME, "tiled": PlanRequest(window=TILE)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kodak", type=Path, required=True)
    parser.add_argument("--camvid", type=Path, help="a folder with images/ and labels/")
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--labelled-limit", type=int, default=40)
    parser.add_argument("--costs", action="store_true", help="time forms in rows that exist")
    parser.add_argument("--quality", action="store_true", help="no bytes: PSNR and mIoU alone")
    parser.add_argument("--keep", type=Path, help="a folder for bundles and ranges")
    arguments = parser.parse_args()
    path = RESULTS / f"{NAME}.csv"
    rows = read_csv(path) if path.is_file() else []
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        folder = arguments.keep or Path(scratch)
        for name in NETWORKS:
            recipe = load_recipe(name)
            weights = shipped_weights(name, recipe)
            if arguments.only not in (None, name) or weights is None:
                continue
            if arguments.costs:
                _time(rows, recipe, weights, folder)
                continue
            rows = [row for row in rows if row["model"] != name]
            limits = arguments.limit, arguments.labelled_limit
            given = arguments.kodak, arguments.camvid, limits
            for row in _measure(recipe, weights, *given, folder, bytes_too=not arguments.quality):
                rows.append(row)
                write_csv(path, rows, {})
    write_csv(path, rows, {})
    columns = [c for c in rows[0] if c not in provenance()]
    print_table("INT8", columns, [[str(r.get(c, "")) for c in columns] for r in rows])


def _measure(
    recipe: Recipe,
    weights: Path,
    kodak: Path,
    camvid: Path | None,
    limits: tuple[int, int],
    folder: Path,
    *,
    bytes_too: bool,
) -> Iterator[Row]:
    """Yield a row per form and run: FP32 first, the others against it.

    limits: how many images PSNR is of, and how many labelled ones mIoU.
    """
    limit, labelled_limit = limits
    before: Row = {}
    for form in FORMS:
        note(f"{recipe.name}: {form.name}")
        bundle = _bundle(form, recipe, weights, SIZE, WHOLE_FRAME, folder)
        figures: Row = {"images": limit, **quality(bundle, recipe, kodak, limit)}
        if Task.SEGMENT in recipe.tasks and camvid is not None:
            labelled = _bundle(form, recipe, weights, LABELLED_SIZE, WHOLE_FRAME, folder)
            figures |= _miou(labelled, recipe, camvid, labelled_limit)
        before = before or dict(figures)
        for sigma in SIGMAS:
            for key, lost in (
                (f"psnr_{sigma:g}_db", f"loss_{sigma:g}_db"),
                (f"miou_{sigma:g}_percent", f"miou_loss_{sigma:g}_points"),
            ):
                if key in figures:
                    drop = float(str(before[key])) - float(str(figures[key]))
                    figures[lost] = round(drop, 4)
        quantization = bundle.manifest.quantization
        share = "" if quantization is None else quantization.macs_share
        for run, request in RUNS.items():
            costs: Row = {}
            if bytes_too and form.max_drop_db is None:
                large = _bundle(form, recipe, weights, LARGE, request, folder)
                costs = _bytes(large.manifest)
            elif run != WHOLE:
                continue
            row: Row = {"model": recipe.name, "form": form.name, "run": run, **figures}
            yield {
                **dict.fromkeys(COLUMNS, ""),
                **row,
                "macs_share": share,
                **costs,
                **provenance(),
            }


def _bytes(manifest: Manifest) -> Row:
    memory, plan = manifest.memory, manifest.plan
    whole = (memory.region_bytes or memory.peak_live_bytes) + memory.io_bytes
    return {
        "weight_bytes": memory.weight_bytes,
        "held_bytes": "" if plan is None else memory.held_bytes,
        "skip_bytes": memory.skip_bytes,
        "peak_live_bytes": memory.peak_live_bytes,
        "predicted_bytes": whole if plan is None else plan.predicted_bytes,
    }


def _bundle(
    form: Form,
    recipe: Recipe,
    weights: Path,
    size: tuple[int, int],
    request: PlanRequest,
    folder: Path,
) -> Bundle:
    order = ExportOrder(
        recipe, *size, form.precision, weights, request=request, int8=form.order(folder)
    )
    windowed = "whole" if request is WHOLE_FRAME else "tiled"
    name = f"{recipe.name}-{FORMS.index(form)}-{size[0]}-{windowed}.bundle"
    return draft_bundle(order, folder / name)


def quality(bundle: Bundle, recipe: Recipe, folder: Path, limit: int) -> Row:
    output = next(p.output for p in recipe.pathways if p.head is Task.DENOISE)
    executor = Executor(bundle)
    try:
        found: Row = {}
        for sigma in SIGMAS:
            values = []
            for index, path in enumerate(list_images(folder, notice=note)[:limit]):
                clean = _centre(read_photograph(path), SIZE).transpose(2, 0, 1)
                clean = np.ascontiguousarray(clean)
                noisy = add_noise(clean, NoiseKind.UINT8, sigma, seed=0, index=index)
                answer = executor.run(_frame(noisy))[output][0]
                values.append(psnr_db(answer[:, :, ::-1].transpose(2, 0, 1), clean, peak=255.0))
            found[f"psnr_{sigma:g}_db"] = round(fmean(values), 4)
        return found
    finally:
        executor.close()


def _miou(bundle: Bundle, recipe: Recipe, folder: Path, limit: int) -> Row:
    """Return the mIoU in % at every sigma, over frames spread over the set."""
    pathway = next(p for p in recipe.pathways if p.head is Task.SEGMENT)
    images = list_images(folder / "images", notice=note)
    count = min(limit, len(images))
    chosen = [turn * len(images) // count for turn in range(count)]
    matrices = {sigma: ConfusionMatrix(len(pathway.classes)) for sigma in SIGMAS}
    executor = Executor(bundle)
    try:
        for index in chosen:
            photograph = read_photograph(images[index])
            clean = _centre(photograph, LABELLED_SIZE).transpose(2, 0, 1)
            clean = np.ascontiguousarray(clean)
            path = folder / "labels" / f"{images[index].stem}.png"
            size = photograph.shape[0], photograph.shape[1]
            truth = read_labels(path, pathway.labels, size, images[index].name)
            for sigma, matrix in matrices.items():
                noisy = add_noise(clean, NoiseKind.UINT8, sigma, seed=0, index=index)
                answer = executor.run(_frame(noisy))[pathway.output][0]
                matrix.update(answer, _centre(truth, LABELLED_SIZE))
    finally:
        executor.close()
    found: Row = {f"miou_{s:g}_percent": round(100 * m.mean_iou, 3) for s, m in matrices.items()}
    return {"labelled_images": len(chosen), **found}


def _time(rows: list[Row], recipe: Recipe, weights: Path, folder: Path) -> None:
    """Put milliseconds of frames of 512x512 in the rows, every form's run in turn."""
    forms = [f for f in FORMS if f.engine is Engine.ONNXRUNTIME and f.max_drop_db is None]
    opened = {
        (form.name, run): Executor(_bundle(form, recipe, weights, (512, 512), request, folder))
        for form in forms
        for run, request in RUNS.items()
    }
    frame = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in opened}
    for turn in range(_WARM_UP + _RUNS):
        for key, executor in opened.items():
            start = time.perf_counter()
            executor.run(frame)
            if turn >= _WARM_UP:
                seconds[key].append(time.perf_counter() - start)
    for executor in opened.values():
        executor.close()
    for row in rows:
        key = (str(row["form"]), str(row["run"]))
        if row["model"] == recipe.name and key in seconds:
            row["frame_ms"] = round(1e3 * median(seconds[key]), 1)
            pairs = zip(seconds["fp32", key[1]], seconds[key], strict=True)
            row["times_as_fast"] = round(median(one / other for one, other in pairs), 3)


def _centre(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    top, left = ((have - want) // 2 for have, want in zip(pixels.shape[:2], size, strict=True))
    return pixels[top : top + size[0], left : left + size[1]]


def _frame(planes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(planes[::-1].transpose(1, 2, 0))


if __name__ == "__main__":
    main()
