"""How clean do the shipped weights make an image, and how clean do others?

    python -m benchmarks.quality --data KODAK_FOLDER [--only NAME] [--limit N] [--resume] [--costs]

PSNR and SSIM over a folder of images, full size. Noise: additive white Gaussian, one fixed draw
per image and sigma, in two protocols that never share a row: ``float`` is not clipped (the
literature's; the output is clipped to 0..1), ``uint8`` is the same draw rounded and clipped, and
so is the output. Everybody gets the same noisy pixels.

Rows are measured one denoiser at a time and merged into ``results/quality.csv``;
``results/quality_images.csv`` keeps the figures of every image, and ``--resume`` goes on from it.
``--costs`` measures seconds and bytes alone again, when the machine is quiet. A denoiser measured
on fewer images has every network's figures on the same images beside it.

``published`` rows are other people's figures, on 500x500 crops of the same photographs, with the
place they were read at; they are not comparable to the second decimal, and nothing of theirs was
measured here. ``kmac_per_pixel`` of theirs is computed from the layers their papers list.

``seconds_per_megapixel``: networks on onnxruntime, two threads, median of whole 512x768 frames of
the FP32 bundle; the others as they ran. ``peak_bytes``: measured in a process of its own on one
512x768 image, above what was loaded.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.helpers.denoisers import MEGAPIXEL, Denoiser, Image, denoisers
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.cli.console import note, print_table
from edgeunet.evaluate.protocol import ADDED, SIGMAS, NoiseKind, add_noise
from edgeunet.evaluate.ssim import ssim
from edgeunet.metrics import psnr_db
from edgeunet.photographs import list_images, read_photograph
from edgeunet.pixels import as_floats

NAME = "quality"
IMAGES = RESULTS / f"{NAME}_images.csv"
SUMMARY = RESULTS / f"{NAME}.csv"
SLOW_IMAGES = 5
TOOLS = ("opencv-python", "bm3d", "scikit-image")

Row = dict[str, object]

FFDNET = "Zhang et al., FFDNet, IEEE Trans. Image Processing 2018, colour table"
DPIR = "Zhang et al., Plug-and-Play Image Restoration with Deep Denoiser Prior (DPIR), colour table"
PUBLISHED_SIGMAS = (15.0, 25.0, 50.0)

# Name -> dB at PUBLISHED_SIGMAS, kMAC per pixel, source. Kodak24 as FFDNet's repository has it.
PUBLISHED: dict[str, tuple[tuple[float, float, float], float | None, str]] = {
    "CBM3D": ((34.28, 31.68, 28.46), None, FFDNET),
    "CDnCNN-B": ((34.48, 32.03, 28.85), 667.0, FFDNET),
    "FFDNet": ((34.63, 32.13, 28.98), 212.8, FFDNET),
    "DRUNet": ((35.31, 32.89, 29.86), None, DPIR),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", help="one denoiser's name")
    parser.add_argument("--limit", type=int, help=f"images; {SLOW_IMAGES} for slow ones")
    parser.add_argument("--resume", action="store_true", help="keep the images measured before")
    parser.add_argument("--costs", action="store_true", help="measure seconds and bytes alone")
    arguments = parser.parse_args()
    known = denoisers()
    if arguments.only is not None and arguments.only not in known:
        raise SystemExit(f"there is no {arguments.only!r}; known: {', '.join(known)}")
    images = {path.name: _planes(path) for path in list_images(arguments.data, notice=note)}
    for name, denoiser in known.items():
        if arguments.only not in (None, name):
            continue
        if arguments.costs:
            _measure_cost(denoiser, arguments.data.name)
        else:
            limit = arguments.limit or (SLOW_IMAGES if denoiser.slow else len(images))
            chosen = dict(list(images.items())[:limit])
            _measure(denoiser, arguments.data.name, chosen, resume=arguments.resume)
    rows = _summary(arguments.data.name)
    _show(rows)
    print(write_csv(SUMMARY, rows, {}))


def _planes(path: Path) -> Image:
    return np.ascontiguousarray(read_photograph(path).transpose(2, 0, 1))


def _measure(denoiser: Denoiser, data: str, images: dict[str, Image], *, resume: bool) -> None:
    """Add the image rows of one denoiser to the file, image by image."""
    facts = provenance(TOOLS)
    kept = [r for r in _read(IMAGES) if resume or (r["name"], r["data"]) != (denoiser.name, data)]
    done = {_key(row) for row in kept}
    wanted = [
        (index, name, kind, sigma)
        for index, name in enumerate(images)
        for kind in denoiser.kinds
        for sigma in SIGMAS
        if (denoiser.name, data, name, str(kind), f"{sigma:g}") not in done
    ]
    if not wanted:
        return
    note(f"{denoiser.name}: {len(wanted)} runs")
    denoiser.prepare(list(images.values()), SIGMAS)
    before = next((row for row in kept if (row["name"], row["data"]) == (denoiser.name, data)), {})
    cost = {key: before[key] for key in before if key.startswith("cost_")} or _cost(denoiser)
    for index, name, kind, sigma in wanted:
        clean = images[name]
        noisy = add_noise(clean, kind, sigma, seed=0, index=index)
        start = time.perf_counter()
        denoised = denoiser.denoise(noisy, sigma)
        seconds = time.perf_counter() - start
        truth = as_floats(clean)
        kept.append(
            {
                "name": denoiser.name,
                "data": data,
                "image": name,
                "noise": str(kind),
                "sigma": f"{sigma:g}",
                "psnr_noisy_db": round(psnr_db(as_floats(noisy), truth), 4),
                "psnr_db": round(psnr_db(as_floats(denoised), truth), 4),
                "ssim_noisy": round(ssim(noisy, clean), 5),
                "ssim": round(ssim(denoised, clean), 5),
                "seconds": round(seconds, 3),
                "pixels": clean.shape[1] * clean.shape[2],
                "setting": denoiser.setting(sigma),
                **cost,
                **facts,
            }
        )
        write_csv(IMAGES, kept, {})


def _measure_cost(denoiser: Denoiser, data: str) -> None:
    """Put what a denoiser costs now into its rows; their figures stay."""
    rows = _read(IMAGES)
    mine = [row for row in rows if (row["name"], row["data"]) == (denoiser.name, data)]
    if not mine:
        note(f"{denoiser.name} has no rows yet: measure it without --costs first")
        return
    denoiser.prepare([], ())
    cost = _cost(denoiser)
    for row in mine:
        row.update(cost)
    write_csv(IMAGES, rows, {})


def _cost(denoiser: Denoiser) -> Row:
    return {f"cost_{key}": value for key, value in asdict(denoiser.cost()).items()}


def _key(row: Row) -> tuple[object, ...]:
    return row["name"], row["data"], row["image"], row["noise"], row["sigma"]


def _summary(data: str) -> list[Row]:
    """Return a row per denoiser, set of images, noise and sigma, and the published ones."""
    rows = [row for row in _read(IMAGES) if row["data"] == data]
    measured = {row["name"] for row in rows}
    names = [name for name in denoisers() if name in measured]
    sets = {name: _complete([row for row in rows if row["name"] == name]) for name in names}
    summary: list[Row] = []
    for images in sorted(set(sets.values()), key=len, reverse=True):
        for name in (name for name in names if sets[name] >= images):
            for kind in ADDED:
                for sigma in SIGMAS:
                    group = [
                        row
                        for row in rows
                        if row["name"] == name
                        and row["image"] in images
                        and (row["noise"], row["sigma"]) == (str(kind), f"{sigma:g}")
                    ]
                    if group:
                        summary.append(_mean(group))
    for name, (figures, kmac, source) in PUBLISHED.items():
        summary += [
            {
                "name": name,
                "kind": "published",
                "data": f"{data}, 500x500 crops",
                "images": 24,
                "noise": str(NoiseKind.FLOAT),
                "sigma": f"{sigma:g}",
                "psnr_db": figure,
                "kmac_per_pixel": kmac,
                "setting": source,
            }
            for sigma, figure in zip(PUBLISHED_SIGMAS, figures, strict=True)
        ]
    # The first row has every column.
    return summary


def _complete(rows: Sequence[Row]) -> frozenset[object]:
    """Return the images of one denoiser with all its rows; a run may have been stopped in one."""
    counts = Counter(row["image"] for row in rows)
    whole = max(counts.values())
    return frozenset(image for image, number in counts.items() if number == whole)


def _mean(group: Sequence[Row]) -> Row:
    """Return the row of one denoiser at one level; provenance is that of its last image."""
    last = group[-1]
    seconds = last["cost_seconds_per_megapixel"]
    if seconds in ("", None):
        seconds = fmean(
            float(str(row["seconds"])) / float(str(row["pixels"])) * MEGAPIXEL for row in group
        )
    facts = [key for key in last if key in provenance(TOOLS)]
    kmac = last["cost_kmac_per_pixel"]
    return {
        "name": last["name"],
        "kind": "measured",
        "data": last["data"],
        "images": len(group),
        "noise": last["noise"],
        "sigma": last["sigma"],
        "psnr_noisy_db": _column_mean(group, "psnr_noisy_db", 3),
        "psnr_db": _column_mean(group, "psnr_db", 3),
        "ssim_noisy": _column_mean(group, "ssim_noisy", 4),
        "ssim": _column_mean(group, "ssim", 4),
        "kmac_per_pixel": "" if kmac in ("", None) else round(float(str(kmac)), 1),
        "seconds_per_megapixel": round(float(str(seconds)), 3),
        "peak_bytes": last["cost_peak_bytes"],
        "setting": last["setting"],
        **{key: last[key] for key in facts},
    }


def _column_mean(group: Sequence[Row], column: str, digits: int) -> float:
    return round(fmean(float(str(row[column])) for row in group), digits)


def _show(rows: Sequence[Row]) -> None:
    columns = [c for c in rows[0] if c not in ("setting", *provenance(TOOLS))]
    table = [["" if row.get(c) is None else str(row.get(c, "")) for c in columns] for row in rows]
    print_table("how clean", columns, table, text_columns=3)


def _read(path: Path) -> list[Row]:
    return read_csv(path) if path.is_file() else []


if __name__ == "__main__":
    main()
