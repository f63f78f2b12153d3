"""What does a network that remembers lose in INT8, at first and after 100 frames?

    python -m benchmarks.video_int8 --davis FOLDER --traffic CLIP --photograph FILE
        [--streets FOLDER] [--width N]... [--out FOLDER]

``unetmm-video`` as bundles in FP32 and in INT8, for onnxruntime and for TensorRT, all computed by
onnxruntime. Every bundle keeps its own memory, so what is lost can add up. White noise, sigma 30 of
255, rounded and clipped to bytes. ``still`` is the photograph, ``traffic`` the clip of a fixed
camera, ``camel`` a DAVIS sequence that training never saw, forwards and backwards. With
``--streets``, a folder like ``camvid/val`` with ``images/`` and ``labels/``, ``joint-video`` too:
``drive`` is its beginning, forwards and backwards, and ``drive, still`` its first frame. First the
script checks that two runs of one bundle are alike, and that INT8 is not FP32.

``early`` is the mean PSNR of frames 5 to 20 in dB, ``late`` that of frames 100 to 115. ``lost`` is
what is missing to FP32. ``miou_percent`` and ``lost_miou_percent`` are of all frames from the fifth
on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.camera_joint import streets
from benchmarks.helpers.clip_options import (
    clip_options,
    first_frames,
    middle,
    there_and_back,
    widths_of,
)
from benchmarks.helpers.record import write_csv
from edgeunet.calibration import load_calibration_set
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.errors import EdgeUnetError
from edgeunet.metrics import ConfusionMatrix, psnr_db
from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.photographs import read_photograph
from edgeunet.pixels import Bytes
from edgeunet.recipes import Recipe, folder, load_recipe
from edgeunet.run.executor import Executor
from edgeunet.specs import Engine, Image, Precision, Task

NAME = "video_int8"
RECIPE, LABELLING, MOVING, SET = "unetmm-video", "joint-video", "camel", "photographs"
SIGMA, FRAMES, SETTLED = 30.0, 116, 5
EARLY, LATE = slice(5, 21), slice(100, FRAMES)
SIZE, STREETS_SIZE = (128, 192), (256, 384)
TARGETS: tuple[Engine | None, ...] = (None, Engine.ONNXRUNTIME, Engine.TENSORRT)
"""Of the bundles; None for FP32."""


@dataclass(frozen=True)
class Clip:
    """Frames without noise, (H, W, 3) uint8 BGR, and the labels of each, (H, W), or none."""

    frames: Sequence[Image]
    labels: Sequence[Bytes] = ()


@dataclass(frozen=True)
class Answered:
    """What one bundle made of a clip: the PSNR of every frame in dB, and the mean IoU in %."""

    psnr_db: Sequence[float]
    miou_percent: float | None


def main() -> None:
    parser = clip_options(__doc__, "--davis", "--traffic", "--photograph")
    parser.add_argument("--streets", type=Path, help="labelled frames of a drive")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    try:
        clips = _clips(arguments.davis / MOVING, arguments.traffic, arguments.photograph)
        for width in widths_of(arguments):
            rows += measure(load_recipe(RECIPE).with_width(width), clips)
        if arguments.streets is not None:
            recipe = load_recipe(LABELLING)
            rows += measure(recipe, _drive(recipe, arguments.streets))
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    path = write_csv(arguments.out / f"{NAME}.csv", rows)
    print_table(NAME, list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    note(f"wrote {path}")


def measure(recipe: Recipe, clips: Mapping[str, Clip]) -> list[dict[str, object]]:
    """Return a row per clip and bundle."""
    weights = shipped_weights(recipe.name, recipe)
    graphs = graphs_of_recipe(recipe, weights)
    shipped = folder("calibration")
    runs: dict[str, Executor] = {}
    rows: list[dict[str, object]] = []
    height, width = next(iter(clips.values())).frames[0].shape[:2]
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        for target in TARGETS:
            int8 = None
            if target is not None:
                int8 = Int8Order(load_calibration_set(SET), None, target, shipped=shipped)
            precision = Precision.FP32 if int8 is None else Precision.INT8
            order = ExportOrder(recipe, height, width, precision, weights, int8=int8)
            name = "fp32" if target is None else f"int8 for {target}"
            bundle = draft_bundle(order, Path(scratch) / f"{len(runs)}.bundle", graphs=graphs)
            runs[name] = Executor(bundle, "onnxruntime", threads=1)
        _check(runs, next(iter(clips.values())))
        for clip_name, clip in clips.items():
            wanted: Answered | None = None
            for name, executor in runs.items():
                note(f"{recipe.name} {recipe.network.width}: {clip_name}, {name}")
                found = _answered(recipe, executor, clip)
                wanted = wanted or found
                rows.append(
                    {
                        "network": recipe.name,
                        "width": recipe.network.width,
                        "clip": clip_name,
                        "bundle": name,
                        **_figures(found, wanted),
                    }
                )
    return rows


def _figures(found: Answered, wanted: Answered) -> dict[str, object]:
    """Return the figures of a bundle. wanted: those of FP32."""
    figures: dict[str, object] = {}
    for name, part in (("early", EARLY), ("late", LATE)):
        level, full = fmean(found.psnr_db[part]), fmean(wanted.psnr_db[part])
        figures |= {name: round(level, 3), f"lost_{name}": round(full - level, 3)}
    miou, whole = found.miou_percent, wanted.miou_percent
    known = miou is not None and whole is not None
    figures["miou_percent"] = round(miou, 2) if miou is not None else ""
    figures["lost_miou_percent"] = round(whole - miou, 2) if known else ""  # type: ignore[operator]
    return figures


def _check(runs: Mapping[str, Executor], clip: Clip) -> None:
    """Stop unless a bundle answers alike twice, and INT8 is something else than FP32."""
    found, again = (
        {name: _psnr(executor, clip.frames[:4]) for name, executor in runs.items()}
        for _ in range(2)
    )
    if found != again:
        raise SystemExit("a bundle answers a clip otherwise the second time")
    if len({tuple(one) for one in found.values()}) != len(runs):
        raise SystemExit("two bundles of different arithmetic answer alike")


def _psnr(executor: Executor, frames: Sequence[Image]) -> list[float]:
    """Return the PSNR of every frame, in dB, from a first frame on."""
    executor.restart()
    return [
        psnr_db(executor.run(_noisy(frame, index))["denoised"][0], frame, peak=255)
        for index, frame in enumerate(frames)
    ]


def _answered(recipe: Recipe, executor: Executor, clip: Clip) -> Answered:
    if not clip.labels:
        return Answered(_psnr(executor, clip.frames), None)
    pathway = next(p for p in recipe.pathways if p.head is Task.SEGMENT)
    matrix = ConfusionMatrix(len(pathway.classes))
    executor.restart()
    found = []
    for index, (frame, labels) in enumerate(zip(clip.frames, clip.labels, strict=True)):
        outputs = executor.run(_noisy(frame, index))
        found.append(psnr_db(outputs["denoised"][0], frame, peak=255))
        if index >= SETTLED:
            matrix.update(outputs[pathway.output][0], labels)
    return Answered(found, 100 * matrix.mean_iou)


def _noisy(frame: Image, index: int) -> Image:
    return add_gaussian_uint8(frame, SIGMA, np.random.default_rng([2026, index]))


def _clips(moving: Path, traffic: Path, photograph: Path) -> dict[str, Clip]:
    sequence = there_and_back(first_frames(moving, FRAMES, *SIZE), FRAMES)
    still = [middle(read_photograph(photograph), *SIZE)] * FRAMES
    clips = {"still": still, "traffic": first_frames(traffic, FRAMES, *SIZE), MOVING: sequence}
    return {name: Clip([_bgr(frame) for frame in frames]) for name, frames in clips.items()}


def _drive(recipe: Recipe, place: Path) -> dict[str, Clip]:
    samples = streets(recipe, place, None)[:FRAMES]
    frames = [_bgr(middle(sample.clean.transpose(1, 2, 0), *STREETS_SIZE)) for sample in samples]
    labels = [middle(s.labels, *STREETS_SIZE) for s in samples if s.labels is not None]
    return {
        "drive": Clip(there_and_back(frames, FRAMES), there_and_back(labels, FRAMES)),
        "drive, still": Clip([frames[0]] * FRAMES, [labels[0]] * FRAMES),
    }


def _bgr(image: Image) -> Image:
    """Return an RGB picture in the order of a camera."""
    return np.ascontiguousarray(image[:, :, ::-1])


if __name__ == "__main__":
    main()
