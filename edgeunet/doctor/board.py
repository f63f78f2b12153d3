"""Examines the board: module, JetPack, GPU, driver, CUDA."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from typing import Any

from edgeunet.boards import Board
from edgeunet.doctor.findings import Finding, note, ok, problem, warning
from edgeunet.doctor.jetpack import (
    JetPack,
    board_of,
    find_jetpack,
    is_tegra,
    l4t_of,
    model_of,
    releases,
)
from edgeunet.doctor.machine import Machine
from edgeunet.doctor.questions import Answer, ask
from edgeunet.units import format_bytes

_CUDA_IN_JSON = re.compile(r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"(\d+\.\d+)')
_CUDA_IN_TEXT = re.compile(r"CUDA Version (\d+\.\d+)")


@dataclass(frozen=True)
class System:
    """What other probes need to know about the machine.

    tegra: it is a Jetson or another board with a Tegra chip.
    model: its name in the device tree, or None.
    board: the module, if ``boards.toml`` has it.
    l4t: its L4T release, also when its JetPack is unknown.
    jetpack: its JetPack, if ``jetpack.toml`` has it.
    driver: the CUDA driver's answer.
    toolkit: version of the installed CUDA toolkit, or None.
    """

    tegra: bool
    model: str | None
    board: Board | None
    l4t: str | None
    jetpack: JetPack | None
    driver: Answer
    toolkit: str | None

    @property
    def devices(self) -> list[dict[str, Any]]:
        """The GPUs that the driver found, as ``questions.py`` describes them."""
        found = self.driver.facts.get("devices")
        return found if isinstance(found, list) else []

    @property
    def python_too_old(self) -> bool:
        """Whether the system's TensorRT is for a Python older than edgeunet supports."""
        return self.jetpack is not None and _numbers(self.jetpack.python) < (3, 10)


def look_at_system(machine: Machine) -> System:
    """Return the facts about the machine."""
    tegra = is_tegra(machine)
    l4t = l4t_of(machine) if tegra else None
    return System(
        tegra=tegra,
        model=model_of(machine),
        board=board_of(machine),
        l4t=l4t,
        jetpack=None if l4t is None else find_jetpack(l4t),
        driver=ask(machine, "driver"),
        toolkit=_toolkit_of(machine),
    )


def findings_of_system(machine: Machine, system: System) -> list[Finding]:
    """Return findings about board, JetPack, GPU and CUDA."""
    found = [_machine(system)]
    if system.tegra:
        found.append(_jetpack(machine, system))
    found += _gpu(machine, system)
    return found


def _machine(system: System) -> Finding:
    if system.board is not None:
        return ok("board", f"{system.model or system.board.name} (--board {system.board.id})")
    if system.tegra:
        return note(
            "board",
            f"{system.model or 'an NVIDIA Tegra'}: not in the list of --board",
            "give --budget instead of --board",
        )
    return ok("board", f"{system.model or platform.machine()}: no Jetson")


def _jetpack(machine: Machine, system: System) -> Finding:
    if system.l4t is None:
        return warning(
            "jetpack",
            "the L4T release cannot be read from /etc/nv_tegra_release",
            "in a container, mount it: docker run -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro"
            if machine.exists("/.dockerenv")
            else "sudo apt install --reinstall nvidia-l4t-core",
        )
    if system.jetpack is None:
        newest = releases()[0]
        return note(
            "jetpack",
            f"L4T {system.l4t} is not in the table, whose newest is {newest.l4t[-1]} "
            f"(JetPack {newest.jetpack})",
        )
    text = f"JetPack {system.jetpack.jetpack} (L4T {system.l4t})"
    board = system.board
    if board is not None and _numbers(system.jetpack.jetpack) < _numbers(board.jetpack[0]):
        return warning(
            "jetpack",
            f"{text}, and {board.name} is supported from {board.jetpack[0]}",
            f"flash JetPack {board.jetpack[-1]}",
        )
    return ok("jetpack", text)


def _gpu(machine: Machine, system: System) -> list[Finding]:
    if not system.devices:
        return [_no_gpu(machine, system)]
    gpus = [ok("gpu", _gpu_text(device)) for device in system.devices]
    return [*gpus, ok("cuda", _cuda_text(system))]


def _gpu_text(device: dict[str, Any]) -> str:
    text = f"{device.get('name')}, compute capability {device.get('compute_capability')}"
    size_bytes = device.get("memory_bytes")
    if not isinstance(size_bytes, int):
        return text
    memory = "shared memory" if device.get("integrated") else "memory"
    return f"{text}, {format_bytes(size_bytes)} {memory}"


def _cuda_text(system: System) -> str:
    driver = f"driver for CUDA {system.driver.facts.get('cuda')}"
    return driver if system.toolkit is None else f"{driver}, toolkit {system.toolkit}"


def _no_gpu(machine: Machine, system: System) -> Finding:
    reason = system.driver.reason or "the driver finds no device"
    if system.tegra:
        mends = ["sudo apt install nvidia-jetpack"]
        if machine.exists("/.dockerenv"):
            mends = ["start the container with: docker run --runtime nvidia"]
        elif "PERMISSION" in reason.upper() or "NO_DEVICE" in reason:
            mends = ["sudo usermod -aG video,render $USER, and log in again"]
        return problem("gpu", f"CUDA cannot be used: {reason}", *mends)
    if machine.exists("/proc/driver/nvidia/version") or machine.exists("/dev/nvidia0"):
        return problem(
            "gpu",
            f"there is an NVIDIA driver, and CUDA cannot be used: {reason}",
            "nvidia-smi says why; after an update of the driver: sudo reboot",
        )
    return note("gpu", "no NVIDIA GPU that CUDA can use: bundles run on the processor")


def _toolkit_of(machine: Machine) -> str | None:
    """Return the CUDA version in /usr/local/cuda: a text file on JetPack 4, JSON on later ones."""
    for name, pattern in (("version.json", _CUDA_IN_JSON), ("version.txt", _CUDA_IN_TEXT)):
        match = pattern.search(machine.read(f"/usr/local/cuda/{name}") or "")
        if match:
            return match.group(1)
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
