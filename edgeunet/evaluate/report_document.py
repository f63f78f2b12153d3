"""The content of a comparison report, and its JSON document."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from edgeunet.evaluate.evaluation import Figures
from edgeunet.evaluate.forms_report import Candidate, Colour, Scene
from edgeunet.evaluate.report_measures import (
    accuracy,
    flicker,
    gain_db,
    label_changes,
    mean_iou,
    noisy_flicker,
    psnr_db,
    psnr_noisy_db,
    ssim,
    ssim_noisy,
    worst_gain_db,
)
from edgeunet.units import format_size

_DIGITS = 5


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A data set after the evaluation.

    images: number of images that were evaluated.
    cropped: how many of them were cropped.
    left_out: one line per image that was not evaluated.
    swapped: names of pairs whose images look swapped.
    scale: how many times the frame's rows and columns the network's image has.
    """

    name: str
    kind: str
    images: int
    cropped: int
    left_out: tuple[str, ...]
    swapped: tuple[str, ...] = ()
    scale: int = 1


@dataclasses.dataclass(frozen=True)
class Report:
    """The content of a report.

    candidates: the forms that are compared, the reference first.
    sets: the data sets.
    scenes: by data set, then by candidate.
    colours: classes of label maps with their colours, 8-bit RGB.
    facts: versions and settings of the measurement, by name.
    """

    title: str
    candidates: tuple[Candidate, ...]
    sets: tuple[Evaluated, ...]
    scenes: tuple[tuple[tuple[Scene, ...], ...], ...]
    colours: tuple[tuple[str, Colour], ...]
    facts: dict[str, str]


def document_of_report(report: Report) -> dict[str, Any]:
    """Return the JSON document of a report.

    Units are bytes, milliseconds, dB, shares 0..1, and 8-bit units for flicker; null where nothing
    was measured. ``worst`` has the spots where a form loses most to the reference.
    """
    return {
        "title": report.title,
        "facts": report.facts,
        "candidates": [
            {
                "name": c.name,
                "engine": c.engine,
                "precision": c.precision,
                "weights": c.weights,
                "size": None if c.frame is None else format_size(*c.frame),
                "macs_share_in_8_bits": c.macs_share,
                "quantized_for": c.quantized_for,
                "bytes": dataclasses.asdict(c.costs),
                "frame_ms": round(c.frame_ms, 3),
            }
            for c in report.candidates
        ],
        "data": [
            {
                "data": entry.name,
                "kind": entry.kind,
                "images": entry.images,
                "cropped": entry.cropped,
                "left_out": list(entry.left_out),
                "swapped": list(entry.swapped),
                "results": [
                    {
                        "name": candidate.name,
                        "levels": [_level(f) for f in candidate.results[number].figures],
                        "worst": [
                            {
                                **_numbers(dataclasses.asdict(scene.spot)),
                                "top": scene.top,
                                "left": scene.left,
                            }
                            for scene in scenes
                        ],
                    }
                    for candidate, scenes in zip(
                        report.candidates, report.scenes[number], strict=True
                    )
                ],
            }
            for number, entry in enumerate(report.sets)
        ],
    }


def _level(figures: Figures) -> dict[str, Any]:
    return _numbers(
        {
            "noise": str(figures.noise),
            "sigma": figures.sigma,
            "psnr_noisy_db": psnr_noisy_db(figures),
            "psnr_db": psnr_db(figures),
            "gain_db": gain_db(figures),
            "worst_gain_db": worst_gain_db(figures),
            "worst_gain_image": figures.worst_gain_image,
            "ssim_noisy": ssim_noisy(figures),
            "ssim": ssim(figures),
            "mean_iou": mean_iou(figures),
            "accuracy": accuracy(figures),
            "flicker_noisy": noisy_flicker(figures),
            "flicker": flicker(figures),
            "label_change_share": label_changes(figures),
        }
    )


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    """Round floats; values that are not finite become None, as JSON has none of them."""
    return {
        key: (round(value, _DIGITS) if math.isfinite(value) else None)
        if isinstance(value, float)
        else value
        for key, value in record.items()
    }
