"""Which JetPack a system is, and which module it runs on, from ``jetpack.toml``."""

from __future__ import annotations

import functools
import re
from importlib import resources

import msgspec

from edgeunet.boards import Board, find_board
from edgeunet.doctor.machine import Machine

_FILE = "jetpack.toml"
_TEGRA_RELEASE = re.compile(r"R(\d+)\s*\(release\),\s*REVISION:\s*(\d+(?:\.\d+)*)")
_PACKAGE_VERSION = re.compile(r"(\d+\.\d+\.\d+)")
_PART = re.compile(r"p\d{4}-\d{4}")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table whose keys are all known."""


class JetPack(_Table, frozen=True, kw_only=True):
    """One release. tensorrt, cuda: None where it is not confirmed. python: of its Ubuntu."""

    jetpack: str
    l4t: tuple[str, ...]
    tensorrt: str | None = None
    cuda: str | None = None
    python: str


class _Releases(_Table, frozen=True):
    schema: int
    jetpacks: tuple[JetPack, ...]
    modules: dict[str, str]


@functools.cache
def releases() -> tuple[JetPack, ...]:
    """Return every known release, newest first."""
    return _shipped().jetpacks


@functools.cache
def modules() -> dict[str, str]:
    """Return module part number -> id of a board."""
    return _shipped().modules


@functools.cache
def _shipped() -> _Releases:
    text = resources.files("edgeunet.doctor").joinpath(_FILE).read_bytes()
    return msgspec.toml.decode(text, type=_Releases)


def find_jetpack(l4t: str) -> JetPack | None:
    return next((release for release in releases() if l4t in release.l4t), None)


def model_of(machine: Machine) -> str | None:
    """Return what the device tree calls the machine; None where there is no device tree."""
    return machine.read("/proc/device-tree/model") or None


def l4t_of(machine: Machine) -> str | None:
    """Return the L4T release like ``36.4.3``; None on what is no Jetson.

    In a container the file is often not there; then the package that it comes with is asked.
    """
    match = _TEGRA_RELEASE.search(machine.read("/etc/nv_tegra_release") or "")
    if match:
        return _three_numbers(f"{match.group(1)}.{match.group(2)}")
    if not is_tegra(machine):
        return None
    asked = machine.run(("dpkg-query", "--showformat=${Version}", "--show", "nvidia-l4t-core"), 10)
    version = _PACKAGE_VERSION.match(asked.out) if asked.code == 0 else None
    return version.group(1) if version else None


def is_tegra(machine: Machine) -> bool:
    """Whether this is a Jetson, or another board with NVIDIA's chip."""
    compatible = machine.read("/proc/device-tree/compatible") or ""
    return "nvidia,tegra" in compatible or machine.exists("/etc/nv_tegra_release")


def board_of(machine: Machine) -> Board | None:
    """Return the module this is, if ``boards.toml`` has it."""
    compatible = machine.read("/proc/device-tree/compatible") or ""
    known = [modules()[part] for part in _PART.findall(compatible) if part in modules()]
    return find_board(known[0]) if known else None


def _three_numbers(version: str) -> str:
    return ".".join([*version.split("."), "0"][:3])
