"""The doctor on machines that nobody has here: what it finds and the command it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeunet.doctor import Examination, Finding, Level, examine
from edgeunet.doctor.machine import Outcome, PythonFacts
from edgeunet.units import MIB
from tests.doctor.machines import (
    BARE,
    DESKTOP,
    DISK_SWAP,
    ENVIRONMENT,
    OLD_NANO,
    ONNXRUNTIME,
    OPENCV_WITHOUT,
    ORIN_NANO,
    THOR,
    ZRAM_SWAP,
    Simulated,
    broken,
    meminfo,
    tegra_release,
)


def _look(simulated: Simulated, root: Path) -> Examination:
    return examine(simulated.machine(root))


def _of(examination: Examination, topic: str) -> Finding:
    (finding,) = [finding for finding in examination.findings if finding.topic == topic]
    return finding


def _said(examination: Examination, topic: str) -> tuple[str, str, tuple[str, ...]]:
    finding = _of(examination, topic)
    return str(finding.level), finding.text, finding.mend


def test_an_orin_nano_with_jetpack_6_2_needs_nothing(tmp_path: Path) -> None:
    found = _look(ORIN_NANO, tmp_path)
    assert found.to_mend == ()
    assert {finding.level for finding in found.findings} == {Level.OK}
    assert found.engines == ("tensorrt", "onnxruntime")
    texts = {finding.topic: finding.text for finding in found.findings}
    assert texts == {
        "board": "NVIDIA Jetson Orin Nano Engineering Reference (--board orin-nano-4gb)",
        "jetpack": "JetPack 6.2 (L4T 36.4.3)",
        "gpu": "Orin, compute capability 8.7, 3.51 GiB shared memory",
        "cuda": "driver for CUDA 12.6, toolkit 12.6",
        "python": "Python 3.10, numpy 1.26.4",
        "tensorrt": "TensorRT 10.3.0",
        "cuda in python": "pycuda 2026.1",
        "onnxruntime": "onnxruntime 1.23.0: CPU",
        "opencv": "OpenCV 4.8.0 with GStreamer 1.20.3",
        "torch": "not installed: running needs none; exporting and training do",
        "memory": "2.73 GiB free of 3.34 GiB; 671.0 MiB kept by firmware and devices; "
        "CMA 256.0 MiB, 128.0 MiB of it free",
        "swap": "8.00 GiB on disk",
        "disk": "20.00 GiB free here",
        "power mode": "MAXN_SUPER",
        "clocks": "GPU held at 306 MHz",
        "heat": "cpu 48 °C is the hottest",
        "cameras": "/dev/video0 (vi-output, imx219 9-0010)",
    }


def test_the_document_has_the_figures(tmp_path: Path) -> None:
    document = _look(ORIN_NANO, tmp_path).document()
    assert json.loads(json.dumps(document)) == document
    assert document["board"] == "orin-nano-4gb"
    assert (document["l4t"], document["jetpack"]) == ("36.4.3", "6.2")
    assert (document["cuda"], document["cuda_toolkit"]) == ("12.6", "12.6")
    assert document["engines"] == ["tensorrt", "onnxruntime"]
    assert document["packages"]["tensorrt"] == {
        "state": "present",
        "version": "10.3.0",
        "reason": None,
    }
    assert document["packages"]["cuda_python"]["state"] == "absent"
    assert document["memory"] == {
        "total_bytes": 3425 * MIB,
        "available_bytes": 2800 * MIB,
        "reserved_bytes": (4096 - 3425) * MIB,
        "cma_bytes": 256 * MIB,
        "swap_disk_bytes": 8388604 * 1024,
        "swap_zram_bytes": 0,
    }


def test_jetpack_6_0_has_its_own_tensorrt(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={"/etc/nv_tegra_release": tegra_release(36, "3.0")},
        packages={"tensorrt": {"version": "8.6.2.3"}},
        commands={"nvpmodel -q": "NV Power Mode: 10W\n1\n"},
    )
    found = _look(simulated, tmp_path)
    assert _of(found, "jetpack").text == "JetPack 6.0 (L4T 36.3.0)"
    assert _said(found, "tensorrt") == ("ok", "TensorRT 8.6.2.3", ())
    assert _said(found, "power mode") == (
        "warning",
        "10W; MAXN_SUPER is faster",
        ("sudo nvpmodel -m 2",),
    )


def test_a_thor_with_jetpack_7(tmp_path: Path) -> None:
    found = _look(THOR, tmp_path)
    assert found.engines == ("tensorrt", "onnxruntime")
    assert _of(found, "board").text.endswith("(--board thor-t5000)")
    assert _of(found, "jetpack").text == "JetPack 7.0 (L4T 38.2.0)"
    assert _of(found, "gpu").text.startswith("Thor, compute capability 11.0")
    assert _of(found, "power mode").text == "120W; MAXN is faster"
    assert _said(found, "clocks") == (
        "note",
        "GPU between 315 and 1575 MHz, by load",
        ("before measuring: sudo jetson_clocks",),
    )


def test_a_xavier_is_sent_to_trtexec(tmp_path: Path) -> None:
    simulated = OLD_NANO.with_(
        files={
            "/proc/device-tree/compatible": b"nvidia,p3668-0001\0nvidia,tegra194\0",
            "/etc/nv_tegra_release": tegra_release(35, "5.0"),
            "/usr/lib/aarch64-linux-gnu/libnvinfer.so.8.2.1": None,
            "/usr/lib/aarch64-linux-gnu/libnvinfer.so.8.5.2": "",
            "/usr/lib/python3.6/dist-packages/tensorrt/__init__.py": None,
            "/usr/lib/python3.8/dist-packages/tensorrt/__init__.py": "",
        }
    )
    found = _look(simulated, tmp_path)
    assert _of(found, "jetpack").text == "JetPack 5.1.3 (L4T 35.5.0)"
    assert _said(found, "tensorrt") == (
        "problem",
        "TensorRT 8.5.2 has bindings for Python 3.8 only, and edgeunet runs on 3.10 and later: "
        "a plan can be built here, for a program of your own",
        ("edgeunet build BUNDLE --trtexec --for-version 8.5.2",),
    )


def test_an_old_nano_runs_on_its_processor(tmp_path: Path) -> None:
    found = _look(OLD_NANO, tmp_path)
    assert found.engines == ()
    assert _of(found, "jetpack").text == "JetPack 4.6.1 (L4T 32.7.1)"
    assert _of(found, "cuda").text == "driver for CUDA 10.2, toolkit 10.2"
    assert _said(found, "tensorrt") == (
        "problem",
        "TensorRT 8.2.1 has bindings for Python 3.6 only, and edgeunet runs on 3.10 and later; "
        "nor has it the uint8 tensors that frames are",
        ("edgeunet run SOURCE SINK --bundle BUNDLE --engine onnxruntime",),
    )
    assert "JetPack 4.6.1 itself has 3.6" in _of(found, "python").text
    assert _of(found, "gpu").text == "NVIDIA Tegra X1, compute capability 5.3"
    assert "cuda in python" not in {finding.topic for finding in found.findings}
    assert _said(found, "opencv")[2] == (
        'pip install "edgeunet[video]", and read USB cameras and videos with it',
    )
    level, text, mend = _said(found, "swap")
    assert (level, mend[0]) == ("warning", "sudo systemctl disable --now nvzramconfig")
    assert text.startswith("1.69 GiB in zram: zram is in the same memory")
    assert mend[1].startswith("sudo fallocate -l 4G /swapfile && ")
    assert _said(found, "desktop")[2] == (
        "sudo systemctl set-default multi-user.target && sudo reboot",
    )
    assert _of(found, "power mode").text == "nvpmodel does not say it"
    assert _of(found, "cameras").text == "none: there is no /dev/video*"


def test_a_desktop_uses_tensorrt_rtx(tmp_path: Path) -> None:
    found = _look(DESKTOP, tmp_path)
    assert found.engines == ("tensorrt", "onnxruntime")
    assert _of(found, "board").text.endswith(": no Jetson")
    assert _of(found, "tensorrt").text == "TensorRT-RTX 1.7.1.116"
    assert _of(found, "cuda in python").text == "cuda-python 13.0.3"
    assert _of(found, "torch").text == "torch 2.9.0: for exporting and training, not for running"
    assert _said(found, "opencv") == (
        "note",
        "OpenCV 4.12.0 without GStreamer: gst:// cannot be opened",
        (),
    )
    topics = {finding.topic for finding in found.findings}
    assert not topics & {"jetpack", "power mode", "clocks", "desktop", "supply"}


def test_a_desktop_without_tensorrt_is_told_how_to_get_it(tmp_path: Path) -> None:
    found = _look(DESKTOP.with_(packages={"tensorrt_rtx": None, "cuda": None}), tmp_path)
    assert found.engines == ("onnxruntime",)
    assert _said(found, "tensorrt") == (
        "warning",
        "TensorRT is not installed: the GPU stays unused",
        ('pip install "edgeunet[rtx]"',),
    )
    assert _said(found, "cuda in python") == (
        "problem",
        "neither pycuda nor cuda-python is installed",
        ('pip install "cuda-python~=13.0"',),
    )


def test_a_bare_machine_can_run_nothing(tmp_path: Path) -> None:
    found = _look(BARE, tmp_path)
    assert found.engines == ()
    assert _said(found, "onnxruntime") == (
        "warning",
        "onnxruntime is not installed",
        ('pip install "edgeunet[cpu]"',),
    )
    assert _said(found, "opencv")[2] == ('pip install "edgeunet[video]"',)
    assert _of(found, "memory").text == "/proc/meminfo cannot be read"
    assert _of(found, "gpu").level is Level.NOTE
    assert "swap" not in {finding.topic for finding in found.findings}


def test_a_processor_and_onnxruntime_are_enough(tmp_path: Path) -> None:
    found = _look(BARE.with_(packages={"onnxruntime": ONNXRUNTIME}), tmp_path)
    assert found.engines == ("onnxruntime",)
    assert not [finding for finding in found.findings if finding.level is Level.PROBLEM]


def test_an_environment_that_hides_the_system(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"tensorrt": None, "cv2": None},
        python=ENVIRONMENT,
        files={"/opt/env/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n"},
    )
    found = _look(simulated, tmp_path)
    again = "python3 -m venv --system-site-packages /opt/env"
    assert found.engines == ("onnxruntime",)
    assert _said(found, "tensorrt") == (
        "problem",
        "TensorRT 10.3.0 is installed, and this environment hides the system's packages",
        (again,),
    )
    assert _said(found, "opencv")[2] == ("sudo apt install python3-opencv", again)
    seen = simulated.with_(
        files={"/opt/env/pyvenv.cfg": "include-system-site-packages = true\n"},
    )
    assert _said(_look(seen, tmp_path), "tensorrt") == (
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
    assert _said(_look(simulated, tmp_path), "tensorrt") == (
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
    assert _said(_look(simulated, tmp_path), "opencv")[2] == (
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
    assert "installed for Python 3.10, and this" in _of(_look(simulated, tmp_path), "tensorrt").text


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
    assert _said(_look(simulated, tmp_path), "tensorrt") == ("problem", text, (mend,))


def test_a_wheel_of_tensorrt_on_a_jetson(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"tensorrt": {"version": "10.13.3.9"}},
        versions={"tensorrt_cu12_libs": "10.13.3.9"},
    )
    assert _said(_look(simulated, tmp_path), "tensorrt") == (
        "warning",
        "TensorRT 10.13.3.9 is a wheel for servers, and JetPack 6.2 has its own",
        ("pip uninstall -y tensorrt tensorrt_cu12_libs",),
    )
    tarball = ORIN_NANO.with_(packages={"tensorrt": {"version": "10.7.0.23"}})
    assert _said(_look(tarball, tmp_path), "tensorrt") == (
        "note",
        "TensorRT 10.7.0.23; JetPack 6.2 comes with 10.3.0",
        (),
    )


def test_a_tensorrt_too_old_for_python(tmp_path: Path) -> None:
    found = _look(DESKTOP.with_(packages={"tensorrt": {"version": "8.5.2.2"}}), tmp_path)
    assert _said(found, "tensorrt") == (
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
    level, text, mends = _said(_look(simulated, tmp_path), "opencv")
    assert level == "warning"
    assert text == f"OpenCV is installed and cannot be loaded: {reason}"
    assert mends[0] == mend


def test_an_opencv_without_gstreamer_on_a_jetson(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        packages={"cv2": OPENCV_WITHOUT}, versions={"opencv-python": "4.12.0"}
    )
    assert _said(_look(simulated, tmp_path), "opencv") == (
        "warning",
        "OpenCV 4.12.0 without GStreamer: csi:// and gst:// cannot be opened",
        ("pip uninstall -y opencv-python", "sudo apt install python3-opencv"),
    )


@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_rtx", "onnxruntime", "pycuda", "cuda"])
def test_any_package_may_crash(package: str, tmp_path: Path) -> None:
    crash = {"tensorrt": None, "pycuda": None, package: Outcome(-6)}
    found = _look(ORIN_NANO.with_(packages=crash), tmp_path)
    topic = {"tensorrt_rtx": "tensorrt", "pycuda": "cuda in python", "cuda": "cuda in python"}
    level, text, mend = _said(found, topic.get(package, package))
    assert (level, bool(mend)) == ("problem", True)
    assert "SIGABRT" in text


def test_pycuda_and_cuda_13(tmp_path: Path) -> None:
    found = _look(THOR.with_(packages={"pycuda": {"version": "2024.1"}}), tmp_path)
    assert _said(found, "cuda in python") == (
        "warning",
        "pycuda 2024.1 does not know CUDA 13.0",
        ("PATH=/usr/local/cuda/bin:$PATH pip install --upgrade pycuda",),
    )
    absent = _look(THOR.with_(packages={"pycuda": None}), tmp_path)
    assert _said(absent, "cuda in python")[2] == (
        "PATH=/usr/local/cuda/bin:$PATH pip install pycuda",
        'or, without a compiler: pip install "cuda-python~=13.0"',
    )


def test_a_driver_that_does_not_answer(tmp_path: Path) -> None:
    refused = broken("RuntimeError: cuInit: CUDA_ERROR_NO_DEVICE")
    simulated = ORIN_NANO.with_(packages={"driver": refused})
    found = _look(simulated, tmp_path)
    assert found.engines == ("onnxruntime",)
    assert _said(found, "gpu") == (
        "problem",
        "CUDA cannot be used: RuntimeError: cuInit: CUDA_ERROR_NO_DEVICE",
        ("sudo usermod -aG video,render $USER, and log in again",),
    )
    inside = simulated.with_(files={"/.dockerenv": "", "/etc/nv_tegra_release": None})
    (tmp_path / "etc/nv_tegra_release").unlink()
    contained = _look(inside, tmp_path)
    assert _of(contained, "gpu").mend == ("start the container with: docker run --runtime nvidia",)
    assert _said(contained, "jetpack") == (
        "warning",
        "the L4T release cannot be read from /etc/nv_tegra_release",
        ("in a container, mount it: docker run -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro",),
    )
    desktop = _look(DESKTOP.with_(packages={"driver": refused}), tmp_path / "desktop")
    assert _said(desktop, "gpu")[2] == (
        "nvidia-smi says why; after an update of the driver: sudo reboot",
    )


def test_the_package_says_the_release_where_the_file_is_missing(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={"/etc/nv_tegra_release": None},
        commands={"dpkg-query": "36.4.7-20250918154033"},
    )
    assert _of(_look(simulated, tmp_path), "jetpack").text == "JetPack 6.2.1 (L4T 36.4.7)"


def test_a_release_and_a_board_that_nobody_knows(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={
            "/etc/nv_tegra_release": tegra_release(41, "1.0"),
            "/proc/device-tree/compatible": b"nvidia,p9999-0000\0nvidia,tegra999\0",
            "/proc/device-tree/model": b"NVIDIA Jetson Next\0",
        }
    )
    found = _look(simulated, tmp_path)
    assert _said(found, "jetpack") == (
        "note",
        "L4T 41.1.0 is not in the table, whose newest is 39.2.2 (JetPack 7.2.2)",
        (),
    )
    assert _said(found, "board") == (
        "note",
        "NVIDIA Jetson Next: not in the list of --board",
        ("give --budget instead of --board",),
    )
    assert found.engines == ("tensorrt", "onnxruntime")


def test_a_jetpack_older_than_the_board(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(files={"/etc/nv_tegra_release": tegra_release(35, "1.0")})
    assert _said(_look(simulated, tmp_path), "jetpack") == (
        "warning",
        "JetPack 5.0.2 (L4T 35.1.0), and NVIDIA Jetson Orin Nano 4GB is supported from 5.1.1",
        ("flash JetPack 7.2.1",),
    )


def test_memory_that_others_took(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={"/proc/meminfo": meminfo(3425, 1000), "/proc/swaps": ZRAM_SWAP}
    )
    found = _look(simulated, tmp_path)
    level, text, mend = _said(found, "memory")
    assert level == "warning"
    assert text.endswith("less is free than --board orin-nano-4gb plans for (2.06 GiB)")
    assert mend == ("end other programs, or plan with --budget 750MiB",)
    assert _of(found, "swap").level is Level.WARNING


def test_swap_does_not_matter_on_a_large_board(tmp_path: Path) -> None:
    found = _look(THOR.with_(files={"/proc/swaps": DISK_SWAP.splitlines()[0]}), tmp_path)
    assert _said(found, "swap") == ("ok", "none", ())


def test_a_full_disk_heat_and_a_weak_supply(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={
            "/sys/class/thermal/thermal_zone1/temp": "99500\n",
            "/sys/class/thermal/thermal_zone1/trip_point_0_type": "active\n",
            "/sys/class/thermal/thermal_zone1/trip_point_0_temp": "50000\n",
            "/sys/class/thermal/thermal_zone1/trip_point_1_type": "passive\n",
            "/sys/class/thermal/thermal_zone1/trip_point_1_temp": "99000\n",
            "/sys/class/hwmon/hwmon1/oc3_event_cnt": "12\n",
        },
        free_bytes=100 * MIB,
    )
    found = _look(simulated, tmp_path)
    assert _said(found, "disk") == (
        "warning",
        "100.0 MiB free here",
        ("sudo apt clean, or write bundles to another disk with --out",),
    )
    assert _of(found, "heat").text == "gpu 100 °C: from 99 °C on the machine is slowed down"
    assert _of(found, "supply").text == (
        "slowed down 12 times since the start, because too much current was drawn"
    )


def test_cameras_that_may_not_be_opened(tmp_path: Path) -> None:
    found = _look(ORIN_NANO.with_(readable=False), tmp_path)
    assert _said(found, "cameras") == (
        "warning",
        "/dev/video0 (vi-output, imx219 9-0010): this user may not open all of them",
        ("sudo usermod -aG video $USER, and log in again",),
    )
    without = ORIN_NANO.with_(commands={"gst-inspect-1.0 --exists nvarguscamerasrc": None})
    (finding,) = _look(without, tmp_path).to_mend
    assert finding.mend == ("sudo apt install gstreamer1.0-tools nvidia-l4t-gstreamer",)


def test_files_that_are_broken(tmp_path: Path) -> None:
    """Every file that is read holds rubbish; every command answers rubbish."""
    rubbish = b"\xff\xfe\x00\n\n: kB \x80 R36 (rel"
    names = [*ORIN_NANO.files, "/usr/local/cuda/version.txt"]
    simulated = Simulated(
        files=dict.fromkeys((name for name in names if "dist-packages" not in name), rubbish),
        packages={
            "driver": {"cuda": None, "devices": "none"},
            "onnxruntime": {"providers": None},
            "cv2": {"gstreamer": 7},
            "tensorrt": {"version": None},
            "pycuda": Outcome(0, "edgeunet-answer:[1]"),
        },
        commands={"nvpmodel": "\x00", "systemctl": "?", "dpkg-query": "no version"},
        free_bytes=None,
    )
    found = _look(simulated, tmp_path)
    assert json.dumps(found.document())
    assert _of(found, "memory").text == "/proc/meminfo cannot be read"
    assert _of(found, "disk").text == "how much is free here cannot be found out"
    assert _of(found, "jetpack").level is Level.WARNING
