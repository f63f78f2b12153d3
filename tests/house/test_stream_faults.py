"""The table of faults of live streams names tests that exist, and all that it should."""

from __future__ import annotations

import ast
import re

from tests.house.source import ROOT

_PAGE = ROOT / "docs" / "findings" / "stream-faults.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_row_names_a_test_that_exists() -> None:
    rows = [line for line in _PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 40
    for row in rows:
        match = _TEST.search(row)
        assert match is not None, row
        tree = ast.parse((ROOT / match[1]).read_text("utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert match[2] in names, f"{match[1]} has no {match[2]}"
