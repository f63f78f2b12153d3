"""Every ONNX file that is at hand is exported or refused in two lines, without a traceback."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.cli.command import edgeunet
from tests.house.source import ROOT

# The models that onnx tests its own tools with: tables, texts, sequences, optional values, loops.
SIMPLE = Path(onnx.__file__).parent / "backend" / "test" / "data" / "simple"
CASES = ROOT.parent / "shared" / "cases"


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.onnx")) if folder.is_dir() else []


def refused_or_written(path: Path, target: Path) -> bool:
    """Whether a file is refused, which is to be in two lines, and without a folder."""
    ran = edgeunet("export", "--onnx", path, "--out", target)
    if ran.code == 0:
        return False
    message, hint = ran.failure
    assert len(message) < 400, message
    assert hint
    assert not [note for note in ran.notes if " " not in note or "Error" in note], ran.err
    assert not target.exists()
    return True


@pytest.mark.parametrize("path", files(SIMPLE), ids=lambda path: path.parent.name)
def test_files_of_onnx(path: Path, tmp_path: Path) -> None:
    assert refused_or_written(path, tmp_path / "net.bundle")


@pytest.mark.skipif(not files(CASES), reason="the cases of ../shared are not here")
@pytest.mark.parametrize("path", files(CASES), ids=lambda path: path.name)
def test_files_of_the_cases(path: Path, tmp_path: Path) -> None:
    refused_or_written(path, tmp_path / "net.bundle")
