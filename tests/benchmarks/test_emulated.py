"""The smallest region that a trace fits in."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from benchmarks.emulated import needed_region

# Two results, the first freed before a third: 3 MiB at once, in pieces of 1 MiB.
PIECE = 1 << 20
EVENTS = [PIECE, 2 * PIECE, -1, PIECE, -2, -4]


def test_a_region_is_what_is_alive_at_once() -> None:
    needed = needed_region([([], EVENTS)])
    assert 3 * PIECE <= needed <= 3 * PIECE * 1.01


def test_packed_weights_of_every_stage_stay() -> None:
    needed = needed_region([([PIECE], EVENTS), ([2 * PIECE], [PIECE, -1])])
    assert 6 * PIECE <= needed <= 6 * PIECE * 1.01


def test_nothing_needs_next_to_nothing() -> None:
    assert needed_region([([], [])]) == 1
