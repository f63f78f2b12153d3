"""An editor's types of the API are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.source import ROOT


def _mypy(path: Path) -> subprocess.CompletedProcess[str]:
    # A wrong use that is accepted leaves an unused ignore, which strict mode reports.
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=600,
    )


def test_right_uses_have_types_and_wrong_ones_are_found() -> None:
    done = _mypy(ROOT / "tests" / "typed_api.py")
    assert done.returncode == 0, done.stdout


def test_the_checker_reads_the_package(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import edgeunet\n\nedgeunet.memory(1)\n", encoding="utf-8")
    done = _mypy(path)
    assert done.returncode == 1
    assert "arg-type" in done.stdout
