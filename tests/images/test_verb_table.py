"""Every verb reads the same picture, and the page of findings says what it is."""

from __future__ import annotations

import itertools

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
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    groups = itertools.groupby(lines, lambda line: line.startswith("|"))
    # Without the heading and the line below it.
    printed = [list(group)[2:] for is_table, group in groups if is_table]
    for part in tables:
        rows = [f"| {' | '.join(row)} |" for row in part]
        assert rows in printed


def test_all_verbs_agree_and_none_is_wrong(tables: list[list[list[str]]]) -> None:
    files, names, labels = tables
    wanted = ["refused" if kind.truth is None else "right" for kind in kinds()]
    assert [row[1:] for row in files] == [[word] * 5 for word in wanted]
    assert [row[1:] for row in names] == [["right"] * 5] * len(NAMES)
    meant = ["refused" if truth is None else "right" for _, _, truth in label_files()]
    assert [row[1:] for row in labels] == [[word] * 2 for word in meant]


def test_there_are_enough_of_them(tables: list[list[list[str]]]) -> None:
    assert sum(map(len, tables)) >= 80
