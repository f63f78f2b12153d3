"""Draws the gain of every frame of a clip as a line, in SVG that stands in the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from edgeunet.evaluate.evaluation import Figures, Result
from edgeunet.evaluate.forms_report import Candidate
from edgeunet.evaluate.protocol import level_in_words

_WIDTH, _HEIGHT, _MARGIN = 720, 160, 44
# Told apart with any colour vision (Okabe and Ito, 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def gain_charts(candidates: Sequence[Candidate], number: int) -> str:
    """Return the HTML of one chart per noise level of a data set; nothing unless it is a clip.

    number: of the data set.
    """
    results = [candidate.results[number] for candidate in candidates]
    return "".join(
        _chart([c.name for c in candidates], results, figures)
        for figures in results[0].figures
        if figures.temporal is not None
    )


def _chart(names: Sequence[str], results: Sequence[Result], level: Figures) -> str:
    lines = [_gains(result, level) for result in results]
    drawn = [gain for line in lines for gain in line if gain is not None]
    if not drawn:
        return ""
    low, high = math.floor(min(drawn)), math.ceil(max(drawn))
    high += high == low
    words = level_in_words(level.noise, level.sigma)
    parts = [_text(high, high, low, f"{high:+d} dB"), _text(low, high, low, f"{low:+d} dB")]
    legend = []
    for index, (name, line) in enumerate(zip(names, lines, strict=True)):
        colour = _COLOURS[index % len(_COLOURS)]
        parts += [
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'
            for points in _pieces(line, low, high)
        ]
        legend.append(f'<span><i style="background: {colour}"></i>{escape(name)}</span>')
    return (
        f'<p class="legend">Gain of every frame, {escape(words)}: {" ".join(legend)}</p>'
        f'<div class="wide"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" aria-label="gain of every frame">{"".join(parts)}'
        "</svg></div>\n"
    )


def _gains(result: Result, level: Figures) -> list[float | None]:
    """Return the gain of every frame in dB; None where there is none, or an infinite one."""
    return [
        row.gain_db if row.gain_db is not None and math.isfinite(row.gain_db) else None
        for row in result.rows
        if (row.noise, row.sigma) == (str(level.noise), level.sigma)
    ]


def _pieces(line: Sequence[float | None], low: int, high: int) -> list[str]:
    """Return the points of each unbroken piece of a line."""
    step = (_WIDTH - _MARGIN) / max(1, len(line) - 1)
    pieces: list[list[str]] = [[]]
    for index, gain in enumerate(line):
        if gain is None:
            pieces.append([])
            continue
        pieces[-1].append(f"{_MARGIN + index * step:.1f},{_row(gain, high, low):.1f}")
    return [" ".join(piece) for piece in pieces if piece]


def _row(gain: float, high: int, low: int) -> float:
    return 12 + (high - gain) / (high - low) * (_HEIGHT - 24)


def _text(gain: int, high: int, low: int, words: str) -> str:
    row = _row(gain, high, low)
    return (
        f'<line x1="{_MARGIN}" x2="{_WIDTH}" y1="{row:.1f}" y2="{row:.1f}" stroke="var(--line)"/>'
        f'<text x="0" y="{row + 4:.1f}" font-size="11" fill="var(--quiet)">{words}</text>'
    )
