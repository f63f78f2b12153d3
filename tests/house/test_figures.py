"""Figures that a document quotes are those of the file they come from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeunet.recipes import load_recipe, recipe_names
from tests.house import quoted, quoted_latency, quoted_processors, quoted_streams
from tests.house.quoted import Rows, kodak, one_row, rounded, rows_of, table_below
from tests.house.quoted_budgets import budgets
from tests.house.quoted_foreign import foreign_networks, networks_cut, regions
from tests.house.quoted_video import (
    joint_video,
    measured_gains,
    quoted_gains,
    video_colours,
    video_int8,
    video_networks,
    video_robustness,
    video_windows,
)
from tests.house.source import ROOT

README = ROOT / "README.md"
QUALITY = ROOT / "docs" / "quality.md"
FINDINGS = ROOT / "docs" / "findings"
CARDS = sorted((ROOT / "export" / "weights").glob("*.md"))
_KODAK = re.compile(r"Kodak.*?((?:\d+\.\d+ / )+\d+\.\d+) dB at sigma ([\d/ ]+)")


@pytest.mark.parametrize(
    ("document", "heading", "expected"),
    [
        (README, "## Any frame in any budget", quoted.frame_in_a_budget),
        (QUALITY, "## Photographs of real cameras", quoted.real_cameras),
        (QUALITY, "## White noise", quoted.white_noise),
        (QUALITY, "## Beside other methods", quoted.other_methods),
        (
            FINDINGS / "windows.md",
            "## Whole frames and windows",
            quoted.frames_whole_and_in_windows,
        ),
        (FINDINGS / "windows.md", "## Beside other engines", quoted.peers),
        (FINDINGS / "windows.md", "## Does a run keep to its limit?", budgets),
        (
            FINDINGS / "latency.md",
            "## Two threads",
            lambda: quoted_latency.latency("2", "wall_ratio"),
        ),
        (
            FINDINGS / "latency.md",
            "## One thread",
            lambda: quoted_latency.latency("1", "processor_ratio"),
        ),
        (FINDINGS / "latency.md", "## Workers", quoted_latency.workers),
        (FINDINGS / "joint.md", "## Through a camera, and in white noise", quoted.joint_in_noise),
        (FINDINGS / "joint.md", "## One network or two", quoted.joint_and_pair),
        (FINDINGS / "joint.md", "## With a memory of frames", joint_video),
        (FINDINGS / "int8.md", "## What is lost", quoted.int8_quality),
        (FINDINGS / "int8.md", "## What is saved and gained", quoted.int8_costs),
        (FINDINGS / "qat.md", "# Does a fine-tune with 8 bits pay?", quoted.qat),
        (FINDINGS / "foreign-networks.md", "## Fourteen networks", foreign_networks),
        (FINDINGS / "foreign-networks.md", "## Regions", regions),
        (FINDINGS / "foreign-networks.md", "## Every network of the zoo", networks_cut),
        (FINDINGS / "tensorrt-memory.md", "## Plans", quoted.tensorrt_plans),
        (FINDINGS / "video-networks.md", "## Measured", video_networks),
        (FINDINGS / "video-networks.md", "## Does it stay right?", video_robustness),
        (FINDINGS / "video-networks.md", "## What INT8 loses", video_int8),
        (FINDINGS / "video-networks.md", "## Windows and whole frames", video_windows),
        (FINDINGS / "files.md", "## Where the colours of a video lie", video_colours),
        (ROOT / "docs" / "video.md", "## Speed", quoted.video_files),
        (FINDINGS / "processors.md", "## Answers", quoted_processors.answers),
        (FINDINGS / "processors.md", "## Memory", quoted_processors.predicted_over_needed),
        (
            FINDINGS / "processors.md",
            "## INT8's layout on ARM64",
            quoted_processors.integer_layout,
        ),
        (
            FINDINGS / "streaming.md",
            "# Does a stream overlap its stages, and stay the same?",
            quoted_streams.streaming,
        ),
        (
            FINDINGS / "streaming.md",
            "## Where reading or writing takes longest",
            quoted_streams.coding_share,
        ),
        (FINDINGS / "streaming.md", "## How old a live frame is", quoted_streams.live_age),
        (
            FINDINGS / "bursts.md",
            "# Is training on bursts as good as training on clean images?",
            lambda: quoted.bursts("none"),
        ),
    ],
)
def test_a_table_is_that_of_its_source(
    document: Path, heading: str, expected: Callable[[], Rows]
) -> None:
    assert table_below(document, heading) == expected()


def test_spans_of_times_are_those_of_their_source() -> None:
    span = quoted_latency.latency_span
    whole = span("2", "wall_ratio", precision="fp32", windows="none")
    two = {
        name: span("2", "wall_ratio", precision=name, windows="auto", workers="2")
        for name in ("fp32", "int8")
    }
    readme = " ".join(README.read_text(encoding="utf-8").split())
    said = f"{whole} of the time of onnxruntime's defaults, `--tile auto --workers 2` {two['fp32']}"
    assert f"a whole frame takes {said}, and that in INT8 {two['int8']}" in readme
    goals = {
        "two threads, wall time: whole": whole,
        "`--tile auto`, two workers": two["fp32"],
        "INT8, `--tile auto`, two workers": two["int8"],
    }
    for precision, title in (("fp32", "`--tile auto`"), ("int8", "INT8, `--tile auto`")):
        goals[f"{title}, one worker"] = span(
            "2", "wall_ratio", precision=precision, windows="auto", workers="1"
        )
    goals["one thread, processor time: `--tile auto`"] = span(
        "1", "processor_ratio", precision="fp32", windows="auto"
    )
    table = table_below(FINDINGS / "latency.md", "## Beside the goals")
    assert {title: found for title, _, found in table} == goals


def test_the_readme_quotes_its_sources() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    best = one_row("camera", noise="camera", subset="all", method="fastNlMeans", best="True")
    noisy = one_row("camera", noise="camera", subset="all", method="noisy")
    share = int(one_row("memory", **_WHOLE, model="nafnet")["skip_bytes"]) / int(
        one_row("memory", **_WHOLE, model="unetmm")["skip_bytes"]
    )
    for sentence in (
        f"gains {rounded(str(quoted.camera_gain('unetmm-16')), 2)} dB",
        f"gains {rounded(best['gain_db'], 2)} dB",
        f"{noisy['images']} real photographs",
        f"to 1/{share:.0f}",
    ):
        assert sentence in text


_WHOLE = {"size": "1080x1920", "precision": "fp32", "run": "whole"}


@pytest.mark.parametrize("name", recipe_names())
def test_the_quality_of_a_recipe_is_that_of_its_source(name: str) -> None:
    for width, text in load_recipe(name).quality.items():
        _check_kodak(f"{name}-{width}", text)
        assert quoted_gains(text) == measured_gains(text, width)
        gain = re.search(r"real pairs ([+-][\d.]+) dB", text)
        if gain:
            assert float(gain[1]) == round(quoted.camera_gain(f"{name}-{width}"), 2)


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.stem)
def test_a_model_card_quotes_its_sources(card: Path) -> None:
    text = card.read_text(encoding="utf-8")
    _check_kodak(card.stem, text)
    width = card.stem.rpartition("-")[2]
    assert quoted_gains(text) == measured_gains(text, width)
    gain = re.search(r"answer ([\d.]+) dB \(([+-][\d.]+)\)", text)
    if gain:
        row = one_row("camera", noise="camera", subset="all", method=card.stem)
        assert gain[1] == rounded(row["psnr_db"], 2)
        assert float(gain[2]) == round(quoted.camera_gain(card.stem), 2)


def _check_kodak(name: str, text: str) -> None:
    for figures, sigmas in _KODAK.findall(text):
        measured = {row["sigma"]: row["psnr_db"] for row in kodak(name)}
        wanted = [rounded(measured[sigma], 2) for sigma in re.findall(r"\d+", sigmas)]
        assert figures.split(" / ") == wanted


def test_no_region_of_a_foreign_network_was_too_small() -> None:
    rows = quoted.rows_of("foreign_regions")
    assert len(rows) >= 80
    assert {row["holds"] for row in rows} == {"True"}


def test_every_result_is_named_by_a_document() -> None:
    texts = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "benchmarks" / "README.md", *ROOT.glob("docs/**/*.md"))
    )
    names = {path.name for path in quoted.RESULTS.glob("*.csv")}
    assert {name for name in names if name not in texts and not name.startswith("train_")} == set()
    assert rows_of("memory")
