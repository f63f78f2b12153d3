"""What does a network that remembers lose in INT8, at first and after 100 frames?

    python -m benchmarks.video_int8 --davis FOLDER --traffic CLIP --photograph FILE [--width N]...

``unetmm-video`` as bundles in FP32 and in INT8, for onnxruntime and for TensorRT, all computed by
onnxruntime. Every bundle keeps its own memory, so what is lost can add up. White noise, sigma 30 of
255, rounded and clipped to bytes. ``still`` is one photograph, ``traffic`` the clip of a fixed
camera, ``camel`` a DAVIS sequence that training never saw, forwards and backwards. First the script
checks that two runs of one bundle are alike, and that INT8 is not FP32.

``early`` is the mean PSNR of frames 5 to 20 in dB, ``late`` that of frames 100 to 115. ``lost`` is
what is missing to FP32.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.helpers.record import RESULTS, write_csv
from edgeunet.calibration import load_calibration_set
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.errors import EdgeUnetError
from edgeunet.media.clip_reader import open_clip
from edgeunet.metrics import psnr_db
from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.photographs import list_images, read_photograph
from edgeunet.recipes import folder, load_recipe
from edgeunet.run.executor import Executor
from edgeunet.specs import Engine, Image, Precision

NAME = "video_int8"
RECIPE, MOVING, SET = "unetmm-video", "camel", "photographs"
SIGMA, FRAMES = 30.0, 116
EARLY, LATE = slice(5, 21), slice(100, FRAMES)
SIZE = (128, 192)
TARGETS: tuple[Engine | None, ...] = (None, Engine.ONNXRUNTIME, Engine.TENSORRT)
"""Of the bundles; None for FP32."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--traffic", type=Path, required=True)
    parser.add_argument("--photograph", type=Path, required=True)
    parser.add_argument("--width", type=int, action="append", help="8 and 16 unless given")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the table")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    try:
        clips = _clips(arguments.davis / MOVING, arguments.traffic, arguments.photograph)
        for width in arguments.width or (8, 16):
            rows += measure(width, clips)
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    path = write_csv(arguments.out / f"{NAME}.csv", rows)
    print_table(NAME, list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    note(f"wrote {path}")


def measure(width: int, clips: Mapping[str, Sequence[Image]]) -> list[dict[str, object]]:
    """Return a row per clip and bundle. clips: frames without noise, (H, W, 3) uint8 BGR."""
    recipe = load_recipe(RECIPE).with_width(width)
    weights = shipped_weights(RECIPE, recipe)
    graphs = graphs_of_recipe(recipe, weights)
    shipped = folder("calibration")
    runs: dict[str, Executor] = {}
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        for target in TARGETS:
            int8 = None
            if target is not None:
                int8 = Int8Order(load_calibration_set(SET), None, target, shipped=shipped)
            precision = Precision.FP32 if int8 is None else Precision.INT8
            order = ExportOrder(recipe, *SIZE, precision, weights, int8=int8)
            name = "fp32" if target is None else f"int8 for {target}"
            bundle = draft_bundle(order, Path(scratch) / f"{len(runs)}.bundle", graphs=graphs)
            runs[name] = Executor(bundle, "onnxruntime", threads=1)
        _check(runs, next(iter(clips.values())))
        for clip, frames in clips.items():
            wanted: tuple[float, float] | None = None
            for name, executor in runs.items():
                note(f"width {width}: {clip}, {name}")
                found = _psnr(executor, frames)
                early, late = fmean(found[EARLY]), fmean(found[LATE])
                wanted = (early, late) if wanted is None else wanted
                rows.append(
                    {
                        "width": width,
                        "clip": clip,
                        "bundle": name,
                        "early": round(early, 3),
                        "late": round(late, 3),
                        "lost_early": round(wanted[0] - early, 3),
                        "lost_late": round(wanted[1] - late, 3),
                    }
                )
    return rows


def _check(runs: Mapping[str, Executor], frames: Sequence[Image]) -> None:
    """Stop unless a bundle answers alike twice, and INT8 is something else than FP32."""
    found = {name: _psnr(executor, frames[:4]) for name, executor in runs.items()}
    again = {name: _psnr(executor, frames[:4]) for name, executor in runs.items()}
    if found != again:
        raise SystemExit("a bundle answers a clip otherwise the second time")
    if len({tuple(one) for one in found.values()}) != len(runs):
        raise SystemExit("two bundles of different arithmetic answer alike")


def _psnr(executor: Executor, frames: Sequence[Image]) -> list[float]:
    """Return the PSNR of every frame, in dB, from a first frame on."""
    executor.restart()
    found = []
    for index, frame in enumerate(frames):
        noisy = add_gaussian_uint8(frame, SIGMA, np.random.default_rng([2026, index]))
        found.append(psnr_db(executor.run(noisy)["denoised"][0], frame, peak=255))
    return found


def _clips(moving: Path, traffic: Path, photograph: Path) -> dict[str, list[Image]]:
    sequence = [_middle(read_photograph(p)) for p in list_images(moving, notice=note)[:FRAMES]]
    there_and_back = [*sequence, *sequence[-2::-1]]
    return {
        "still": [_middle(read_photograph(photograph))] * FRAMES,
        "traffic": _fixed_camera(traffic),
        MOVING: [there_and_back[n % len(there_and_back)] for n in range(FRAMES)],
    }


def _fixed_camera(path: Path) -> list[Image]:
    clip = open_clip(path)
    found: list[Image] = []
    while len(found) < FRAMES and (frame := clip.read()) is not None:
        found.append(_middle(frame))
    clip.close()
    return found


def _middle(image: Image) -> Image:
    """Return the middle of an RGB picture in the order of a camera, BGR."""
    top, left = ((have - want) // 2 for have, want in zip(image.shape[:2], SIZE, strict=True))
    if min(top, left) < 0:
        raise SystemExit(f"frames must have {SIZE[0]}x{SIZE[1]} pixels at least")
    return np.ascontiguousarray(image[top : top + SIZE[0], left : left + SIZE[1], ::-1])


if __name__ == "__main__":
    main()
