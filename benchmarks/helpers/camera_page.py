"""The tables of ``camera.csv`` as they stand in a page, between two marker comments."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.helpers.camera_rows import (
    ALL,
    BM3D,
    FEW,
    FP32_BUNDLE,
    GRIDS,
    INT8_BUNDLE,
    NLM,
    NOISY,
    NONE,
    REAL,
    WHITE,
    SummaryRow,
)
from edgeunet.files import replacing_file

BEGIN = "<!-- tables of camera.csv: begin -->"
END = "<!-- tables of camera.csv: end -->"

_FACTS = ("device", "edgeunet", "torch", "onnxruntime", "opencv-python", "bm3d", "scikit-image")

Cells = Sequence[str]


def update_page(path: Path, summary: Sequence[SummaryRow]) -> None:
    """Replace what stands between the markers of a page by the tables.

    Raises SystemExit when the page does not have both markers once, in their order.
    """
    before, _ = split_page(path)
    text = path.read_text(encoding="utf-8")
    after = text[text.index(END) :]
    with replacing_file(path) as beside:
        beside.write_text(f"{before}{BEGIN}\n{tables(summary)}{after}", encoding="utf-8")


def split_page(path: Path) -> tuple[str, str]:
    """Return what stands in a page before its tables, and the tables."""
    if not path.is_file():
        raise SystemExit(f"there is no page {str(path)!r}")
    text = path.read_text(encoding="utf-8")
    if (text.count(BEGIN), text.count(END)) != (1, 1) or text.index(END) < text.index(BEGIN):
        raise SystemExit(f"{path} does not have the lines {BEGIN!r} and {END!r} once each")
    before, _, rest = text.partition(BEGIN)
    return before, rest[: rest.index(END)].removeprefix("\n")


def tables(summary: Sequence[SummaryRow]) -> str:
    """Return the tables as Markdown; one that nothing was measured for is left out."""
    real = [row for row in summary if row.noise == REAL]
    clean = [row for row in summary if row.noise == NONE]
    white = [row for row in summary if row.noise == WHITE]
    parts = [
        *_in_words(real, ALL, NLM),
        *_pairs_table(real, clean),
        *_few_table(real),
        *_in_words(real, FEW, BM3D),
        *_white_table(white),
        *_int8_table(real),
        *_strengths(real),
        *_source(summary),
    ]
    return "".join(f"\n{part}\n" for part in parts) + "\n"


def _pairs_table(real: Sequence[SummaryRow], clean: Sequence[SummaryRow]) -> Iterator[str]:
    rows = _compared(real, ALL)
    if not rows:
        return
    cameras = [s for s in dict.fromkeys(row.subset for row in real) if s not in (ALL, FEW)]
    unharmed = {(r.method, r.form, r.setting): r.psnr_db for r in clean if r.subset == ALL}
    by_camera = {
        (r.method, r.form, r.setting, r.subset): r.gain_db
        for r in real
        if r.subset in cameras and r.method != NOISY
    }
    yield f"### All {rows[0].images} pairs"
    heads = ["method", "PSNR, dB", "gain, dB", "least gain, dB", "SSIM"]
    heads += [f"gain on {camera}, dB" for camera in cameras]
    heads += ["of the clean photograph, dB"]
    body = []
    for row in rows:
        key = (row.method, row.form, row.setting)
        body.append(
            [
                *_cells(row),
                *(_gain(by_camera.get((*key, camera))) for camera in cameras),
                _decibels(unharmed.get(key)),
            ]
        )
    yield _table(heads, body)


def _few_table(real: Sequence[SummaryRow]) -> Iterator[str]:
    rows = _compared(real, FEW)
    if not any(row.method == BM3D for row in rows):
        return
    yield f"### {rows[0].images} pairs, every sixth by name, with BM3D"
    heads = ["method", "PSNR, dB", "gain, dB", "least gain, dB", "SSIM"]
    yield _table(heads, [_cells(row) for row in rows])


def _white_table(white: Sequence[SummaryRow]) -> Iterator[str]:
    if not white:
        return
    first = white[0]
    sigmas = sorted({row.sigma for row in white if row.sigma is not None})
    found = {(row.method, row.sigma): row.psnr_db for row in white}
    methods = dict.fromkeys(row.method for row in white if row.method != NOISY)
    yield f"### White noise in floats, {first.images} photographs of `{first.data}`"
    yield _table(
        ["PSNR, dB", *(f"sigma {sigma:g}" for sigma in sigmas)],
        [[m, *(_decibels(found.get((m, sigma))) for sigma in sigmas)] for m in methods],
    )


def _int8_table(real: Sequence[SummaryRow]) -> Iterator[str]:
    here = [row for row in real if row.subset == ALL]
    floats = {row.method: row for row in here if row.form == FP32_BUNDLE}
    rows = [row for row in here if row.form == INT8_BUNDLE and row.method in floats]
    if not rows:
        return
    yield f"### Bundles for onnxruntime, all {rows[0].images} pairs"
    yield _table(
        ["bundle", "FP32, dB", "INT8, dB", "INT8 loses, dB"],
        [
            [
                row.method,
                _decibels(floats[row.method].psnr_db),
                _decibels(row.psnr_db),
                _with_interval(row.int8_loss_db, row.int8_loss_half_width_db, sign=""),
            ]
            for row in rows
        ],
    )


def _strengths(real: Sequence[SummaryRow]) -> Iterator[str]:
    """Yield what every strength that was tried gives."""
    for method, grid in GRIDS.items():
        subset = ALL if any(r.method == method and r.subset == ALL for r in real) else FEW
        rows = [row for row in real if (row.method, row.subset) == (method, subset)]
        if rows:
            yield f"### Strengths of {method} that were tried, {rows[0].images} pairs"
            yield _table(
                [grid.word, *(row.setting.removeprefix(f"{grid.word} ") for row in rows)],
                [["PSNR, dB", *(_decibels(row.psnr_db) for row in rows)]],
            )


def _in_words(real: Sequence[SummaryRow], subset: str, method: str) -> Iterator[str]:
    """Yield what the best network gains, and what a method without a network does."""
    rows = _compared(real, subset)
    networks = [row for row in rows if row.weights_sha256 and row.gain_db is not None]
    others = [row for row in rows if row.method == method]
    if networks:
        best = max(networks, key=lambda row: row.psnr_db)
        words = f"On {best.images} pairs the best network, {_name(best)}, {_gains(best)}; "
        yield words + (
            f"{_name(others[0])} {_gains(others[0])}." if others else f"{method} was not measured."
        )


def _name(row: SummaryRow) -> str:
    return f"{row.method} with {row.setting}" if row.setting else row.method


def _gains(row: SummaryRow) -> str:
    return f"gains {_with_interval(row.gain_db, row.gain_half_width_db)} dB"


def _source(summary: Sequence[SummaryRow]) -> Iterator[str]:
    dates = sorted({row.facts["date"] for row in summary if row.facts.get("date")})
    if dates:
        facts = [
            f"{name.replace('device', '').strip()} {value}".strip()
            for name in _FACTS
            for value in dict.fromkeys(row.facts.get(name, "") for row in summary)
            if value
        ]
        days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        yield f"Measured {days} on: {', '.join(facts)}."


def _compared(real: Sequence[SummaryRow], subset: str) -> list[SummaryRow]:
    """Return the rows that stand beside each other: networks in torch, others at their best."""
    return [
        row
        for row in real
        if row.subset == subset and row.best and row.form not in (FP32_BUNDLE, INT8_BUNDLE)
    ]


def _cells(row: SummaryRow) -> list[str]:
    name = f"{row.method}, {row.setting}" if row.setting else row.method
    if row.method == NOISY:
        return [name, _decibels(row.psnr_db), "", "", f"{row.ssim:.4f}"]
    return [
        name,
        _decibels(row.psnr_db),
        _with_interval(row.gain_db, row.gain_half_width_db),
        _gain(row.worst_gain_db),
        f"{row.ssim:.4f}",
    ]


def _with_interval(value: float | None, half_width: float | None, sign: str = "+") -> str:
    if value is None:
        return ""
    written = f"{value:{sign}.2f}"
    return written if half_width is None else f"{written} ± {half_width:.2f}"


def _decibels(value: float | None) -> str:
    return "" if value is None or math.isinf(value) else f"{value:.2f}"


def _gain(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def _table(heads: Cells, body: Sequence[Cells]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *body))
