"""What does ``joint`` label, and how clean does it make the image, where a camera sees little?

    python -m benchmarks.camera_joint --streets FOLDER [--weights FILE]... [--frames N]

streets: a folder with ``images/`` and ``labels/`` (CamVid's 11 classes), as ``camvid/val``.
weights: of ``joint`` at its own width, the shipped ones unless given; all others are compared with
the first.

Levels, all over the same frames and the same draws for every file of weights. ``camera``: the
centre of a frame through the simulated camera (``edgeunet/camera/chain.py``), everything drawn
from the ranges of ``[train.camera]`` but three: the gain of shot noise is the level's, the exposure
is two stops below full scale, and the camera makes the image as bright again as it would have been.
Nothing is resized, because labels belong to pixels. The network gets 8 bits. ``float``: whole
frames in white noise, as the README reports it.

PSNR is to the clean image that the camera makes, mIoU in % over all pixels that have a class.
``miou_of_clean_percent`` is of the labels of that clean image: what the noise does not take.
``psnr_gain_db`` and ``miou_gain_points`` are over the first file; the half width of the 95 %
interval takes frames as independent, those of one drive are not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import msgspec
import numpy as np

from benchmarks.helpers.record import RESULTS, write_csv
from edgeunet.camera.chain import MARGIN, draw_shot, take
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.errors import EdgeUnetError
from edgeunet.evaluate.image_folders import open_folder
from edgeunet.evaluate.interval import estimate
from edgeunet.evaluate.protocol import NoiseKind, Planes, add_noise
from edgeunet.evaluate.torch_backend import TorchBackend
from edgeunet.evaluate.truth import Fit, Sample, cropped
from edgeunet.files import sha256_of
from edgeunet.metrics import ConfusionMatrix, Labels, psnr_db
from edgeunet.pixels import as_bytes, as_floats
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.schedules import CameraTable
from edgeunet.specs import Task

NAME = "camera_joint"
GAINS = (2e-3, 8e-3, 2e-2)
EXPOSURE = -2.0
SIGMAS = (15.0, 30.0, 45.0, 60.0)
SCENE = 352
"""Side of the square that the camera sees, margins included, in pixels."""


@dataclass(frozen=True)
class Level:
    """noise: ``camera`` or ``float``. strength: the gain, or sigma in 8-bit units."""

    noise: str
    strength: float


LEVELS = (
    *(Level("camera", gain) for gain in GAINS),
    *(Level("float", sigma) for sigma in SIGMAS),
)


@dataclass(frozen=True)
class View:
    """What a network is given of one frame, and the truth.

    noisy: (3, H, W), uint8 or float32. clean: (3, H, W) float32, 0..1. labels: (H, W).
    """

    noisy: Planes
    clean: Planes
    labels: Labels


@dataclass
class Meter:
    """What one file of weights gives at one level."""

    classes: int
    noisy_db: list[float] = field(default_factory=list)
    clean_db: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.labels = ConfusionMatrix(self.classes)
        self.labels_of_clean = ConfusionMatrix(self.classes)

    def add(self, backend: TorchBackend, view: View) -> None:
        answer = backend.run(view.noisy)
        assert answer.denoised is not None
        assert answer.labels is not None
        self.noisy_db.append(psnr_db(as_floats(view.noisy), view.clean))
        self.clean_db.append(psnr_db(as_floats(answer.denoised), view.clean))
        self.labels.update(answer.labels, view.labels)
        unharmed = backend.run(view.clean).labels
        assert unharmed is not None
        self.labels_of_clean.update(unharmed, view.labels)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streets", type=Path, required=True)
    parser.add_argument("--weights", type=Path, action="append", help="shipped ones unless given")
    parser.add_argument("--frames", type=int, help="as many, spread over the folder")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the table")
    arguments = parser.parse_args()
    recipe = load_recipe("joint")
    shipped = shipped_weights(recipe.name, recipe)
    files = arguments.weights or [shipped]
    if missing := [path for path in files if path is None or not path.is_file()]:
        parser.error(f"there are no weights {str(missing[0])!r}")
    try:
        rows = compare(recipe, files, streets(recipe, arguments.streets, arguments.frames))
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    path = write_csv(arguments.out / f"{NAME}.csv", rows)
    columns = [name for name in rows[0] if name != "weights_sha256"]
    print_table(NAME, columns, [[str(row[name]) for name in columns] for row in rows])
    print(path)


def streets(recipe: Recipe, folder: Path, frames: int | None) -> list[Sample]:
    """Return labelled frames, as many as asked for, evenly spread."""
    labels = next(p.labels for p in recipe.pathways if p.head is Task.SEGMENT)
    data = open_folder(folder, classes=(), segments=labels, frame=None, fit=Fit.CROP)
    samples = list(data)
    if any(sample.labels is None for sample in samples):
        raise SystemExit(f"{folder} has no labels: it needs images/ and labels/")
    count = min(frames or len(samples), len(samples))
    return [samples[turn * len(samples) // count] for turn in range(count)]


def compare(
    recipe: Recipe, files: Sequence[Path], samples: Sequence[Sample]
) -> list[dict[str, object]]:
    """Return a row per level and file of weights."""
    classes = next(len(p.classes) for p in recipe.pathways if p.head is Task.SEGMENT)
    backends = [TorchBackend(recipe, path) for path in files]
    rows: list[dict[str, object]] = []
    for level in LEVELS:
        note(f"{level.noise} {level.strength:g}")
        meters = [Meter(classes) for _ in files]
        for view in _views(level, samples):
            for backend, meter in zip(backends, meters, strict=True):
                meter.add(backend, view)
        rows += [
            _row(level, path, meter, meters[0]) for path, meter in zip(files, meters, strict=True)
        ]
    return rows


def _views(level: Level, samples: Sequence[Sample]) -> Iterator[View]:
    for sample in samples:
        assert sample.labels is not None
        if level.noise == "camera":
            yield through_camera(sample, level.strength)
        else:
            noisy = add_noise(
                sample.clean, NoiseKind.FLOAT, level.strength, seed=0, index=sample.index
            )
            yield View(noisy, as_floats(sample.clean), sample.labels)


def through_camera(sample: Sample, gain: float) -> View:
    """Return the centre of a frame through a camera that the frame's index and the gain decide."""
    assert sample.labels is not None
    generator = np.random.default_rng([sample.index, round(gain * 1e6)])
    table = msgspec.structs.replace(CameraTable(), gain=(gain, gain), exposure=(EXPOSURE, EXPOSURE))
    side = SCENE - 2 * MARGIN
    shot = replace(draw_shot(table, (side, side), generator, resizes=False), push=2.0**-EXPOSURE)
    scene = cropped(sample.clean, (SCENE, SCENE)).transpose(1, 2, 0)
    images = take(np.ascontiguousarray(scene), shot, generator)
    inner = slice(MARGIN, MARGIN + side)
    noisy, clean = (
        np.ascontiguousarray(image[inner, inner].transpose(2, 0, 1)) for image in images
    )
    # It has 8 bits already.
    return View(as_bytes(noisy), clean, cropped(sample.labels, (side, side)))


def _row(level: Level, path: Path, meter: Meter, first: Meter) -> dict[str, object]:
    gains = [one - other for one, other in zip(meter.clean_db, first.clean_db, strict=True)]
    gain = estimate(gains)
    assert gain is not None
    points = 100 * (meter.labels.mean_iou - first.labels.mean_iou)
    return {
        "noise": level.noise,
        "gain": f"{level.strength:g}" if level.noise == "camera" else "",
        "sigma": "" if level.noise == "camera" else f"{level.strength:g}",
        "frames": len(meter.clean_db),
        "weights": path.name,
        "psnr_noisy_db": round(fmean(meter.noisy_db), 3),
        "psnr_db": round(fmean(meter.clean_db), 3),
        "psnr_gain_db": round(gain.mean, 3),
        "half_width_db": "" if gain.half_width is None else round(gain.half_width, 3),
        "miou_percent": round(100 * meter.labels.mean_iou, 2),
        "miou_of_clean_percent": round(100 * meter.labels_of_clean.mean_iou, 2),
        "miou_gain_points": round(points, 2),
        "weights_sha256": sha256_of(path),
    }


if __name__ == "__main__":
    main()
