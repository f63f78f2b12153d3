"""``edgeunet export --tune``: windows that are timed on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeunet.bundle import open_bundle
from edgeunet.units import MIB
from tests.cli.command import contents, edgeunet
from tests.cli.plans.tiny_recipe import words


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        (("--tile", "64x96"), "tuning chooses the windows", "leave one of them out"),
        (("--tile", "none"), "tuning chooses the windows", "leave one of them out"),
        (("--fp16",), "--tune times onnxruntime on this machine", "export --fp32"),
    ],
)
def test_tuning_what_cannot_be_tuned(
    options: tuple[str, ...], error: str, hint: str, recipe: Path, there: Path
) -> None:
    ran = edgeunet(*words("export", recipe), "--tune", *options)
    assert ran.code == 2
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert contents(there) == {}


def test_a_tuned_export_of_whole_frames_says_that_they_are_the_fastest(
    recipe: Path, there: Path
) -> None:
    ran = edgeunet(*words("export", recipe), "--size", "16x16", "--tune")
    assert ran.code == 0, ran.err
    whole = "frames of 16x16 run whole: of what was timed that is the fastest" in ran.err
    assert whole == (open_bundle(next(there.iterdir())).manifest.plan is None)


def test_a_tuned_export_keeps_its_budget(recipe: Path, there: Path) -> None:
    ran = edgeunet(*words("export", recipe), "--tune", "--budget", "3MiB", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["plan"]["predicted_bytes"] <= document["plan"]["budget_bytes"] == 3 * MIB
    refused = edgeunet(*words("export", recipe), "--tune", "--budget", "512KiB")
    assert refused.code == 1
    assert "is too little for" in refused.failure[0]
