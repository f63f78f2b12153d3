"""Examines what slows the machine down: power mode, clocks, heat, power supply."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from edgeunet.doctor.board import System
from edgeunet.doctor.findings import Finding, note, ok, warning
from edgeunet.doctor.machine import Machine

_MODE = re.compile(r"NV Power Mode:\s*(\S+)")
_CONFIGURED = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>")
_WATTS = re.compile(r"(\d+)W")

# The kernel's names of trip points at which it slows the machine down.
_SLOWING = ("passive", "hot", "critical")


@dataclass(frozen=True)
class Heat:
    """The reading of one temperature sensor in degrees Celsius.

    limit: temperature at which the machine is slowed down, or None.
    """

    name: str
    celsius: float
    limit: float | None


def findings_of_speed(machine: Machine, system: System) -> list[Finding]:
    """Return findings about power mode, clocks, heat and power supply."""
    found = [*_power_mode(machine), *_clocks(machine)] if system.tegra else []
    found += _thermal(machine)
    return found + (_over_current(machine) if system.tegra else [])


def _power_mode(machine: Machine) -> list[Finding]:
    asked = machine.run(("nvpmodel", "-q"), 10)
    match = _MODE.search(asked.out)
    if match is None:
        return [note("power mode", "nvpmodel does not report it", "sudo nvpmodel -q")]
    mode = match.group(1)
    configured = _CONFIGURED.findall(machine.read("/etc/nvpmodel.conf") or "")
    faster = max(configured, key=lambda entry: _rank(entry[1]), default=("", mode))
    if _rank(faster[1]) > _rank(mode):
        return [
            warning("power mode", f"{mode}; {faster[1]} is faster", f"sudo nvpmodel -m {faster[0]}")
        ]
    return [ok("power mode", mode)]


def _rank(mode: str) -> float:
    """Return a number that orders modes by power: watts, then MAXN, then MAXN_SUPER."""
    if mode.startswith("MAXN"):
        return math.inf if "SUPER" in mode else 1e6
    watts = _WATTS.search(mode)
    return int(watts.group(1)) if watts else 0


def _clocks(machine: Machine) -> list[Finding]:
    """Return a finding about the GPU's clock. ``jetson_clocks`` sets its minimum to its maximum."""
    for folder in machine.glob("/sys/class/devfreq/*"):
        if not re.search(r"gpu|ga10b|gv11b|gp10b", folder.name):
            continue
        lowest, highest = (machine.number(folder / name) for name in ("min_freq", "max_freq"))
        if not lowest or not highest:
            continue
        if lowest == highest:
            return [ok("clocks", f"GPU held at {highest / 1e6:.0f} MHz")]
        return [
            note(
                "clocks",
                f"GPU between {lowest / 1e6:.0f} and {highest / 1e6:.0f} MHz, by load",
                "before measuring: sudo jetson_clocks",
            )
        ]
    return []


def _thermal(machine: Machine) -> list[Finding]:
    sensors = [
        heat
        for zone in machine.glob("/sys/class/thermal/thermal_zone*")
        if (heat := _heat(machine, zone)) is not None
    ]
    if not sensors:
        return []
    hottest = max(sensors, key=lambda heat: heat.celsius)
    over = [heat for heat in sensors if heat.limit is not None and heat.celsius >= heat.limit]
    if over:
        worst = max(over, key=lambda heat: heat.celsius)
        return [
            warning(
                "heat",
                f"{worst.name} {worst.celsius:.0f} °C: the machine is slowed down "
                f"from {worst.limit:.0f} °C on",
                "cool it: a fan at full speed with sudo jetson_clocks --fan, or a lower power "
                "mode with sudo nvpmodel -m",
            )
        ]
    return [ok("heat", f"{hottest.name} {hottest.celsius:.0f} °C is the hottest")]


def _heat(machine: Machine, zone: Path) -> Heat | None:
    """Return the reading of a thermal zone; None for a sensor whose part is switched off."""
    millidegrees = machine.number(zone / "temp")
    if millidegrees is None or not -50_000 < millidegrees < 200_000 or millidegrees == 0:
        return None
    limits = []
    for trip in sorted(zone.glob("trip_point_*_type")):
        kind = machine.read(trip)
        at = machine.number(trip.with_name(trip.name.removesuffix("_type") + "_temp"))
        # Active trips are left out: they turn on a fan and slow nothing down.
        if kind in _SLOWING and at is not None and at > 0:
            limits.append(at / 1000)
    name = machine.read(zone / "type") or zone.name
    return Heat(name.removesuffix("-thermal"), millidegrees / 1000, min(limits, default=None))


def _over_current(machine: Machine) -> list[Finding]:
    counts = [
        machine.number(path) or 0 for path in machine.glob("/sys/class/hwmon/*/oc*_event_cnt")
    ]
    if not any(counts):
        return []
    return [
        warning(
            "supply",
            f"slowed down {sum(counts)} times since the start, because too much current was drawn",
            "use a stronger power supply, or a lower power mode with sudo nvpmodel -m",
        )
    ]
