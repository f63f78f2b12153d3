"""Writes a report as one HTML file without other files. All text from outside is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from edgeunet.evaluate.evaluation import Figures
from edgeunet.evaluate.forms_report import WINDOW, Candidate, Colour, Scene
from edgeunet.evaluate.gain_chart import gain_charts
from edgeunet.evaluate.protocol import given_in_words, level_in_words
from edgeunet.evaluate.report_document import Evaluated, Report
from edgeunet.evaluate.report_measures import MEASURES, Measure
from edgeunet.html_page import figure_of, html_of
from edgeunet.pairs import swapped_in_words
from edgeunet.photographs import png_of
from edgeunet.units import format_bytes

_COUNTED = {
    "images": "image{s}",
    "labels": "image{s} with labels",
    "classes": "image{s} in classes",
    "clip": "frame{s} of a clip",
    "pairs": "pair{s} of noisy and clean images",
}


def page_of(report: Report) -> str:
    """Return the HTML text of a report."""
    facts = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in report.facts.items()
    )
    parts = [_candidates(report.candidates)]
    for number, entry in enumerate(report.sets):
        parts.append(f"<h2>{escape(entry.name)}: {counted(entry.images, entry.kind)}</h2>")
        parts += [f'<p class="legend">{escape(text)}</p>' for text in _notes(entry)]
        given = given_in_words(entry.scale)
        parts += [_measure(report.candidates, number, measure, given) for measure in MEASURES]
        parts.append(gain_charts(report.candidates, number))
        if any(report.scenes[number]):
            parts.append(_legend(report.colours))
        for candidate, scenes in zip(report.candidates, report.scenes[number], strict=True):
            parts.append(_scenes(candidate, scenes, report.candidates[0]))
    parts.append(f'<h2>Measured with</h2><table class="facts">{facts}</table>')
    return html_of(report.title, "\n" + "".join(parts))


def _notes(entry: Evaluated) -> list[str]:
    """Return lines about images that were cropped, look swapped, or were left out."""
    cropped = [f"{entry.cropped} larger than the frame: their centre is evaluated"]
    swapped = [swapped_in_words(entry.swapped)] if entry.swapped else []
    left_out = [f"left out: {line}" for line in entry.left_out]
    return (cropped if entry.cropped else []) + swapped + left_out


def counted(images: int, kind: str) -> str:
    """Return the number of images in words, for example "3 images". kind: of the data set."""
    return f"{images} " + _COUNTED[kind].format(s="" if images == 1 else "s")


# Field of Costs -> (heading, meaning).
_SIZES = {
    "disk": ("files", "all files of the bundle"),
    "weights": ("weights", "the network's constants"),
    "skip": ("skip", "encoder tensors kept for the decoder while the bottleneck runs"),
    "held": ("held", "tensors that one stage of windows makes for a later one"),
    "peak_live": ("peak live", "the largest sum of activations alive at once"),
    "arena": ("arena", "the same, laid out in memory"),
    "predicted": ("predicted", "what a run is expected to take: on this processor, or on a GPU"),
}


def _candidates(candidates: Sequence[Candidate]) -> str:
    """Return the table of costs. Columns without any figure are left out."""
    first = candidates[0]
    columns: list[tuple[str, list[str]]] = [
        ("form", [f"{escape(c.name)}<small>{escape(_kind(c))}</small>" for c in candidates]),
        ("engine", [escape(c.engine) for c in candidates]),
        ("MACs in 8 bits", [_or_dash(c.macs_share, "{:.1%}") for c in candidates]),
        (
            "ms per frame",
            [
                f"{c.frame_ms:.1f}" + _times(first.frame_ms, c.frame_ms, " as fast")
                for c in candidates
            ],
        ),
    ]
    legend = []
    for name, (head, meaning) in _SIZES.items():
        sizes = [getattr(c.costs, name) for c in candidates]
        columns.append(
            (
                head,
                ["-" if s is None else format_bytes(s) + _times(s, sizes[0], "") for s in sizes],
            )
        )
        if any(size is not None for size in sizes):
            legend.append(f"<span><b>{head}</b>: {meaning}</span>")
    shown = [(head, cells) for head, cells in columns if set(cells) != {"-"}]
    rows = list(zip(*(cells for _, cells in shown), strict=True))
    table = _table(f"below a figure: against {first.name}", [head for head, _ in shown], rows)
    if not legend:
        return table
    return (
        f'{table}<p class="legend">{" ".join(legend)}</p>'
        '<p class="legend">From skip on: activations of one frame, computed from the graphs, '
        "not measured.</p>"
    )


def _kind(candidate: Candidate) -> str:
    target = "" if candidate.quantized_for is None else f" for {candidate.quantized_for}"
    return f"{candidate.precision}{target}"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _times(value: float, before: float | None, suffix: str) -> str:
    if not before or value == before:
        return ""
    return f"<small>{value / before:.2f}\N{MULTIPLICATION SIGN}{suffix}</small>"


def _measure(candidates: Sequence[Candidate], number: int, measure: Measure, given: str) -> str:
    """Return the table of a measure. given: what the images before the network are called."""
    first = candidates[0].results[number].figures
    if all(measure.read(figures) is None for figures in first):
        return ""
    rows = []
    if measure.noisy is not None:
        rows.append([given, *(_written(measure.noisy(f), measure) for f in first)])
    for candidate in candidates:
        row = [escape(candidate.name)]
        for figures, before in zip(candidate.results[number].figures, first, strict=True):
            cell = _written(measure.read(figures), measure)
            if candidate is not candidates[0]:
                cell += _difference(measure.read(figures), measure.read(before), measure)
            row.append(cell)
        rows.append(row)
    heads = ["", *(_level(f) for f in first)]
    return _table(measure.title, heads, rows)


def _level(figures: Figures) -> str:
    words = level_in_words(figures.noise, figures.sigma)
    return words if figures.sigma is None else f"{words}, {figures.noise}"


def _written(value: float | None, measure: Measure) -> str:
    if value is None or math.isnan(value):
        return "-"
    # Only +inf means equal; a gain of -inf means that an equal image was changed.
    return "equal" if value == math.inf else format(measure.scale * value, measure.form)


def _difference(value: float | None, reference: float | None, measure: Measure) -> str:
    if value is None or reference is None or not math.isfinite(value - reference):
        return ""
    gained = measure.scale * (value - reference)
    text = _signed(gained, measure.form)
    worse = text.strip("+-0.") and (gained < 0) is measure.more_is_better
    return f'<small class="worse">{text}</small>' if worse else f"<small>{text}</small>"


def _signed(value: float, form: str) -> str:
    """Return the number with its sign; a number that rounds to zero gets a plus."""
    text = format(value, f"+{form}")
    return text if text.strip("+-0.") else text.replace("-", "+")


def _legend(colours: Sequence[tuple[str, Colour]]) -> str:
    """Return the legend of the pictures below it."""
    labels = "".join(
        f'<span><i style="background: rgb{colour}"></i>{escape(name)}</span>'
        for name, colour in colours
    )
    return (
        f'<p class="legend">Pictures are windows of at most {WINDOW}x{WINDOW} pixels, where the '
        "difference is largest. In a difference grey is equal, brighter is more.</p>"
        + (f'<p class="legend">Labels: {labels}</p>' if labels else "")
    )


def _scenes(candidate: Candidate, scenes: Sequence[Scene], first: Candidate) -> str:
    if not scenes:
        return ""
    is_reference = candidate is first
    parts = [
        f"<h3>Where {escape(candidate.name)} {'is worst' if is_reference else 'loses most'}</h3>",
    ]
    for scene in scenes:
        spot = scene.spot
        scale, unit = (1, "dB") if spot.in_db else (100, "%")
        loss = _signed(-scale * spot.loss, ".2f")
        against = "" if is_reference else f" ({loss} against {first.name})"
        parts.append(
            f"<p>{escape(spot.image)}, {level_in_words(spot.noise, spot.sigma)}: "
            f"{escape(spot.measure)} "
            f"{scale * spot.figure:.2f} {unit}{escape(against)}; "
            f"window from row {scene.top}, column {scene.left}</p>"
            '<div class="scene">'
        )
        parts += [
            figure_of(png_of(panel.pixels), panel.title, starts_row=panel.starts_row)
            for panel in scene.panels
        ]
        parts.append("</div>")
    return "".join(parts)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table. Headings are escaped; cells must be HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>'
        f"<tr>{head}</tr>{body}</table></div>\n"
    )
