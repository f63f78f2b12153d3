"""What does ``joint-video`` gain over ``joint`` on clips: image, labels, and their flicker?

    python -m benchmarks.video_joint --streets FOLDER [--frames N]

streets: a folder with ``images/`` and ``labels/`` (CamVid's 11 classes), one drive in its order, as
``camvid/val``. ``drive`` is its first frames, which move. ``still`` is one of its frames again and
again.

``joint-video`` takes the frames in a row, ``joint`` each one alone. Both are in torch FP32, on the
same draws of white noise, sigma 30 of 255, in floats. First the script checks that a first frame is
that of ``joint``, and stops if it is not.

PSNR and mIoU are of the frames from the fifth on. ``change`` is the share of pixels whose label
changes from one frame to the next, of those whose clean values change by at most two levels.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.camera_joint import streets
from benchmarks.helpers.record import RESULTS, write_csv
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.errors import EdgeUnetError
from edgeunet.evaluate.backends import Answer
from edgeunet.evaluate.protocol import NoiseKind, add_noise
from edgeunet.evaluate.temporal import Moment, TemporalMeter
from edgeunet.evaluate.torch_backend import TorchBackend
from edgeunet.evaluate.truth import Sample
from edgeunet.metrics import ConfusionMatrix, psnr_db
from edgeunet.pixels import as_floats
from edgeunet.recipes import load_recipe
from edgeunet.specs import Task

NAME = "video_joint"
REMEMBERING, ALONE = "joint-video", "joint"
SIGMA, SETTLED = 30.0, 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streets", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=32, help="of each clip")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the table")
    arguments = parser.parse_args()
    try:
        drive = streets(load_recipe(ALONE), arguments.streets, None)[: arguments.frames]
        rows = measure({"drive": drive, "still": [drive[0]] * len(drive)})
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    path = write_csv(arguments.out / f"{NAME}.csv", rows)
    print_table(NAME, list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    note(f"wrote {path}")


def measure(clips: Mapping[str, Sequence[Sample]]) -> list[dict[str, object]]:
    """Return a row per clip."""
    backends = [_backend(name) for name in (REMEMBERING, ALONE)]
    rows = []
    for name, samples in clips.items():
        meters = [_Meter(backend) for backend in backends]
        for number, sample in enumerate(samples):
            note(f"{name}: frame {number + 1} of {len(samples)}")
            noisy = add_noise(sample.clean, NoiseKind.FLOAT, SIGMA, seed=0, index=number)
            first, other = (meter.add(sample, noisy) for meter in meters)
            if not number and not _alike(first, other):
                raise SystemExit(f"a first frame is not that of {ALONE}")
        (db, miou, change), (db_alone, miou_alone, change_alone) = (m.figures() for m in meters)
        rows.append(
            {
                "clip": name,
                "frames": len(samples) - SETTLED,
                "alone_db": round(db_alone, 3),
                "gain_db": round(db - db_alone, 3),
                "alone_miou_percent": round(miou_alone, 2),
                "miou_percent": round(miou, 2),
                "alone_change_percent": round(change_alone, 2),
                "change_percent": round(change, 2),
            }
        )
    return rows


class _Meter:
    """What one network makes of one clip."""

    def __init__(self, backend: TorchBackend) -> None:
        self._backend, self._memory, self._number = backend, None, 0
        self._db: list[float] = []
        classes = next(len(p.classes) for p in backend.network.pathways if p.head is Task.SEGMENT)
        self._labels, self._temporal = ConfusionMatrix(classes), TemporalMeter()

    def add(self, sample: Sample, noisy: Any) -> Answer:
        if self._backend.remembers:
            answer, self._memory = self._backend.step(noisy, self._memory)
        else:
            answer = self._backend.run(noisy)
        assert answer.denoised is not None
        assert answer.labels is not None
        assert sample.labels is not None
        self._number += 1
        if self._number > SETTLED:
            self._db.append(psnr_db(answer.denoised, as_floats(sample.clean)))
            self._labels.update(answer.labels, sample.labels)
            images = sample.clean, noisy, answer.denoised, answer.labels
            self._temporal.add(Moment("the clip", *images))
        return answer

    def figures(self) -> tuple[float, float, float]:
        """Return PSNR in dB, mIoU in % and the share of labels that change in %."""
        found = self._temporal.figures()
        assert found is not None
        assert found.label_change_share is not None
        return fmean(self._db), 100 * self._labels.mean_iou, 100 * found.label_change_share


def _backend(name: str) -> TorchBackend:
    recipe = load_recipe(name)
    path = shipped_weights(name, recipe)
    if path is None:
        raise SystemExit(f"there are no weights of {name}")
    return TorchBackend(recipe, path)


def _alike(first: Answer, other: Answer) -> bool:
    if first.denoised is None or other.denoised is None:
        return False
    assert first.labels is not None
    return bool(
        np.allclose(first.denoised, other.denoised, atol=1e-5)
        and np.mean(first.labels != other.labels) < 1e-4
    )


if __name__ == "__main__":
    main()
