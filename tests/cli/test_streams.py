"""Streams that are closed, full, or of another encoding: no traceback, and no lost result."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from edgeunet.cli import console, main
from edgeunet.names import shown
from tests.bundle.tiny import tiny_bundle
from tests.images.image_writers import by_opencv, picture

REPOSITORY = Path(__file__).resolve().parents[2]
VERBS = {
    "run": ("run", "{folder}/frame [/b] ß.png", "{folder}/out", "--bundle", "{folder}/tiny"),
    "eval": ("eval", "{folder}/tiny", "{folder}/in", "--sigma", "25", "--csv", "{folder}/a.csv"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_bundle(tmp_path, 32, 48).path.rename(tmp_path / "tiny")
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "frame [/b] ß.png", tmp_path / "in" / "s\udcdf.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(by_opencv(picture(), ".png"))
    return tmp_path


def program(
    verb: str, folder: Path, shell: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a verb in a shell. shell: redirections of its streams."""
    words = [word.format(folder=folder) for word in VERBS[verb]]
    return subprocess.run(
        ["bash", "-c", f'"$@" {shell}', "bash", sys.executable, "-m", "edgeunet", *words],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )


def plain(text: str) -> str:
    """Return what a terminal shows, without its codes for bold text and colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def written(verb: str, folder: Path) -> bool:
    return (folder / "out" if verb == "run" else folder / "a.csv").exists()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("shell", [">&-", "2>&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_closed_streams_end_no_work(verb: str, shell: str, folder: Path) -> None:
    done = program(verb, folder, shell)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert written(verb, folder)


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_under_stdout_is_two_lines(verb: str, folder: Path) -> None:
    done = program(verb, folder, ">/dev/full")
    assert done.returncode == 1
    *_, error, hint = done.stderr.splitlines()
    assert error == "error: No space left on device"
    assert hint.startswith("hint: ")
    assert written(verb, folder)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "latin-1", "C"],
)
def test_streams_of_another_encoding(verb: str, variables: dict[str, str], folder: Path) -> None:
    done = program(verb, folder, "", **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert written(verb, folder)


def test_a_reader_that_goes_away(folder: Path) -> None:
    done = program("eval", folder, "| true")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert written("eval", folder)


def test_a_narrow_terminal_cuts_no_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    name, figures = "a name of [/b] some :smile: length", ("123456.789", "987654.321")
    console.print_table("the [b]title[/b]", ("name", "one", "two"), [(name, *figures)])
    printed = plain(capsys.readouterr().out)
    assert "the [b]title[/b]" in printed
    (row,) = (line for line in printed.splitlines() if figures[0] in line)
    assert row.split("  ")[1].strip() == name
    assert figures[1] in row


def test_prose_wraps_where_there_is_little_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    console.print_table(None, ("name", "what"), [("a", "word " * 20)], text_columns=2)
    assert max(map(len, plain(capsys.readouterr().out).splitlines())) <= 40


def test_the_progress_bar_prints_names_as_text() -> None:
    bar = console.progress(" images/s")
    bar.add_task("[/b] :smile:", total=1, rate="1 [/b]")
    screen = Console(width=120, record=True, file=io.StringIO())
    screen.print(bar.make_tasks_table(bar.tasks))
    assert "[/b] :smile:" in screen.export_text()


@pytest.mark.parametrize("name", ["[/b]x.png", ":smile:.png", "12:30.png", "①.png", "s\udcdf.png"])
def test_names_are_printed_as_text(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(by_opencv(picture(), ".png"))
    assert main(["run", name, "none", "--bundle", "tiny"]) == 0
    assert f"{shown(name)} (32x48)" in capsys.readouterr().out
