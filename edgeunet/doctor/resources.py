"""Examines memory, swap and disk."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeunet.doctor.board import System
from edgeunet.doctor.findings import Finding, note, ok, warning
from edgeunet.doctor.machine import Machine
from edgeunet.units import GIB, KIB, MIB, format_bytes

# A bundle with plans and a timing cache takes some hundred MiB.
_LEAST_FREE_DISK_BYTES = GIB

# Boards with more memory can build plans without swap.
_SMALL_BOARD_BYTES = 8 * GIB

_MEMINFO_LINE = re.compile(r"(\w+(?:\(\w+\))?):\s+(\d+) kB")

_MAKE_SWAP = (
    "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
    "sudo swapon /swapfile",
    "echo '/swapfile none swap sw 0 0' | sudo tee -a /etc/fstab",
)


@dataclass(frozen=True)
class Memory:
    """Memory of the machine in bytes; None where the kernel does not report it.

    total: memory that the kernel manages.
    available: memory that programs can still get.
    cma, cma_free: the part of total for devices that need contiguous memory, and its free part.
    reserved: memory of the board that firmware and devices keep from the kernel.
    swap_disk, swap_zram: swap on disk, and in compressed memory.
    """

    total: int | None
    available: int | None
    cma: int | None
    cma_free: int | None
    reserved: int | None
    swap_disk: int
    swap_zram: int


def look_at_memory(machine: Machine, system: System) -> Memory:
    """Return the machine's memory figures."""
    lines = dict(_MEMINFO_LINE.findall(machine.read("/proc/meminfo") or ""))
    figures = {name: int(figure) * KIB for name, figure in lines.items()}
    total = figures.get("MemTotal")
    soldered = None if system.board is None else system.board.memory_bytes
    known = soldered is not None and total is not None and total < soldered
    disk, zram = _swaps(machine)
    return Memory(
        total=total,
        available=figures.get("MemAvailable", figures.get("MemFree")),
        cma=figures.get("CmaTotal"),
        cma_free=figures.get("CmaFree"),
        reserved=soldered - total if known and soldered and total else None,
        swap_disk=disk,
        swap_zram=zram,
    )


def findings_of_resources(machine: Machine, system: System, memory: Memory) -> list[Finding]:
    """Return findings about memory, swap, desktop and disk."""
    found = [_memory(system, memory)]
    if memory.total is not None:
        found.append(_swap(system, memory))
    if system.tegra:
        found += _desktop(machine)
    found.append(_disk(machine))
    return found


def _memory(system: System, memory: Memory) -> Finding:
    if memory.total is None or memory.available is None:
        return note("memory", "/proc/meminfo cannot be read")
    parts = [f"{format_bytes(memory.available)} free of {format_bytes(memory.total)}"]
    if memory.reserved is not None:
        parts.append(f"{format_bytes(memory.reserved)} kept by firmware and devices")
    if memory.cma:
        free = "" if memory.cma_free is None else f", {format_bytes(memory.cma_free)} of it free"
        parts.append(f"CMA {format_bytes(memory.cma)}{free}")
    text = "; ".join(parts)
    board = system.board
    if board is not None and memory.available < board.usable_bytes:
        return warning(
            "memory",
            f"{text}: less is free than --board {board.id} plans for "
            f"({format_bytes(board.usable_bytes)})",
            f"end other programs, or plan with --budget {_rounded_mib(memory.available)}MiB",
        )
    return ok("memory", text)


def _rounded_mib(size_bytes: int) -> int:
    """Return three quarters of the free memory in MiB; the rest is for libraries."""
    return max(1, size_bytes * 3 // 4 // MIB)


def _swap(system: System, memory: Memory) -> Finding:
    parts = []
    if memory.swap_disk:
        parts.append(f"{format_bytes(memory.swap_disk)} on disk")
    if memory.swap_zram:
        parts.append(f"{format_bytes(memory.swap_zram)} in zram")
    text = ", ".join(parts) or "none"
    small = system.board is not None and system.board.memory_bytes <= _SMALL_BOARD_BYTES
    if not small or memory.swap_disk:
        return ok("swap", text)
    mends = list(_MAKE_SWAP)
    why = "building a plan may run out of memory"
    if memory.swap_zram:
        mends.insert(0, "sudo systemctl disable --now nvzramconfig")
        why = f"zram uses the same memory; {why}"
    return warning("swap", f"{text}: {why}", *mends)


def _swaps(machine: Machine) -> tuple[int, int]:
    """Return the bytes of swap on disk and in zram."""
    disk = zram = 0
    for line in (machine.read("/proc/swaps") or "").splitlines()[1:]:
        words = line.split()
        if len(words) >= 3 and words[2].isdecimal():
            size_bytes = int(words[2]) * KIB
            if "zram" in words[0]:
                zram += size_bytes
            else:
                disk += size_bytes
    return disk, zram


def _desktop(machine: Machine) -> list[Finding]:
    asked = machine.run(("systemctl", "get-default"), 10)
    if asked.code != 0 or "graphical" not in asked.out:
        return []
    return [
        note(
            "desktop",
            "a desktop is started with the system and takes memory",
            "sudo systemctl set-default multi-user.target && sudo reboot",
        )
    ]


def _disk(machine: Machine) -> Finding:
    free = machine.free_bytes()
    if free is None:
        return note("disk", "the free space here is unknown")
    if free < _LEAST_FREE_DISK_BYTES:
        return warning(
            "disk",
            f"{format_bytes(free)} free here",
            "sudo apt clean, or write bundles to another disk with --out",
        )
    return ok("disk", f"{format_bytes(free)} free here")
