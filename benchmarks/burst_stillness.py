"""Which movements does ``edgeunet train --bursts`` find, and does it refuse still bursts?

    python -m benchmarks.burst_stillness --photographs FOLDER [--bursts N]

Bursts of 4, 8 and 12 shots, 288x288 pixels, by ``edgeunet/camera/chain.py``, each of another
photograph through another camera that is drawn from the whole of ``[train.camera]``. Of every
burst there are five forms: still, and with one shot (the second) in which something changed.
``results/burst_stillness.csv`` has the largest ratio of that shot (of a still burst: of all shots)
as ``edgeunet/train/stillness.py`` measures it: above its LIMIT the burst is refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.helpers.record import write_csv
from edgeunet.camera.chain import MARGIN, Shot, draw_shot, take
from edgeunet.cli.console import note, print_table
from edgeunet.photographs import Photograph, fill_frame, list_images, read_photograph
from edgeunet.pixels import as_bytes
from edgeunet.schedules import CameraTable
from edgeunet.train.stillness import LIMIT, deviations

NAME = "burst_stillness"
CHANGES = ("still", "moved by 1 pixel", "moved by 2 pixels", "light 5 % brighter", "object 40x40")
STRONG = 8.0
"""Deviation of the noise, in 8-bit steps, above which noise is called strong."""

_SIDE = 288
_SHOTS = (4, 8, 12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--bursts", type=int, default=30)
    arguments = parser.parse_args()
    rows = []
    for index, path in enumerate(
        list_images(arguments.photographs, notice=note)[: arguments.bursts]
    ):
        rows.append(_measured(index, read_photograph(path)))
        note(f"{path.name}: {rows[-1]}")
    path = write_csv(NAME, rows)
    table = []
    for change in CHANGES:
        ratios = {row["burst"]: float(str(row[change])) for row in rows}
        weak = [row for row in rows if float(str(row["noise"])) <= STRONG]
        over = [sum(float(str(r[change])) > LIMIT for r in group) for group in (rows, weak)]
        low, middle, high = np.quantile(list(ratios.values()), (0, 0.5, 1))
        found = f"{low:.1f} / {middle:.1f} / {high:.1f}"
        table.append((change, found, f"{over[0]} of {len(rows)}", f"{over[1]} of {len(weak)}"))
    heads = (
        "second shot",
        "ratio: least, median, most",
        "refused",
        f"refused, noise <= {STRONG:g}",
    )
    print_table("stillness", heads, table)
    note(f"wrote {path}")


def _measured(index: int, photograph: Photograph) -> dict[str, object]:
    """Return one row: the burst, its noise, and the ratio of every change."""
    generator = np.random.default_rng(index)
    count = _SHOTS[index % len(_SHOTS)]
    camera = draw_shot(CameraTable(), (_SIDE, _SIDE), generator)
    scene = fill_frame(photograph, *camera.sensor_size)
    shots = np.stack([_taken(scene, camera, generator) for _ in range(count)])
    with_object = scene.copy()
    with_object[100:140, 100:140] = scene[40:80, 40:80]
    brighter = np.clip(np.rint(shots[1] * 1.05), 0, 255).astype(np.uint8)
    seconds = {
        "moved by 1 pixel": _taken(np.roll(scene, 1, axis=1), camera, generator),
        "moved by 2 pixels": _taken(np.roll(scene, 2, axis=1), camera, generator),
        "light 5 % brighter": brighter,
        "object 40x40": _taken(with_object, camera, generator),
    }
    difference = shots[0].astype(np.float64) - shots[1]
    row: dict[str, object] = {
        "burst": index,
        "shots": count,
        "noise": round(float(difference.std() / np.sqrt(2)), 2),
        "jpeg_quality": camera.quality,
        "h264_rate_factor": camera.rate_factor,
        "still": round(float(deviations(shots).max()), 2),
    }
    for change, second in seconds.items():
        changed = shots.copy()
        changed[1] = second
        row[change] = round(float(deviations(changed)[1].max()), 2)
    return row


def _taken(scene: Photograph, camera: Shot, generator: np.random.Generator) -> Photograph:
    noisy, _ = take(scene, camera, generator)
    return as_bytes(noisy[MARGIN:-MARGIN, MARGIN:-MARGIN])


if __name__ == "__main__":
    main()
