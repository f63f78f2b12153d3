"""Packages that are missing, hidden, broken or of the wrong version, and the commands for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.doctor.machine import Outcome, PythonFacts
from tests.doctor.looking import look, of, said
from tests.doctor.machines import DESKTOP, ENVIRONMENT, OPENCV_WITHOUT, ORIN_NANO, THOR, broken


def test_an_environment_that_hides_the_system(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"tensorrt": None, "cv2": None},
        python=ENVIRONMENT,
        files={"/opt/env/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n"},
    )
    found = look(simulated, tmp_path)
    again = "python3 -m venv --system-site-packages /opt/env"
    assert found.engines == ("onnxruntime",)
    assert said(found, "tensorrt") == (
        "problem",
        "TensorRT 10.3.0 is installed, and this environment hides the system's packages",
        (again,),
    )
    assert said(found, "opencv")[2] == ("sudo apt install python3-opencv", again)
    seen = simulated.with_(
        files={"/opt/env/pyvenv.cfg": "include-system-site-packages = true\n"},
    )
    assert said(look(seen, tmp_path), "tensorrt") == (
        "problem",
        "TensorRT 10.3.0 is installed in /usr/lib/python3.10/dist-packages, which this Python "
        "does not search",
        ("/usr/bin/python3 -m venv --system-site-packages .venv",),
    )


def test_another_python_than_the_systems(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"tensorrt": None},
        python=PythonFacts("/opt/py/bin/python", (3, 12), "/opt/py", "/opt/py"),
    )
    assert said(look(simulated, tmp_path), "tensorrt") == (
        "problem",
        "TensorRT 10.3.0 is installed for Python 3.10, and this is Python 3.12",
        (
            "python3.10 -m venv --system-site-packages .venv",
            '.venv/bin/pip install "edgeunet[cpu]"',
        ),
    )


def test_an_opencv_for_another_python_than_the_systems(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"cv2": OPENCV_WITHOUT},
        python=PythonFacts("/opt/py/bin/python", (3, 12), "/opt/py", "/opt/py"),
    )
    assert said(look(simulated, tmp_path), "opencv")[2] == (
        "python3.10 -m venv --system-site-packages .venv",
    )


def test_bindings_in_the_folder_of_all_pythons(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"tensorrt": None},
        python=PythonFacts("/opt/py/bin/python", (3, 12), "/opt/py", "/opt/py"),
        files={
            "/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": None,
            "/usr/lib/python3/dist-packages/tensorrt/__init__.py": "",
        },
        commands={"/usr/bin/python3 --version": "Python 3.10.12\n"},
    )
    assert "installed for Python 3.10, and this" in of(look(simulated, tmp_path), "tensorrt").text


@pytest.mark.parametrize(
    ("files", "text", "mend"),
    [
        (
            {},
            "TensorRT 10.3.0 is installed without its Python bindings",
            "sudo apt install python3-libnvinfer",
        ),
        (
            {
                "/usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0": None,
                "/usr/lib/aarch64-linux-gnu/libnvinfer.so.10": None,
                "/usr/src/tensorrt/bin/trtexec": None,
            },
            "TensorRT is not installed",
            "sudo apt install tensorrt",
        ),
    ],
)
def test_a_jetson_without_bindings(
    files: dict[str, None], text: str, mend: str, tmp_path: Path
) -> None:
    simulated = ORIN_NANO.with_(
        packages={"tensorrt": None},
        files={"/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": None, **files},
    )
    assert said(look(simulated, tmp_path), "tensorrt") == ("problem", text, (mend,))


def test_a_wheel_of_tensorrt_on_a_jetson(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"tensorrt": {"version": "10.13.3.9"}},
        versions={"tensorrt_cu12_libs": "10.13.3.9"},
    )
    assert said(look(simulated, tmp_path), "tensorrt") == (
        "warning",
        "TensorRT 10.13.3.9 is a wheel for servers, and JetPack 6.2 has its own",
        ("pip uninstall -y tensorrt tensorrt_cu12_libs",),
    )
    tarball = ORIN_NANO.with_(packages={"tensorrt": {"version": "10.7.0.23"}})
    assert said(look(tarball, tmp_path), "tensorrt") == (
        "note",
        "TensorRT 10.7.0.23; JetPack 6.2 comes with 10.3.0",
        (),
    )


def test_a_tensorrt_too_old_for_python(tmp_path: Path) -> None:
    found = look(DESKTOP.with_(packages={"tensorrt": {"version": "8.5.2.2"}}), tmp_path)
    assert said(found, "tensorrt") == (
        "problem",
        "TensorRT 8.5.2.2 is older than 8.6, the first one that is supported from Python",
        ("edgeunet build BUNDLE --trtexec --for-version 8.5.2.2",),
    )


@pytest.mark.parametrize(
    ("outcome", "reason", "mend"),
    [
        (
            Outcome(-11, err="Fatal Python error"),
            "loading it ends Python with SIGSEGV",
            "pip uninstall -y opencv-python",
        ),
        (
            Outcome(-4),
            "loading it ends Python with SIGILL",
            "pip uninstall -y opencv-python",
        ),
        (
            Outcome(-200),
            "loading it ends Python with signal 200",
            "pip uninstall -y opencv-python",
        ),
        (
            Outcome(None, err="no answer within 60 s"),
            "no answer within 60 s",
            "pip uninstall -y opencv-python",
        ),
        (
            Outcome(1, "edgeunet-answer:{not json", "last words"),
            "last words",
            "pip uninstall -y opencv-python",
        ),
        (
            broken(
                "ImportError: numpy.core.multiarray failed to import",
                "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.2.1",
            ),
            "ImportError: numpy.core.multiarray failed to import (compiled for NumPy 1)",
            'pip install "numpy<2"',
        ),
    ],
)
def test_an_opencv_that_cannot_be_loaded(
    outcome: Outcome, reason: str, mend: str, tmp_path: Path
) -> None:
    simulated = ORIN_NANO.with_(packages={"cv2": outcome}, versions={"opencv-python": "4.12.0"})
    level, text, mends = said(look(simulated, tmp_path), "opencv")
    assert level == "warning"
    assert text == f"OpenCV is installed and cannot be loaded: {reason}"
    assert mends[0] == mend


def test_an_opencv_without_gstreamer_on_a_jetson(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"cv2": OPENCV_WITHOUT}, versions={"opencv-python": "4.12.0"}
    )
    assert said(look(simulated, tmp_path), "opencv") == (
        "warning",
        "OpenCV 4.12.0 without GStreamer: csi:// and gst:// cannot be opened",
        ("pip uninstall -y opencv-python", "sudo apt install python3-opencv"),
    )


@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_rtx", "onnxruntime", "pycuda", "cuda"])
def test_any_package_may_crash(package: str, tmp_path: Path) -> None:
    crash = {"tensorrt": None, "pycuda": None, package: Outcome(-6)}
    found = look(ORIN_NANO.with_(packages=crash), tmp_path)
    topic = {"tensorrt_rtx": "tensorrt", "pycuda": "cuda in python", "cuda": "cuda in python"}
    level, text, mend = said(found, topic.get(package, package))
    assert (level, bool(mend)) == ("problem", True)
    assert "SIGABRT" in text


def test_pycuda_and_cuda_13(tmp_path: Path) -> None:
    found = look(THOR.with_(packages={"pycuda": {"version": "2024.1"}}), tmp_path)
    assert said(found, "cuda in python") == (
        "warning",
        "pycuda 2024.1 does not know CUDA 13.0",
        ("PATH=/usr/local/cuda/bin:$PATH pip install --upgrade pycuda",),
    )
    absent = look(THOR.with_(packages={"pycuda": None}), tmp_path)
    assert said(absent, "cuda in python")[2] == (
        "PATH=/usr/local/cuda/bin:$PATH pip install pycuda",
        'or, without a compiler: pip install "cuda-python~=13.0"',
    )
