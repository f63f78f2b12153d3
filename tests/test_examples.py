"""Every script in examples/ runs as it stands, and says what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT

EXAMPLES = ROOT / "examples"


def _run(name: str, folder: Path, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_are_those_of_the_document() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    listed = re.findall(r"`examples/([\w.]+)`", page)
    assert listed == sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_export_and_run_then_a_camera_loop(tmp_path: Path) -> None:
    said = _run("01_export_and_run.py", tmp_path, "here")
    found = re.search(r"noisy ([\d.]+) dB, denoised ([\d.]+) dB", said)
    assert found is not None
    assert float(found[2]) > float(found[1]) + 8
    said = _run("02_camera_loop.py", tmp_path, "here/small.bundle", "test://", 5)
    assert "onnxruntime takes frames of 256x256" in said
    assert re.search(r"^5 frames, [\d.]+ per second$", said, re.MULTILINE)


def test_memory_in_a_notebook(tmp_path: Path) -> None:
    said = _run("03_memory_in_a_notebook.py", tmp_path)
    whole, planned = (float(text) for text in re.findall(r"([\d.]+) MiB alive", said))
    assert planned < 32 < whole
    assert "core runs once" in said


def test_int8_with_own_frames(tmp_path: Path) -> None:
    said = _run("04_int8_with_own_frames.py", tmp_path)
    found = re.search(r"(\d+) of (\d+) convolutions compute in 8 bits", said)
    assert found is not None
    assert 0 < int(found[1]) <= int(found[2])
    assert (tmp_path / "example" / "own.toml").is_file()


def test_own_torch_module(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    said = _run("05_own_torch_module.py", tmp_path)
    # The skip is 16 channels of 480x640 floats.
    assert "18.8 MiB of skips" in said


def test_networks_of_others(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    av = pytest.importorskip("av")
    said = _run("06_networks_of_others.py", tmp_path, "here")
    assert "street.onnx: nchw,rgb,0..1,mean=0.485,0.456,0.406,std=0.229,0.224,0.225 gives" in said
    assert "large.onnx: nchw,rgb,0..1 gives image,nchw,rgb,0..1" in said
    sizes = {}
    for name in ("labels", "large"):
        with av.open(str(tmp_path / "here" / f"{name}.mp4")) as clip:
            video = clip.streams.video[0]
            sizes[name] = (video.height, video.width)
    assert sizes == {"labels": (240, 320), "large": (240, 320)}
