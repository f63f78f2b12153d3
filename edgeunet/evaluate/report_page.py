"""A report as one HTML file that needs nothing else, and as a JSON document."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from edgeunet.evaluate.evaluation import Figures
from edgeunet.evaluate.report import Candidate, Scene
from edgeunet.photographs import png_of
from edgeunet.units import format_bytes, format_size

_DIGITS = 5

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em;
  color: #1d2430; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em } h3 { font-size: 1em }
table { border-collapse: collapse; margin: .7em 0 } caption { text-align: left; color: #566 }
th, td { padding: .25em .8em; border-bottom: 1px solid #dde; text-align: right }
th:first-child, td:first-child { text-align: left }
td small { color: #788; white-space: nowrap } .worse { color: #b03020 }
.scene { display: flex; flex-wrap: wrap; gap: .6em; margin-bottom: 1.6em }
figure { margin: 0 } figcaption { font-size: .8em; color: #566; max-width: 240px }
img { image-rendering: pixelated; width: 240px; display: block }
"""

Measure = Callable[[Figures], "float | None"]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a page shows. sets: names, kinds and images of each; scenes: by set, of each candidate.

    facts: what the figures were measured with, by name.
    """

    title: str
    candidates: tuple[Candidate, ...]
    sets: tuple[tuple[str, str, int], ...]
    scenes: tuple[tuple[tuple[Scene, ...], ...], ...]
    facts: dict[str, str]


def page_of(report: Report) -> str:
    """Return the HTML text."""
    facts = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in report.facts.items()
    )
    parts = [_candidates(report.candidates)]
    for number, (name, kind, images) in enumerate(report.sets):
        parts.append(f"<h2>{escape(name)}: {images} {escape(kind)}</h2>")
        parts += [
            _measure(report.candidates, number, title, read, form, scale)
            for title, read, form, scale in _MEASURES
        ]
        for candidate, scenes in zip(report.candidates, report.scenes[number], strict=True):
            parts.append(_scenes(candidate, scenes, itself=candidate is report.candidates[0]))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(report.title)}</h1>\n{''.join(parts)}"
        f"<h2>Measured with</h2><table>{facts}</table></body></html>\n"
    )


def document_of_report(report: Report) -> dict[str, Any]:
    """Return the JSON document: bytes, milliseconds, dB, shares 0..1; null where not measured."""
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
                "data": name,
                "kind": kind,
                "images": images,
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
            for number, (name, kind, images) in enumerate(report.sets)
        ],
    }


def _psnr(figures: Figures) -> float | None:
    return None if figures.psnr_db is None else figures.psnr_db.mean


def _ssim(figures: Figures) -> float | None:
    return None if figures.ssim is None else figures.ssim.mean


def _miou(figures: Figures) -> float | None:
    return None if figures.labels is None else figures.labels.mean_iou


def _accuracy(figures: Figures) -> float | None:
    return None if figures.classes is None else figures.classes.accuracy


# Title, what it reads, how it is written, what it is multiplied by.
_MEASURES: tuple[tuple[str, Measure, str, float], ...] = (
    ("PSNR in dB", _psnr, ".2f", 1),
    ("SSIM", _ssim, ".4f", 1),
    ("mIoU in %", _miou, ".2f", 100),
    ("accuracy of classes in %", _accuracy, ".2f", 100),
)


def _level(figures: Figures) -> dict[str, Any]:
    return _numbers(
        {
            "noise": str(figures.noise),
            "sigma": figures.sigma,
            "psnr_db": _psnr(figures),
            "ssim": _ssim(figures),
            "mean_iou": _miou(figures),
            "accuracy": _accuracy(figures),
        }
    )


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    """Round; JSON has no word for infinite or not a number."""
    return {
        key: (round(value, _DIGITS) if math.isfinite(value) else None)
        if isinstance(value, float)
        else value
        for key, value in record.items()
    }


def _candidates(candidates: Sequence[Candidate]) -> str:
    heads = ["", "engine", "MACs in 8 bits", "ms per frame", "files", "weights", "skip", "held"]
    heads += ["peak live", "arena", "predicted"]
    first = candidates[0]
    rows = []
    for candidate in candidates:
        share = "-" if candidate.macs_share is None else f"{candidate.macs_share:.1%}"
        speed = f"{candidate.frame_ms:.1f}{_ratio(first.frame_ms, candidate.frame_ms, 'as fast')}"
        sizes = [
            "-" if size is None else format_bytes(size) + _ratio(size, before, "")
            for size, before in zip(
                dataclasses.astuple(candidate.costs), dataclasses.astuple(first.costs), strict=True
            )
        ]
        name = f"{escape(candidate.name)} <small>{escape(candidate.precision)}</small>"
        rows.append([name, escape(candidate.engine), share, speed, *sizes])
    caption = f"in brackets: times that of {first.name}"
    return _table(caption, heads, rows)


def _ratio(value: float, before: float | None, what: str) -> str:
    if not before or value == before:
        return ""
    return f" <small>({value / before:.2f}{' ' if what else ''}{what})</small>"


def _measure(
    candidates: Sequence[Candidate], number: int, title: str, read: Measure, form: str, scale: float
) -> str:
    first = candidates[0].results[number].figures
    if all(read(figures) is None for figures in first):
        return ""
    rows = []
    for candidate in candidates:
        row = [escape(candidate.name)]
        for figures, before in zip(candidate.results[number].figures, first, strict=True):
            value, reference = read(figures), read(before)
            row.append(
                _difference(value, reference, form, scale, itself=candidate is candidates[0])
            )
        rows.append(row)
    heads = ["", *(f"sigma {f.sigma:g}, {f.noise}" for f in first)]
    return _table(title, heads, rows)


def _difference(
    value: float | None, reference: float | None, form: str, scale: float, *, itself: bool
) -> str:
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "equal"
    text = format(scale * value, form)
    if itself or reference is None or not math.isfinite(reference):
        return text
    lost = scale * (value - reference)
    return f'{text} <small class="{"worse" if lost < 0 else ""}">({lost:+{form}})</small>'


def _scenes(candidate: Candidate, scenes: Sequence[Scene], *, itself: bool) -> str:
    if not scenes:
        return ""
    what = "is worst" if itself else "loses most"
    parts = [f"<h3>Where {escape(candidate.name)} {what}</h3>"]
    for scene in scenes:
        spot = scene.spot
        lost = "" if itself else f", {spot.loss:.2f} lost"
        parts.append(
            f"<p>{escape(spot.image)}, sigma {spot.sigma:g}: {escape(spot.measure)} "
            f"{spot.figure:.2f}{lost}; row {scene.top}, column {scene.left}</p>"
            '<div class="scene">'
        )
        for panel in scene.panels:
            data = base64.b64encode(png_of(panel.pixels)).decode()
            parts.append(
                f'<figure><img alt="{escape(panel.title)}" src="data:image/png;base64,{data}">'
                f"<figcaption>{escape(panel.title)}</figcaption></figure>"
            )
        parts.append("</div>")
    return "".join(parts)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>\n"
