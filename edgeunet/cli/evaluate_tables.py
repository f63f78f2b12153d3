"""The results of ``edgeunet eval`` as tables and as one JSON document."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgeunet.cli.console import note, print_table
from edgeunet.evaluate.protocol import given_in_words
from edgeunet.evaluate.settled import SETTLED_AFTER, UNCOVERED_FRAMES
from edgeunet.evaluate.temporal import STATIC_THRESHOLD
from edgeunet.evaluate.truth import PAIRS
from edgeunet.units import format_size

if TYPE_CHECKING:
    from edgeunet.evaluate.backends import Backend
    from edgeunet.evaluate.evaluation import Figures, Levels, Result
    from edgeunet.evaluate.interval import Estimate
    from edgeunet.evaluate.truth import DataSet, Fit

_DIGITS = 5
_EQUAL = "equal"


def document_of(
    backend: Backend, levels: Levels, fit: Fit, sets: Sequence[DataSet], results: Sequence[Result]
) -> dict[str, Any]:
    """Return the JSON document: PSNR in dB, null for equal images; shares and SSIM 0..1.

    sigma: null for a camera's own noise.
    scale: how many times the frame's rows and columns the image has. Above 1 ``noisy`` means the
    frame enlarged by bicubic interpolation.
    gain_db: PSNR of the answer minus that of the noisy image; null if just one of them is infinite.
    interval: 95 % by Student's t over images.
    Sizes are HxW in pixels.
    """
    return {
        "model": backend.network.name,
        "width": backend.network.width,
        "evaluated": backend.name,
        "engine": backend.engine,
        "precision": backend.precision,
        "weights": backend.weights,
        "size": None if backend.frame is None else format_size(*backend.frame),
        "scale": backend.scale,
        "fit": str(fit),
        "seed": levels.seed,
        "data": [
            {
                "data": entry.name,
                "kind": entry.kind,
                "images": result.figures[0].images,
                "cropped": entry.cropped,
                "left_out": entry.left_out,
                "swapped": entry.swapped,
                "results": [_figures(figures) for figures in result.figures],
            }
            for entry, result in zip(sets, results, strict=True)
        ],
    }


def print_figures(backend: Backend, sets: Sequence[DataSet], results: Sequence[Result]) -> None:
    """Print one table per set and measure; measures without data are left out."""
    given = given_in_words(backend.scale)
    for entry, result in zip(sets, results, strict=True):
        figures = result.figures
        count = figures[0].images
        what = "pair" if entry.kind == PAIRS else "image"
        images = f"{count} {what}" if count == 1 else f"{count} {what}s"
        size = f", {format_size(*backend.frame)}" if backend.frame else ""
        who = f"{backend.name}, {backend.engine} {backend.precision}"
        print_table(
            f"{entry.name}: {images}{size}, {who}",
            ("noise", "sigma", f"PSNR {given} dB", "PSNR dB", "±", f"SSIM {given}", "SSIM", "±"),
            [
                (
                    *_level(f),
                    _mean(f.psnr_noisy_db, ".2f"),
                    _mean(f.psnr_db, ".2f"),
                    _half_width(f.psnr_db, ".2f"),
                    _mean(f.ssim_noisy, ".4f"),
                    _mean(f.ssim, ".4f"),
                    _half_width(f.ssim, ".4f"),
                )
                for f in figures
            ],
        )
        _print_gains(figures, backend.scale)
        _print_labels(figures)
        _print_classes(figures)
        _print_temporal(figures)
    note("± is half of a 95 % interval over images, by Student's t")


def _print_gains(figures: Sequence[Figures], scale: int) -> None:
    before = "the noisy image" if scale == 1 else "its bicubic enlargement"
    rows = [
        (
            *_level(f),
            _gain(f.gain_db.mean),
            _half_width(f.gain_db, ".2f"),
            _gain(f.worst_gain_db),
            f.worst_gain_image or "-",
        )
        for f in figures
        if f.gain_db is not None and f.worst_gain_db is not None
    ]
    if rows:
        print_table(
            f"gain: PSNR of the answer minus PSNR of {before}, image by image",
            ("noise", "sigma", "gain dB", "±", "worst image's dB", "worst image"),
            rows,
        )


def _print_labels(figures: Sequence[Figures]) -> None:
    rows = [
        (*_level(f), _percent(f.labels.mean_iou), _percent(f.labels.pixel_accuracy))
        for f in figures
        if f.labels is not None
    ]
    if rows:
        print_table(
            "label maps, over all pixels that are not void",
            ("noise", "sigma", "mIoU %", "pixel accuracy %"),
            rows,
        )


def _print_classes(figures: Sequence[Figures]) -> None:
    rows = [(*_level(f), _percent(f.classes.accuracy)) for f in figures if f.classes is not None]
    if rows:
        print_table("classes of images", ("noise", "sigma", "accuracy %"), rows)


def _print_temporal(figures: Sequence[Figures]) -> None:
    rows = [
        (
            *_level(f),
            _percent(t.static_share),
            _shown(t.clean_flicker, ".2f"),
            _shown(t.noisy_flicker, ".2f"),
            _shown(t.denoised_flicker, ".2f"),
            _percent(t.label_change_share),
        )
        for f in figures
        if (t := f.temporal) is not None
    ]
    if rows:
        print_table(
            "pixels whose clean value changes by at most "
            f"{STATIC_THRESHOLD} from frame to frame; flicker in 8-bit units",
            (
                "noise",
                "sigma",
                "static %",
                "flicker clean",
                "noisy",
                "denoised",
                "labels changed %",
            ),
            rows,
        )

    _print_settled(figures)


def _print_settled(figures: Sequence[Figures]) -> None:
    rows = []
    for f in figures:
        found = () if f.temporal is None else (f.temporal.settled, f.temporal.alone)
        for one, what in zip(found, ("clip", "frame by frame"), strict=False):
            if one is None:
                continue
            parts = (one.psnr_db, one.still_psnr_db, one.moving_psnr_db, one.uncovered_psnr_db)
            rows.append((*_level(f), what, *(_shown(part, ".2f") for part in parts)))
    if rows:
        print_table(
            f"PSNR in dB from frame {SETTLED_AFTER + 1} of each clip on; uncovered pixels are "
            f"still now and changed in the {UNCOVERED_FRAMES} frames before",
            ("noise", "sigma", "run as", "all", "still", "moving", "uncovered"),
            rows,
        )


def _figures(figures: Figures) -> dict[str, Any]:
    labels, classes, temporal = figures.labels, figures.classes, figures.temporal
    return {
        "noise": str(figures.noise),
        "sigma": figures.sigma,
        "psnr_noisy_db": _estimate(figures.psnr_noisy_db),
        "psnr_db": _estimate(figures.psnr_db),
        "gain_db": _estimate(figures.gain_db),
        "worst_gain_db": _finite(figures.worst_gain_db),
        "worst_gain_image": figures.worst_gain_image,
        "ssim_noisy": _estimate(figures.ssim_noisy),
        "ssim": _estimate(figures.ssim),
        "labels": labels
        and {
            "mean_iou": _finite(labels.mean_iou),
            "pixel_accuracy": _finite(labels.pixel_accuracy),
            "iou": {name: _finite(value) for name, value in labels.iou.items()},
        },
        "classes": classes
        and {
            "accuracy": _finite(classes.accuracy),
            "by_class": {name: _finite(value) for name, value in classes.by_class.items()},
        },
        "temporal": temporal and _rounded(dataclasses.asdict(temporal)),
    }


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else _finite(value)
        for name, value in fields.items()
    }


def _estimate(value: Estimate | None) -> dict[str, Any] | None:
    if value is None:
        return None
    interval = value.interval
    return {
        "mean": _finite(value.mean),
        "interval": interval and [_finite(bound) for bound in interval],
    }


def _finite(value: float | None) -> float | None:
    """Return a rounded value; None for infinity and NaN, which JSON cannot hold."""
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS)


def _level(figures: Figures) -> tuple[str, str]:
    return figures.noise.words, "-" if figures.sigma is None else f"{figures.sigma:g}"


def _mean(value: Estimate | None, form: str) -> str:
    return _shown(None if value is None else value.mean, form)


def _half_width(value: Estimate | None, form: str) -> str:
    return _shown(None if value is None else value.half_width, form)


def _percent(share: float | None) -> str:
    return _shown(None if share is None else 100 * share, ".2f")


def _gain(value: float) -> str:
    return "-" if math.isnan(value) else format(value, "+.2f")


def _shown(value: float | None, form: str) -> str:
    if value is None or math.isnan(value):
        return "-"
    return _EQUAL if math.isinf(value) else format(value, form)
