"""The doctor on simulated machines: its findings and the commands it gives."""

from __future__ import annotations

import json
from pathlib import Path

from edgeunet.doctor import Level
from edgeunet.doctor.machine import Outcome
from edgeunet.units import MIB
from tests.doctor.looking import look, of, said
from tests.doctor.machines import (
    BARE,
    DESKTOP,
    OLD_NANO,
    ONNXRUNTIME,
    ORIN_NANO,
    THOR,
    Simulated,
    tegra_release,
)


def test_an_orin_nano_with_jetpack_6_2_needs_nothing(tmp_path: Path) -> None:
    found = look(ORIN_NANO, tmp_path)
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
    document = look(ORIN_NANO, tmp_path).document()
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
    found = look(simulated, tmp_path)
    assert of(found, "jetpack").text == "JetPack 6.0 (L4T 36.3.0)"
    assert said(found, "tensorrt") == ("ok", "TensorRT 8.6.2.3", ())
    assert said(found, "power mode") == (
        "warning",
        "10W; MAXN_SUPER is faster",
        ("sudo nvpmodel -m 2",),
    )


def test_a_thor_with_jetpack_7(tmp_path: Path) -> None:
    found = look(THOR, tmp_path)
    assert found.engines == ("tensorrt", "onnxruntime")
    assert of(found, "board").text.endswith("(--board thor-t5000)")
    assert of(found, "jetpack").text == "JetPack 7.0 (L4T 38.2.0)"
    assert of(found, "gpu").text.startswith("Thor, compute capability 11.0")
    assert of(found, "power mode").text == "120W; MAXN is faster"
    assert said(found, "clocks") == (
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
    found = look(simulated, tmp_path)
    assert of(found, "jetpack").text == "JetPack 5.1.3 (L4T 35.5.0)"
    assert said(found, "tensorrt") == (
        "problem",
        "TensorRT 8.5.2 has bindings for Python 3.8 only, and edgeunet runs on 3.10 and later: "
        "a TensorRT plan can be built here, for a program of your own",
        ("edgeunet build BUNDLE --trtexec --for-version 8.5.2",),
    )


def test_an_old_nano_runs_on_its_processor(tmp_path: Path) -> None:
    found = look(OLD_NANO, tmp_path)
    assert found.engines == ()
    assert of(found, "jetpack").text == "JetPack 4.6.1 (L4T 32.7.1)"
    assert of(found, "cuda").text == "driver for CUDA 10.2, toolkit 10.2"
    assert said(found, "tensorrt") == (
        "problem",
        "TensorRT 8.2.1 has bindings for Python 3.6 only, and edgeunet runs on 3.10 and later; "
        "and it lacks the uint8 tensors that frames need without --frame float",
        ("edgeunet run SOURCE SINK --bundle BUNDLE --engine onnxruntime",),
    )
    assert "JetPack 4.6.1 itself has 3.6" in of(found, "python").text
    assert of(found, "gpu").text == "NVIDIA Tegra X1, compute capability 5.3"
    assert "cuda in python" not in {finding.topic for finding in found.findings}
    assert said(found, "opencv")[2] == (
        'pip install "edgeunet[video]", and read USB cameras and videos with it',
    )
    level, text, mend = said(found, "swap")
    assert (level, mend[0]) == ("warning", "sudo systemctl disable --now nvzramconfig")
    assert text.startswith("1.69 GiB in zram: zram uses the same memory")
    assert mend[1].startswith("sudo fallocate -l 4G /swapfile && ")
    assert said(found, "desktop")[2] == (
        "sudo systemctl set-default multi-user.target && sudo reboot",
    )
    assert of(found, "power mode").text == "nvpmodel does not report it"
    assert of(found, "cameras").text == "none: there is no /dev/video*"


def test_a_desktop_uses_tensorrt_rtx(tmp_path: Path) -> None:
    found = look(DESKTOP, tmp_path)
    assert found.engines == ("tensorrt", "onnxruntime")
    assert of(found, "board").text.endswith(": no Jetson")
    assert of(found, "tensorrt").text == "TensorRT-RTX 1.7.1.116"
    assert of(found, "cuda in python").text == "cuda-python 13.0.3"
    assert of(found, "torch").text == "torch 2.9.0: for exporting and training, not for running"
    assert said(found, "opencv") == (
        "note",
        "OpenCV 4.12.0 without GStreamer: gst:// cannot be opened",
        (),
    )
    topics = {finding.topic for finding in found.findings}
    assert not topics & {"jetpack", "power mode", "clocks", "desktop", "supply"}


def test_a_desktop_without_tensorrt_is_told_how_to_get_it(tmp_path: Path) -> None:
    found = look(DESKTOP.with_(packages={"tensorrt_rtx": None, "cuda": None}), tmp_path)
    assert found.engines == ("onnxruntime",)
    assert said(found, "tensorrt") == (
        "warning",
        "TensorRT is not installed: the GPU stays unused",
        ('pip install "edgeunet[rtx]"',),
    )
    assert said(found, "cuda in python") == (
        "problem",
        "neither pycuda nor cuda-python is installed",
        ('pip install "cuda-python~=13.0"',),
    )


def test_a_bare_machine_can_run_nothing(tmp_path: Path) -> None:
    found = look(BARE, tmp_path)
    assert found.engines == ()
    assert said(found, "onnxruntime") == (
        "warning",
        "onnxruntime is not installed",
        ('pip install "edgeunet[cpu]"',),
    )
    assert said(found, "opencv")[2] == ('pip install "edgeunet[video]"',)
    assert of(found, "memory").text == "/proc/meminfo cannot be read"
    assert of(found, "gpu").level is Level.NOTE
    assert "swap" not in {finding.topic for finding in found.findings}


def test_a_processor_and_onnxruntime_are_enough(tmp_path: Path) -> None:
    found = look(BARE.with_(packages={"onnxruntime": ONNXRUNTIME}), tmp_path)
    assert found.engines == ("onnxruntime",)
    assert not [finding for finding in found.findings if finding.level is Level.PROBLEM]


def test_files_that_are_broken(tmp_path: Path) -> None:
    """Every file and every command returns rubbish."""
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
    found = look(simulated, tmp_path)
    assert json.dumps(found.document())
    assert of(found, "memory").text == "/proc/meminfo cannot be read"
    assert of(found, "disk").text == "the free space here is unknown"
    assert of(found, "jetpack").level is Level.WARNING
