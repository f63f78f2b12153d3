"""ARCHITECTURE.md's tables of rooms and of owners are those that tests enforce."""

from __future__ import annotations

from tests.house.quoted import table_below
from tests.house.source import ROOT
from tests.house.test_layers import RANKS
from tests.house.test_owners import OWNERS

DOCUMENT = ROOT / "ARCHITECTURE.md"
_MOST_LINES = 240


def _names(cell: str) -> list[str]:
    return [name.strip("`") for name in cell.split(", ")]


def test_the_rooms_have_their_ranks() -> None:
    listed = [
        (name.removesuffix("/").removesuffix(".py"), int(rank))
        for names, _, rank in table_below(DOCUMENT, "## Rooms")
        for name in _names(names)
    ]
    assert sorted(listed) == sorted(RANKS.items())


def test_the_owners_are_listed() -> None:
    listed = [
        (package, tuple(_names(owners)))
        for packages, owners in table_below(DOCUMENT, "## Owners")
        for package in _names(packages)
    ]
    assert sorted(listed) == sorted(OWNERS.items())


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(DOCUMENT.read_text(encoding="utf-8").splitlines()) <= _MOST_LINES
