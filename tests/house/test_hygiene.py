"""What is committed stays small and names no machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, ROOT, module_paths

_LINE_LIMIT = 400
_SIZE_LIMIT_BYTES = 10 * 2**20
# A path of the machine somebody works on; "network/work" is none.
_MACHINE_PATH = re.compile(rb"(?<![\w.~-])/(?:work|root|home|Users)/[\w.]")
# What git leaves in a file whose changes it could not join.
_UNJOINED = re.compile(rb"(?m)^(?:<{7}|>{7}) ")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("path", module_paths(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= _LINE_LIMIT


def test_no_two_modules_have_the_same_file_name() -> None:
    # Each command has a file of its own name in cli/, whatever the rest is called.
    paths = [path for path in module_paths() if path.name != "__init__.py"]
    names = Counter(path.name for path in paths if path.parent.name != "cli")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_file_is_large(tracked: list[Path]) -> None:
    assert [path for path in tracked if path.stat().st_size > _SIZE_LIMIT_BYTES] == []


def test_no_file_names_a_path_of_somebodys_machine(tracked: list[Path]) -> None:
    found = []
    for path in tracked:
        content = path.read_bytes()
        match = None if b"\0" in content else _MACHINE_PATH.search(content)
        if match:
            found.append(f"{path.relative_to(ROOT)}: {match.group().decode()}")
    assert found == []


def test_no_file_has_the_marks_of_an_unfinished_merge(tracked: list[Path]) -> None:
    found = [path for path in tracked if _UNJOINED.search(path.read_bytes())]
    assert found == []
