"""Do windows of the shipped networks that remember say what whole frames say, over 30 frames?

    python -m benchmarks.video_windows --davis FOLDER [--width N]... [--out FOLDER]

``unetmm-video`` as a bundle of whole frames and as one of windows, in each precision, INT8 for
onnxruntime and for TensorRT. All graphs, those for TensorRT too, are computed by onnxruntime. FP32
and FP16 graphs are the same for both. The clip is ``camel``, which moves, in white noise (sigma 30)
in bytes. First the script checks that the windows are smaller than the frame, and that frames after
the first depend on the memory.

``apart`` is how many of a million bytes differ, and ``most_levels`` by how much at most. ``own``:
each bundle keeps its own memory, so that a byte that is rounded otherwise may move a block later.
``given``: the windows get the memory of the whole frame before every frame.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.helpers.clip_options import clip_options, first_frames, widths_of
from benchmarks.helpers.record import write_csv
from edgeunet.bundle import Bundle
from edgeunet.calibration import load_calibration_set
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.errors import EdgeUnetError
from edgeunet.noise_models import add_gaussian_uint8
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.recipes import folder, load_recipe
from edgeunet.run.executor import Executor
from edgeunet.specs import Engine, Image, Precision

NAME = "video_windows"
RECIPE, MOVING, SET = "unetmm-video", "camel", "photographs"
SIGMA, FRAMES = 30.0, 30
SIZE, WINDOW = (176, 336), (176, 216)
FORMS: tuple[tuple[Precision, Engine | None], ...] = (
    (Precision.FP32, None),
    (Precision.FP16, None),
    (Precision.INT8, Engine.ONNXRUNTIME),
    (Precision.INT8, Engine.TENSORRT),
)


def main() -> None:
    arguments = clip_options(__doc__, "--davis").parse_args()
    rows: list[dict[str, object]] = []
    try:
        clip = first_frames(arguments.davis / MOVING, FRAMES, *SIZE)
        frames = [
            add_gaussian_uint8(frame[:, :, ::-1], SIGMA, np.random.default_rng([2026, index]))
            for index, frame in enumerate(clip)
        ]
        for width in widths_of(arguments):
            rows += measure(width, frames)
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    path = write_csv(arguments.out / f"{NAME}.csv", rows)
    print_table(NAME, list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    note(f"wrote {path}")


def measure(width: int, frames: Sequence[Image]) -> list[dict[str, object]]:
    """Return a row per form of the network. frames: (H, W, 3) uint8 BGR, with noise."""
    recipe = load_recipe(RECIPE).with_width(width)
    weights = shipped_weights(RECIPE, recipe)
    graphs = graphs_of_recipe(recipe, weights)
    rows: list[dict[str, object]] = []
    for precision, target in FORMS:
        note(f"width {width}: {precision}" + (f" for {target}" if target else ""))
        int8 = None
        if target is not None:
            calibration = load_calibration_set(SET)
            int8 = Int8Order(calibration, None, target, shipped=folder("calibration"))
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
            order = ExportOrder(recipe, *SIZE, precision, weights, WHOLE_FRAME, int8=int8)
            whole = draft_bundle(order, Path(scratch) / "whole.bundle", graphs=graphs)
            order = ExportOrder(
                recipe, *SIZE, precision, weights, PlanRequest(window=WINDOW), int8=int8
            )
            windowed = draft_bundle(order, Path(scratch) / "windowed.bundle", graphs=graphs)
            figures = _figures(whole, windowed, frames)
        rows.append(
            {
                "network": RECIPE,
                "width": width,
                "precision": str(precision),
                "graph_for": "" if target is None else str(target),
                "windows": max(_windows(windowed)),
                "frames": len(frames),
                **figures,
            }
        )
    return rows


def _windows(bundle: Bundle) -> list[int]:
    """Return the number of windows of each stage that has some."""
    plan = bundle.manifest.plan
    if plan is None:
        raise SystemExit("a bundle has no plan")
    covers = [s.window.cover(plan.height, plan.width) for s in bundle.manifest.stages if s.window]
    return [len(rows) * len(columns) for rows, columns in covers]


@dataclass
class _Apart:
    """Counts bytes that differ."""

    bytes: int = 0
    differing: int = 0
    most: int = field(default=0)

    def add(self, given: Image, wanted: Image) -> None:
        difference = np.abs(given.astype(int) - wanted)
        self.bytes += difference.size
        self.differing += int(np.count_nonzero(difference))
        self.most = max(self.most, int(difference.max()))


def _figures(whole: Bundle, windowed: Bundle, frames: Sequence[Image]) -> dict[str, object]:
    if max(_windows(windowed)) < 2:
        raise SystemExit("the windows are as large as the frame")
    one, own, given = (
        Executor(bundle, "onnxruntime", threads=1) for bundle in (whole, windowed, windowed)
    )
    own_apart, given_apart = _Apart(), _Apart()
    for index, frame in enumerate(frames):
        if index:
            given.remember(one.memory())
        wanted = one.run(frame)["denoised"].copy()
        own_apart.add(own.run(frame)["denoised"], wanted)
        given_apart.add(given.run(frame)["denoised"], wanted)
    one.restart()
    if np.array_equal(one.run(frames[-1])["denoised"], wanted):
        raise SystemExit("the memory changes nothing")
    return {
        f"{name}_{what}": value
        for name, apart in (("own", own_apart), ("given", given_apart))
        for what, value in (
            ("apart_per_million", round(1e6 * apart.differing / apart.bytes, 2)),
            ("most_levels", apart.most),
        )
    }


if __name__ == "__main__":
    main()
