"""The commands in documents exist: edgeunet lines parse, make targets and benchmarks are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from edgeunet.cli import verbs
from edgeunet.cli.app import app
from tests.house.definitions import benchmark_options
from tests.house.references import DOCUMENTS
from tests.house.source import ROOT

README = ROOT / "README.md"

_BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")
_STOPS = {"|", "||", "&&", "&", ";", ">", ">>", "<"}


def _commands(*documents: Path) -> Iterator[list[str]]:
    """Yield every simple command of the documents' shell blocks as its words."""
    texts = [path.read_text(encoding="utf-8") for path in documents]
    for block in (block for text in texts for block in _BLOCK.findall(text)):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in _STOPS:
                    words.append(word)
                    continue
                while words and _ASSIGNMENT.fullmatch(words[0]):
                    words = words[1:]
                if words:
                    yield words
                words = []


def _commands_of(program: str, *documents: Path) -> list[list[str]]:
    found = _commands(*(documents or DOCUMENTS))
    return [words[1:] for words in found if words[0].rpartition("/")[2] == program]


@pytest.fixture(scope="module")
def root() -> Any:
    verbs.register(app)
    return typer.main.get_command(app)


def test_readme_shows_the_command_line() -> None:
    assert len(_commands_of("edgeunet", README)) >= 3
    assert _commands_of("make", README)


def test_the_way_to_a_board_shows_every_step() -> None:
    verbs = {words[0] for words in _commands_of("edgeunet", ROOT / "docs" / "jetson.md")}
    assert {"export", "doctor", "build", "run"} <= verbs


@pytest.mark.parametrize("arguments", _commands_of("edgeunet"), ids=" ".join)
def test_edgeunet_lines_parse(
    arguments: list[str], root: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A configuration is read when its option is parsed.
    (tmp_path / "camera.toml").write_text('source = "csi://0"\nbundle = "cam.bundle"\n')
    monkeypatch.chdir(tmp_path)
    if arguments[0].startswith("-"):
        assert arguments[0] in ("--help", "-h", "--version")
        return
    verb, *rest = arguments
    assert verb in root.commands, f"there is no verb {verb!r}"
    if rest not in (["--help"], ["-h"]):
        # Parses and converts every argument, without running the command.
        root.commands[verb].make_context(verb, rest)


@pytest.mark.parametrize("arguments", _commands_of("make"), ids=" ".join)
def test_make_targets_exist(arguments: list[str]) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {word for word in arguments if not word.startswith("-") and "=" not in word}
    assert named <= targets


@pytest.mark.parametrize("arguments", _commands_of("python"), ids=" ".join)
def test_benchmarks_exist_and_take_what_they_are_given(arguments: list[str]) -> None:
    if arguments[0] != "-m" or not arguments[1].startswith("benchmarks."):
        return
    known = benchmark_options(arguments[1].removeprefix("benchmarks."))
    assert {word for word in arguments if word.startswith("--")} <= known
