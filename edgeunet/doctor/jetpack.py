"""JetPack releases and Jetson modules, from ``jetpack.toml``."""

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
    """A TOML table without unknown keys."""


class JetPack(_Table, frozen=True, kw_only=True):
    """One JetPack release.

    jetpack: its version.
    l4t: its L4T releases.
    tensorrt, cuda: versions that it comes with; None where they are not confirmed.
    python: Python version of its Ubuntu.
    """

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
    """Return the table from a module's part number to the id of a board."""
    return _shipped().modules


@functools.cache
def _shipped() -> _Releases:
    text = resources.files("edgeunet.doctor").joinpath(_FILE).read_bytes()
    return msgspec.toml.decode(text, type=_Releases)


def find_jetpack(l4t: str) -> JetPack | None:
    """Return the JetPack with an L4T release, or None."""
    return next((release for release in releases() if l4t in release.l4t), None)


def model_of(machine: Machine) -> str | None:
    """Return the machine's name in the device tree; None without a device tree."""
    return machine.read("/proc/device-tree/model") or None


def l4t_of(machine: Machine) -> str | None:
    """Return the L4T release, for example ``36.4.3``; None when it is unknown.

    In a container /etc/nv_tegra_release is often missing. Then the version of the package
    nvidia-l4t-core is used.
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
    """Return whether this is a Jetson, or another board with a Tegra chip."""
    compatible = machine.read("/proc/device-tree/compatible") or ""
    return "nvidia,tegra" in compatible or machine.exists("/etc/nv_tegra_release")


def board_of(machine: Machine) -> Board | None:
    """Return the module, if ``boards.toml`` has it, else None."""
    compatible = machine.read("/proc/device-tree/compatible") or ""
    known = [modules()[part] for part in _PART.findall(compatible) if part in modules()]
    return find_board(known[0]) if known else None


def _three_numbers(version: str) -> str:
    return ".".join([*version.split("."), "0"][:3])
