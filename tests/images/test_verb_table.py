"""Every verb reads the same picture, and the page of findings says what it is."""

from __future__ import annotations

import pytest

from tests.house.source import ROOT
from tests.images.file_kinds import kinds
from tests.images.verb_table import NAMES, label_files, table

PAGE = ROOT / "docs" / "findings" / "files.md"


@pytest.fixture(scope="module")
def tables() -> list[list[list[str]]]:
    """Return the cells of every row of every table, without their heads."""
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines()[2:]]
        for part in table().split("\n\n")
    ]


def test_the_page_has_these_tables(tables: list[list[list[str]]]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [row for part in tables for row in part]
    missing = [row for row in rows if f"| {' | '.join(row)} |" not in page]
    assert missing == []
    assert sum(line.startswith("| ") for line in page.splitlines()) == len(rows) + 2 * len(tables)


def test_all_verbs_agree_and_none_is_wrong(tables: list[list[list[str]]]) -> None:
    files, names, labels = tables
    wanted = ["refused" if kind.truth is None else "right" for kind in kinds()]
    assert [row[1:] for row in files] == [[word] * 5 for word in wanted]
    assert [row[1:] for row in names] == [["right"] * 5] * len(NAMES)
    meant = ["refused" if truth is None else "right" for _, _, truth in label_files()]
    assert [row[1:] for row in labels] == [[word] * 2 for word in meant]


def test_there_are_enough_of_them(tables: list[list[list[str]]]) -> None:
    assert sum(map(len, tables)) >= 80
