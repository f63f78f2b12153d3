"""What the sources define: classes, functions, options and words, read without importing them."""

from __future__ import annotations

import ast
import csv
import functools
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.house.source import PACKAGE, ROOT

FOLDERS = ("edgeunet", "benchmarks", "tests", "export", "calibration", "docs", "examples")
# A string with gaps that has fewer fixed letters would match any word.
_FIXED_LETTERS = 5
_WORD = re.compile(r"_*[A-Za-z][\w.-]*")


@dataclass(frozen=True)
class Definitions:
    """Names by where they stand.

    by_file: every name that a Python file defines outside functions, private ones too. members:
    class -> its methods and attributes. words: arguments, strings of one word in the sources of
    the package and the benchmarks, fields of TOML files, columns of CSV files. patterns: the same
    for strings with gaps, such as ``f"ranges_{name}"``; a word may also be put together of two, as
    ``psnr_db`` and ``_camera``. toml_tables: such as ``train.camera``.
    """

    by_file: dict[Path, frozenset[str]]
    members: dict[str, frozenset[str]]
    words: frozenset[str]
    patterns: frozenset[str]
    toml_tables: frozenset[str]

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """Return what the package and the benchmarks define."""
        tests = ROOT / "tests"
        found = (names for path, names in self.by_file.items() if tests not in path.parents)
        return frozenset().union(*found)

    def knows(self, word: str) -> bool:
        if word in self.names or word in self.words:
            return True
        if any(re.fullmatch(pattern, word) for pattern in self.patterns):
            return True
        ends = (end for end in self.words if end.startswith("_") and word.endswith(end))
        return any(word.removesuffix(end) in self.words for end in ends)

    def of_module(self, path: Path) -> frozenset[str]:
        return self.by_file.get(path, frozenset())


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self.names: set[str] = set()
        self.words: set[str] = set()
        self.members: dict[str, set[str]] = defaultdict(set)
        self.patterns: set[str] = set()
        self._classes: list[str] = []
        self._depth = 0

    def _define(self, name: str) -> None:
        self.names.add(name)
        if self._classes:
            self.members[self._classes[-1]].add(name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._define(node.name)
        self._classes.append(node.name)
        self.generic_visit(node)
        self._classes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._define(node.name)
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._define(node.name)
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    def visit_arg(self, node: ast.arg) -> None:
        self.words.add(node.arg)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg:
            self.words.add(node.arg)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store) and not self._depth:
            self._define(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store):
            self._define(node.attr)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and _WORD.fullmatch(node.value):
            self.words.add(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        fixed = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        text = "".join(str(part) for part in fixed if part is not None)
        if len(text) >= _FIXED_LETTERS and re.fullmatch(r"\w+", text):
            self.patterns.add("".join(r"\w+" if part is None else str(part) for part in fixed))
        self.generic_visit(node)


@functools.cache
def definitions() -> Definitions:
    """Read every source file of the checkout; half a second."""
    by_file: dict[Path, frozenset[str]] = {}
    members: dict[str, set[str]] = defaultdict(set)
    words: set[str] = set()
    patterns: set[str] = set()
    for folder in ("edgeunet", "benchmarks", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            reader = _Reader()
            reader.visit(ast.parse(path.read_text(encoding="utf-8")))
            by_file[path] = frozenset(reader.names)
            for name, found in reader.members.items():
                members[name] |= found
            if folder != "tests":
                words |= reader.words
                patterns |= reader.patterns
    headings: set[str] = set()
    for path in (*ROOT.glob("export/*.toml"), *ROOT.glob("calibration/*.toml"), *_tables()):
        text = path.read_text(encoding="utf-8")
        headings |= set(re.findall(r"^\[+([\w.-]+)\]+$", text, re.MULTILINE))
        words |= set(re.findall(r"(?:^|[{,]) *\"?([\w.-]+)\"? = ", text, re.MULTILINE))
        words |= set(re.findall(r"\"([\w.-]+)\"", text))
    for path in (ROOT / "benchmarks" / "results").glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            words |= set(next(csv.reader(file)))
    return Definitions(
        by_file,
        {name: frozenset(found) for name, found in members.items()},
        frozenset(words),
        frozenset(patterns),
        frozenset(headings),
    )


def _tables() -> list[Path]:
    return [*PACKAGE.rglob("*.toml"), ROOT / "pyproject.toml"]


@functools.cache
def files() -> frozenset[Path]:
    """Return every file of the checkout that a document may name."""
    found = {path for path in ROOT.iterdir() if path.is_file()}
    for folder in FOLDERS:
        found |= {path for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts}
    return frozenset(path for path in found if path.is_file())


@functools.cache
def benchmark_options(script: str) -> frozenset[str]:
    """Return the options that ``benchmarks/SCRIPT.py`` takes.

    They are the strings in its source and in that of the helpers that it imports.
    """
    text = (ROOT / "benchmarks" / f"{script}.py").read_text(encoding="utf-8")
    for helper in re.findall(r"^from benchmarks\.helpers\.(\w+) import", text, re.MULTILINE):
        text += (ROOT / "benchmarks" / "helpers" / f"{helper}.py").read_text(encoding="utf-8")
    return frozenset(re.findall(r"\"(--[a-z][a-z-]*)\"", text))


@functools.cache
def extras() -> frozenset[str]:
    """Return the extras that ``pip install "edgeunet[...]"`` takes."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    return frozenset(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
