"""--budget, --tile and --board of ``edgeunet memory`` and ``export``: meanings and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.boards import board_ids, find_board
from edgeunet.cli.choices import read_plan_request
from edgeunet.errors import UsageError
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.units import MIB
from tests.cli.command import Ran, contents, edgeunet
from tests.cli.plans.tiny_recipe import VERBS, words

WRONG = {
    "two limits": (
        ("--budget", "1GiB", "--board", "nano-4gb"),
        "a budget and a board both give a byte limit",
        "leave one of them out",
    ),
    "no memory": (("--budget", "0"), "a budget of 0 bytes is no memory at all", "128MiB"),
    "not even a byte": (("--budget", "0.2"), "a budget of 0 bytes is no memory at all", "128MiB"),
    "less than nothing": (("--budget=-5MiB",), "'-5MiB' is not a size in bytes", "128MiB"),
    "no bytes": (("--budget", "12 parsecs"), "'12 parsecs' is not a size in bytes", "128MiB"),
    "decimal units": (("--budget", "128MB"), "'128MB' is not a size in bytes", "128MiB"),
    "more than there is": (
        ("--budget", "9" * 400 + "GiB"),
        "9... is more memory than there is",
        "128MiB",
    ),
    "no board": (("--board", "orin-nano"), "there is no board 'orin-nano'", "orin-nano-4gb"),
    "no tile": (("--tile", "wide"), "--tile 'wide' is no tile size", "256x256, or auto, or none"),
    "half a tile": (("--tile", "256"), "--tile '256' is no tile size", "auto, or none"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("options", "error", "hint"), WRONG.values(), ids=WRONG)
def test_a_wrong_option(
    verb: str, options: tuple[str, ...], error: str, hint: str, recipe: Path, there: Path
) -> None:
    ran = edgeunet(*words(verb, recipe), *options)
    assert ran.code == 2
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert ran.notes == [], "nothing was begun"
    assert contents(there) == {}


def test_an_unknown_board_lists_them_all() -> None:
    ran = edgeunet("memory", "unetmm", "--board", "raspberry")
    assert ran.code == 2
    assert all(board in ran.failure[1] for board in board_ids())


REFUSED = {
    "too small a window": (
        ("--tile", "8x8"),
        2,
        "windows of 8x8 are too small, so tiny cannot run in them",
        r"use {window} or more, in multiples of 8",
    ),
    "no multiple": (
        ("--tile", "101x101"),
        2,
        "windows of 101x101 are no multiples of 8, so tiny cannot run in them",
        r"use {window} or more, in multiples of 8",
    ),
    "too small a budget": (
        ("--budget", "200KiB"),
        1,
        "200.0 KiB is too little for tiny at 120x190",
        r"the smallest budget that fits is {mib}",
    ),
    "too small a budget for windows": (
        ("--budget", "200KiB", "--tile", "64x64"),
        1,
        "200.0 KiB is too little for tiny at 120x190 in windows of 64x64",
        r"the smallest budget that fits is {mib}",
    ),
    "too small a budget for the whole": (
        ("--budget", "1MiB", "--tile", "none"),
        1,
        "whole frames are predicted to take",
        r"a budget of {mib} fits them; without --tile none, windows may fit this one",
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("options", "code", "error", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_no_plan_can_do(
    verb: str,
    options: tuple[str, ...],
    code: int,
    error: str,
    hint: str,
    recipe: Path,
    there: Path,
) -> None:
    """Two lines, no bundle, nothing left in the folder it would have been in."""
    ran = edgeunet(*words(verb, recipe), *options)
    assert ran.code == code
    said, helps = ran.failure
    assert said.startswith(error)
    before, _, after = hint.partition("{")
    assert helps.startswith(before)
    assert helps.endswith(after.partition("}")[2])
    assert contents(there) == {}
    if verb == "memory" and after:
        works = helps.removeprefix(before).split()[0]
        option = "--tile" if after.startswith("window") else "--budget"
        window = options[2:] if option == "--budget" else ()
        again = edgeunet(*words(verb, recipe), option, works, *window, "--json")
        assert again.code == 0, again.err


@pytest.mark.parametrize("options", [("--budget", "1GiB"), ("--tile", "auto")])
def test_a_bundle_is_planned_already(options: tuple[str, ...], exported: tuple[Path, Ran]) -> None:
    ran = edgeunet("memory", exported[0], *options)
    assert ran.code == 2
    assert "a budget, windows or processors cannot change windowed.bundle" in ran.failure[0]


@pytest.mark.parametrize(
    ("budget", "window", "board", "wanted"),
    [
        (None, None, None, WHOLE_FRAME),
        ("64MiB", None, None, PlanRequest(budget_bytes=64 * MIB)),
        ("64MiB", "auto", None, PlanRequest(budget_bytes=64 * MIB, auto=True)),
        (None, "auto", None, PlanRequest(auto=True)),
        (None, "none", None, WHOLE_FRAME),
        ("64MiB", "none", None, PlanRequest(budget_bytes=64 * MIB, whole=True)),
        (None, "96x128", None, PlanRequest(window=(96, 128))),
        ("64MiB", "96x128", None, PlanRequest(budget_bytes=64 * MIB, window=(96, 128))),
    ],
)
def test_what_the_options_ask_for(
    budget: str | None, window: str | None, board: str | None, wanted: PlanRequest
) -> None:
    assert read_plan_request(budget, window, board) == wanted


def test_a_board_is_a_budget_with_weights() -> None:
    usable = find_board("orin-nano-4gb").usable_bytes
    for window, wanted in (
        (None, PlanRequest(usable, weights_included=True)),
        ("auto", PlanRequest(usable, auto=True, weights_included=True)),
        ("none", PlanRequest(usable, whole=True, weights_included=True)),
        ("64x96", PlanRequest(usable, window=(64, 96), weights_included=True)),
    ):
        assert read_plan_request(None, window, "orin-nano-4gb") == wanted
    with pytest.raises(UsageError):
        read_plan_request("1GiB", "auto", "orin-nano-4gb")
