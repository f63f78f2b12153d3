"""Simulated machines: a folder is the root, and prepared answers replace commands.

The files have the formats of L4T and of the Linux kernel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeunet.doctor.machine import Machine, Outcome, PythonFacts
from edgeunet.units import GIB

Facts = Mapping[str, Any]

PYTHON = PythonFacts("/usr/bin/python3", (3, 10), "/usr", "/usr")
ENVIRONMENT = PythonFacts("/opt/env/bin/python", (3, 10), "/opt/env", "/usr")

ORIN_GPU = {
    "cuda": "12.6",
    "devices": [
        {
            "name": "Orin",
            "compute_capability": "8.7",
            "integrated": True,
            "memory_bytes": 3591 * 2**20,
        }
    ],
}


@dataclass(frozen=True)
class Simulated:
    """The parts of a simulated machine.

    files: path -> text or bytes.
    packages: name -> facts, or the Outcome of the child that loads it. Others are not installed.
    commands: first words -> outcome.
    """

    files: Mapping[str, str | bytes] = field(default_factory=dict)
    packages: Mapping[str, Facts | Outcome] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    python: PythonFacts = PYTHON
    free_bytes: int | None = 20 * GIB
    readable: bool = True

    def with_(self, **changes: Any) -> Simulated:
        """Return the machine with changes: entries are added to its mappings, None removes one."""
        merged: dict[str, Any] = {
            name: {
                key: value
                for key, value in {**getattr(self, name), **change}.items()
                if value is not None
            }
            if isinstance(change, Mapping)
            else change
            for name, change in changes.items()
        }
        return replace(self, **merged)

    def machine(self, root: Path) -> Machine:
        for name, content in self.files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Machine(
            root=root,
            python=self.python,
            run=self._run,
            version_of=self.versions.get,
            free_bytes=lambda: self.free_bytes,
            readable=lambda path: self.readable,
        )

    def _run(self, words: Sequence[str], timeout_s: float) -> Outcome:
        assert timeout_s > 0
        if words[0] == self.python.executable and words[1] == "-c":
            return self._load(words[-1])
        line = " ".join(words)
        for command, out in self.commands.items():
            if line.startswith(command):
                return Outcome(0, out)
        return Outcome(None, err="No such file or directory")

    def _load(self, package: str) -> Outcome:
        answer = self.packages.get(package)
        if isinstance(answer, Outcome):
            return answer
        if answer is None and package == "driver":
            return broken("OSError: libcuda.so.1: cannot open shared object file")
        result: dict[str, Any] = {"absent": True, "reason": f"No module named {package!r}"}
        return said(result if answer is None else {"facts": answer})


def said(result: Mapping[str, Any]) -> Outcome:
    """Return the output of a child process that answers with facts."""
    return Outcome(0, "noise of a library\nedgeunet-answer:" + json.dumps(result) + "\n")


def broken(reason: str, err: str = "") -> Outcome:
    return replace(said({"absent": False, "reason": reason}), err=err)


def meminfo(total_mib: int, available_mib: int, cma_mib: int = 256) -> str:
    return (
        f"MemTotal:       {total_mib * 1024} kB\n"
        f"MemFree:         {available_mib * 512} kB\n"
        f"MemAvailable:   {available_mib * 1024} kB\n"
        f"CmaTotal:       {cma_mib * 1024} kB\n"
        f"CmaFree:        {cma_mib * 512} kB\n"
        "HugePages_Total:       0\n"
    )


def tegra_release(major: int, revision: str) -> str:
    return (
        f"# R{major} (release), REVISION: {revision}, GCID: 38968081, BOARD: generic, "
        "EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"
        "# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n"
    )


_SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
DISK_SWAP = _SWAPS + "/swapfile                               file\t\t8388604\t\t0\t\t-2\n"
ZRAM_SWAP = _SWAPS + "".join(
    f"/dev/zram{index}                              partition\t296000\t\t0\t\t5\n"
    for index in range(6)
)

ONNXRUNTIME = {"version": "1.23.0", "providers": ["CPUExecutionProvider"]}
OPENCV_WITH = {"version": "4.8.0", "gstreamer": "YES (1.20.3)"}
OPENCV_WITHOUT = {"version": "4.12.0", "gstreamer": "NO"}

# All is as it should be: the system's packages, a disk to swap to, no desktop.
ORIN_NANO = Simulated(
    files={
        "/proc/device-tree/model": b"NVIDIA Jetson Orin Nano Engineering Reference\0",
        "/proc/device-tree/compatible": b"nvidia,p3768-0000+p3767-0004\0nvidia,p3767-0004\0"
        b"nvidia,tegra234\0",
        "/etc/nv_tegra_release": tegra_release(36, "4.3"),
        "/etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=7W_AI >\n< POWER_MODEL ID=1 NAME=10W >\n"
        "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n",
        "/proc/meminfo": meminfo(3425, 2800),
        "/proc/swaps": DISK_SWAP,
        "/usr/local/cuda/version.json": '{"cuda" : {"name" : "CUDA SDK", "version" : "12.6.11"}}',
        "/usr/lib/aarch64-linux-gnu/libnvinfer.so.10": "",
        "/usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0": "",
        "/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
        "/usr/src/tensorrt/bin/trtexec": "",
        "/sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
        "/sys/class/devfreq/17000000.gpu/max_freq": "306000000\n",
        "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "/sys/class/thermal/thermal_zone0/temp": "48062\n",
        "/sys/class/thermal/thermal_zone0/trip_point_0_type": "passive\n",
        "/sys/class/thermal/thermal_zone0/trip_point_0_temp": "99000\n",
        "/sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
        "/sys/class/thermal/thermal_zone1/temp": "46500\n",
        "/sys/class/hwmon/hwmon1/oc3_event_cnt": "0\n",
        "/dev/video0": "",
        "/sys/class/video4linux/video0/name": "vi-output, imx219 9-0010\n",
    },
    packages={
        "tensorrt": {"version": "10.3.0"},
        "onnxruntime": ONNXRUNTIME,
        "cv2": OPENCV_WITH,
        "pycuda": {"version": "2026.1"},
        "driver": ORIN_GPU,
    },
    commands={
        "nvpmodel -q": "NV Power Mode: MAXN_SUPER\n2\n",
        "systemctl get-default": "multi-user.target\n",
        "gst-inspect-1.0 --exists nvarguscamerasrc": "",
    },
    versions={"numpy": "1.26.4"},
)

THOR = ORIN_NANO.with_(
    files={
        "/proc/device-tree/model": b"NVIDIA Jetson AGX Thor Developer Kit\0",
        "/proc/device-tree/compatible": b"nvidia,p4071-0000+p3834-0008\0nvidia,tegra264\0",
        "/etc/nv_tegra_release": tegra_release(38, "2.0"),
        "/proc/meminfo": meminfo(125_000, 120_000),
        "/usr/local/cuda/version.json": '{"cuda": {"version": "13.0.48"}}',
        "/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": None,
        "/usr/lib/python3.12/dist-packages/tensorrt/__init__.py": "",
        "/etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >\n",
        "/sys/class/devfreq/17000000.gpu/min_freq": None,
        "/sys/class/devfreq/17000000.gpu/max_freq": None,
        "/sys/class/devfreq/gpu-gpc-0/min_freq": "315000000\n",
        "/sys/class/devfreq/gpu-gpc-0/max_freq": "1575000000\n",
    },
    packages={
        "tensorrt": {"version": "10.13.3.9"},
        "driver": {
            "cuda": "13.0",
            "devices": [{**ORIN_GPU["devices"][0], "name": "Thor", "compute_capability": "11.0"}],  # type: ignore[dict-item]
        },
    },
    commands={"nvpmodel -q": "NV Power Mode: 120W\n1\n"},
    python=PythonFacts("/usr/bin/python3", (3, 12), "/usr", "/usr"),
)

# JetPack 4.6.1: its Python is 3.6; edgeunet runs in one that somebody built.
OLD_NANO = Simulated(
    files={
        "/proc/device-tree/model": b"NVIDIA Jetson Nano Developer Kit\0",
        "/proc/device-tree/compatible": b"nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano"
        b"\0nvidia,tegra210\0",
        "/etc/nv_tegra_release": tegra_release(32, "7.1"),
        "/proc/meminfo": meminfo(3956, 3300),
        "/proc/swaps": ZRAM_SWAP,
        "/usr/local/cuda/version.txt": "CUDA Version 10.2.300\n",
        "/usr/lib/aarch64-linux-gnu/libnvinfer.so.8.2.1": "",
        "/usr/lib/python3.6/dist-packages/tensorrt/__init__.py": "",
        "/usr/src/tensorrt/bin/trtexec": "",
    },
    packages={
        "driver": {
            "cuda": "10.2",
            "devices": [{"name": "NVIDIA Tegra X1", "compute_capability": "5.3"}],
        }
    },
    commands={"systemctl get-default": "graphical.target\n"},
)

DESKTOP = Simulated(
    files={
        "/proc/meminfo": meminfo(64_000, 50_000, 0),
        "/proc/swaps": _SWAPS,
        "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65\n",
    },
    packages={
        "tensorrt_rtx": {"version": "1.7.1.116"},
        "onnxruntime": ONNXRUNTIME,
        "cv2": OPENCV_WITHOUT,
        "cuda": {"version": "13.0.3"},
        "driver": {
            "cuda": "13.0",
            "devices": [
                {
                    "name": "NVIDIA GeForce RTX 4070",
                    "compute_capability": "8.9",
                    "integrated": False,
                    "memory_bytes": 12 * GIB,
                }
            ],
        },
    },
    versions={"numpy": "2.1.0", "torch": "2.9.0", "opencv-python": "4.12.0.88"},
)

BARE = Simulated()
