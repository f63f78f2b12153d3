"""The search for the smallest region finds it."""

from __future__ import annotations

import pytest

from edgeunet.errors import EngineError
from tests.emulated.region import smallest


@pytest.mark.parametrize("needed", [100, 790, 1000, 3999])
def test_the_smallest_size_is_found(needed: int) -> None:
    found = smallest(lambda size: size >= needed, 1000, 0.01)
    assert needed <= found <= needed * 1.011 + 1


def test_no_size_below_the_first_that_fails_is_tried() -> None:
    """Limits below 300 are none, and everything runs."""
    tried = []

    def works(size: int) -> bool:
        tried.append(size)
        return size >= 900 or size < 300

    assert 900 <= smallest(works, 1000, 0.01) <= 910
    assert min(tried) > 700


def test_what_does_not_run_at_all_is_an_error() -> None:
    with pytest.raises(EngineError, match="4000 bytes are not enough"):
        smallest(lambda size: False, 1000, 0.01)
