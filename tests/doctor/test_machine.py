"""The real machine: real child processes, and files that exist or are missing."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgeunet.boards import board_ids, find_board
from edgeunet.doctor.jetpack import modules, releases
from edgeunet.doctor.machine import Machine, Outcome, installed_version, run_command, this_python
from edgeunet.doctor.packages import OLDEST_TENSORRT
from edgeunet.doctor.questions import State, ask


def test_a_command_that_ends_and_one_that_takes_too_long() -> None:
    assert run_command((sys.executable, "-c", "print('yes')"), 30) == Outcome(0, "yes\n")
    killed = run_command((sys.executable, "-c", "import os; os.abort()"), 30)
    assert killed.code == -6
    assert run_command(("edgeunet-has-no-such-command",), 30).code is None
    slow = run_command((sys.executable, "-c", "import time; time.sleep(60)"), 0.2)
    assert slow == Outcome(None, err="no answer within 0.2 s")


def _with_module(tmp_path: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return this machine with another package of that name found first."""
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Machine()


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        ("__version__ = '10.3.0'", State.PRESENT, ""),
        ("import os; os.abort()", State.BROKEN, "loading it ends Python with SIGABRT"),
        ("raise SystemExit(3)", State.BROKEN, "SystemExit: 3"),
        ("import edgeunet_lacks_it", State.BROKEN, "No module named 'edgeunet_lacks_it'"),
        (
            "raise ImportError('libnvinfer.so.10: cannot open\\n shared object file')",
            State.BROKEN,
            "ImportError: libnvinfer.so.10: cannot open shared object file",
        ),
        ("print('edgeunet-answer:{')\n__version__ = 'x'", State.PRESENT, ""),
    ],
)
def test_a_child_loads_a_package(
    code: str, state: State, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ask(_with_module(tmp_path, "tensorrt", code, monkeypatch), "tensorrt")
    assert (answer.state, answer.reason) == (state, reason)
    if state is State.PRESENT:
        assert answer.version in ("10.3.0", "x")


def test_opencv_says_whether_it_has_gstreamer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "__version__ = '4.8.0'\n"
        "def getBuildInformation():\n"
        "    return '  Video I/O:\\n    FFMPEG: NO\\n    GStreamer:   YES (1.20.3)\\n'\n"
    )
    answer = ask(_with_module(tmp_path, "cv2", code, monkeypatch), "cv2")
    assert answer.facts == {"version": "4.8.0", "gstreamer": "YES (1.20.3)"}


def test_the_driver_is_asked_without_a_package() -> None:
    answer = ask(Machine(), "driver")
    assert answer.present or "libcuda" in answer.reason or "CUDA_ERROR" in answer.reason


_DRIVER = """
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return flags ? 1 : FAILURE; }
int cuGetErrorName(int code, const char **text) { *text = "CUDA_ERROR_SYSTEM"; return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 10 + ordinal; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
  strncpy(name, device == 10 ? "Orin" : "Other", size);
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)device << 32; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 18 ? device == 10 : -1;
  return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("failure", [0, 802])
def test_the_drivers_calls_are_made(
    failure: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Use a library with the driver's functions, as no driver is installed."""
    source, library = tmp_path / "driver.c", tmp_path / "libcuda.so.1"
    source.write_text(_DRIVER, encoding="utf-8")
    words = ("cc", "-shared", "-fPIC", f"-DFAILURE={failure}", str(source), "-o", str(library))
    assert run_command(words, 60).code == 0
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    answer = ask(Machine(), "driver")
    if failure:
        assert (answer.state, answer.reason) == (
            State.BROKEN,
            "RuntimeError: cuInit: CUDA_ERROR_SYSTEM",
        )
        return
    rest = {"compute_capability": "8.7"}
    assert answer.facts == {
        "cuda": "12.6",
        "devices": [
            {"name": "Orin", "integrated": True, "memory_bytes": 10 << 32, **rest},
            {"name": "Other", "integrated": False, "memory_bytes": 11 << 32, **rest},
        ],
    }


def test_a_recreated_environment_sees_the_systems_packages(tmp_path: Path) -> None:
    """The command that makes a hidden TensorRT visible keeps the installed packages."""
    folder = tmp_path / "env"
    python = this_python().executable
    assert run_command((python, "-m", "venv", "--without-pip", str(folder)), 60).code == 0
    (installed,) = folder.glob("lib/python3*/site-packages")
    (installed / "mine.py").touch()
    again = (python, "-m", "venv", "--without-pip", "--system-site-packages", str(folder))
    assert run_command(again, 60).code == 0
    text = (folder / "pyvenv.cfg").read_text(encoding="utf-8")
    assert "include-system-site-packages = true" in text
    assert (installed / "mine.py").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    machine = replace(Machine(), root=tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "word").write_text("seven\n", encoding="utf-8")
    (tmp_path / "seven").write_bytes(b"7\n\0")
    assert machine.read("/folder") is None
    assert machine.read("/missing") is None
    assert machine.read("/word") == "seven"
    assert (machine.number("/word"), machine.number("/seven")) == (None, 7)
    for index in (10, 9, 0):
        (tmp_path / f"video{index}").touch()
    assert [path.name for path in machine.glob("/video*")] == ["video0", "video9", "video10"]
    assert not machine.exists("/missing")


def test_versions_of_packages_are_read_without_importing_them() -> None:
    before = set(sys.modules)
    assert installed_version("edgeunet-has-no-such-package") is None
    assert installed_version("numpy")
    assert "torch" not in set(sys.modules) - before


def test_this_machine_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine()
    free = machine.free_bytes()
    assert free is None or free > 0
    assert machine.python.version == sys.version_info[:2]
    assert machine.readable(Path(__file__)) == os.access(__file__, os.R_OK)


def test_releases_agree_with_the_boards() -> None:
    """The tables of --board and of the doctor have the same JetPack and TensorRT versions."""
    confirmed = {r.jetpack: r.tensorrt for r in releases() if r.tensorrt is not None}
    of_boards = {version for board in board_ids() for version in find_board(board).jetpack}
    assert of_boards == set(confirmed)
    for board_id in board_ids():
        board = find_board(board_id)
        assert {confirmed[jetpack] for jetpack in board.jetpack} == set(board.tensorrt)


def test_releases_are_newest_first_and_each_once() -> None:
    versions = [tuple(int(part) for part in r.jetpack.split(".")) for r in releases()]
    assert versions == sorted(set(versions), reverse=True)
    l4t = [number for release in releases() for number in release.l4t]
    assert len(l4t) == len(set(l4t))
    assert all(len(number.split(".")) == 3 for number in l4t)


def test_modules_are_boards() -> None:
    assert set(modules().values()) <= set(board_ids())


def test_the_oldest_tensorrt_is_the_builders() -> None:
    calls = pytest.importorskip("edgeunet.engine.trt.calls")
    assert calls.OLDEST[:2] == OLDEST_TENSORRT
