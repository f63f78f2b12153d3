"""``edgeunet eval --report``: several forms of one network on one page."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeunet.cli.console import note, print_table
from edgeunet.errors import UsageError
from edgeunet.files import check_writable, replacing_file
from edgeunet.processors import processor_name
from edgeunet.units import format_size

if TYPE_CHECKING:
    from edgeunet.evaluate.backends import Backend
    from edgeunet.evaluate.evaluation import Levels, Result
    from edgeunet.evaluate.report_document import Report
    from edgeunet.evaluate.truth import DataSet

_WORST = 3
_PAGE, _DOCUMENT = ".html", ".json"

Open = Callable[[str], "Backend"]
OpenSets = Callable[["Backend"], "list[DataSet]"]
Evaluate = Callable[["Backend", "DataSet"], "Result"]


def check_report(report: Path | None, against: Sequence[str], csv_file: Path | None) -> None:
    """Raise UsageError for options that would fail only after the work."""
    if report is None:
        if against:
            raise UsageError(
                "--against compares on a page, and none is asked for",
                hint="add --report FILE.html",
            )
        return
    if report.suffix.lower() != _PAGE or report.is_dir():
        raise UsageError(
            f"--report {str(report)!r} is no HTML file",
            hint="name one, like report.html; a report.json is written beside it",
        )
    if csv_file is not None:
        raise UsageError(
            "--report and --csv are two ways to keep figures", hint="leave one of them out"
        )
    check_writable(report)
    check_writable(report.with_suffix(_DOCUMENT))


def make_report(
    names: Sequence[str],
    levels: Callable[[Backend], Levels],
    *,
    open_backend: Open,
    open_sets: OpenSets,
    evaluate: Evaluate,
) -> Report:
    """Evaluate every form in turn, then show the images on which each is worst.

    names: as the user gave them; the others are compared with the first.
    """
    from edgeunet.evaluate.forms_report import (
        Timed,
        candidate_of,
        check_alike,
        colours_of,
        scenes_of,
        worst_spots,
    )
    from edgeunet.evaluate.report_document import Evaluated, Report

    with contextlib.ExitStack() as stack:
        opened = []
        for name in names:
            opened.append(open_backend(name))
            stack.callback(opened[-1].close)
        # Forms with the same name are shown with their path.
        short = [backend.name for backend in opened]
        shown = short if len(set(short)) == len(short) else names
        backends = [Timed(one, name) for one, name in zip(opened, shown, strict=True)]
        first = backends[0]
        for other in backends[1:]:
            check_alike(first, other)
        chosen = levels(first)
        candidates = []
        for backend in backends:
            sets = open_sets(backend)
            results = [evaluate(backend, entry) for entry in sets]
            candidates.append(candidate_of(backend, results))
        scenes = []
        for number in range(len(sets)):
            of_set = []
            for backend, candidate in zip(backends, candidates, strict=True):
                spots = worst_spots(
                    candidates[0].results[number], candidate.results[number], _WORST
                )
                data = open_sets(first)[number]
                of_set.append(tuple(scenes_of(spots, data, chosen, first, backend)))
            scenes.append(tuple(of_set))
    return Report(
        title=f"{first.network.name}: {', '.join(c.name for c in candidates)}",
        candidates=tuple(candidates),
        sets=tuple(
            Evaluated(
                name=entry.name,
                kind=entry.kind,
                images=candidates[0].results[number].figures[0].images,
                cropped=entry.cropped,
                left_out=tuple(entry.left_out),
                swapped=tuple(entry.swapped),
                scale=first.scale,
            )
            for number, entry in enumerate(sets)
        ),
        scenes=tuple(scenes),
        colours=colours_of(first.backend),
        facts={
            "weights": _distinct(c.weights for c in candidates),
            "frames": _distinct(
                "any size" if b.frame is None else format_size(*b.frame) for b in backends
            ),
            "processor": f"{processor_name()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            **{name: _version(name) for name in ("edgeunet", "onnxruntime", "numpy")},
            "noise": _noise_in_words({entry.kind for entry in sets}, chosen.seed),
            "milliseconds": "median over the frames evaluated, in one process, in turn",
        },
    )


def write_report(path: Path, report: Report) -> dict[str, Any]:
    """Write the page and the JSON document beside it; return the document."""
    from edgeunet.evaluate.report_document import document_of_report
    from edgeunet.evaluate.report_page import page_of

    document = document_of_report(report)
    for target, text in (
        (path, page_of(report)),
        (path.with_suffix(_DOCUMENT), json.dumps(document, indent=2) + "\n"),
    ):
        with replacing_file(target) as beside:
            beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        note(f"wrote {target}")
    return document


# (key in the document, column heading, scale, number format).
_COLUMNS = (
    ("psnr_db", "PSNR dB", 1, ".2f"),
    ("gain_db", "gain dB", 1, ".2f"),
    ("worst_gain_db", "worst gain dB", 1, ".2f"),
    ("ssim", "SSIM", 1, ".4f"),
    ("mean_iou", "mIoU %", 100, ".2f"),
    ("accuracy", "accuracy %", 100, ".2f"),
    ("flicker", "flicker", 1, ".2f"),
    ("label_change_share", "labels changed %", 100, ".2f"),
)
# All forms have the same noisy images, so gains differ exactly as PSNR does.
_GAIN = "gain_db"


def print_report(document: dict[str, Any]) -> None:
    """Print the figures of the page, one table per set; measures without data are left out."""
    from edgeunet.evaluate.report_page import counted

    first = document["candidates"][0]
    for entry in document["data"]:
        before = entry["results"][0]["levels"]
        columns = [
            column for column in _COLUMNS if any(level[column[0]] is not None for level in before)
        ]
        rows = []
        for candidate, result in zip(document["candidates"], entry["results"], strict=True):
            for level, reference in zip(result["levels"], before, strict=True):
                row = [candidate["name"], *_level(level)]
                for key, _, scale, form in columns:
                    value, known = level[key], reference[key]
                    unknown = candidate is first or value is None or known is None
                    row.append("-" if value is None else format(scale * value, form))
                    if key != _GAIN:
                        row.append("" if unknown else format(scale * (value - known), f"+{form}"))
                row.append(f"{candidate['frame_ms']:.1f}")
                rows.append(row)
        heads = [
            text
            for key, head, _, _ in columns
            for text in ((head,) if key == _GAIN else (head, ""))
        ]
        print_table(
            f"{entry['data']}: {counted(entry['images'], entry['kind'])}, against {first['name']}",
            ("form", "noise", "sigma", *heads, "ms per frame"),
            rows,
            text_columns=2,
        )


def _noise_in_words(kinds: Collection[str], seed: int) -> str:
    """Return a description of the noise that sets of these kinds are evaluated with."""
    from edgeunet.evaluate.truth import PAIRS

    real = "pairs: as the camera made it, none added"
    if set(kinds) == {PAIRS}:
        return real
    added = f"additive white Gaussian, seed {seed}; uint8: clipped to 8 bits, float: not clipped"
    return f"{added}; {real}" if PAIRS in kinds else added


def _level(level: dict[str, Any]) -> tuple[str, str]:
    from edgeunet.evaluate.protocol import NoiseKind

    if level["sigma"] is None:
        return NoiseKind(level["noise"]).words, "-"
    return level["noise"], f"{level['sigma']:g}"


def _distinct(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
