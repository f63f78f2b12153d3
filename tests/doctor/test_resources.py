"""Machines with all packages but too little memory, swap, disk, cooling or access to cameras."""

from __future__ import annotations

from pathlib import Path

from edgeunet.doctor import Level
from edgeunet.units import MIB
from tests.doctor.looking import look, of, said
from tests.doctor.machines import DISK_SWAP, ORIN_NANO, THOR, ZRAM_SWAP, meminfo


def test_memory_used_by_other_programs(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={"/proc/meminfo": meminfo(3425, 1000), "/proc/swaps": ZRAM_SWAP}
    )
    found = look(simulated, tmp_path)
    level, text, mend = said(found, "memory")
    assert level == "warning"
    assert text.endswith("less is free than --board orin-nano-4gb plans for (2.06 GiB)")
    assert mend == ("end other programs, or plan with --budget 750MiB",)
    assert of(found, "swap").level is Level.WARNING


def test_swap_does_not_matter_on_a_large_board(tmp_path: Path) -> None:
    found = look(THOR.with_(files={"/proc/swaps": DISK_SWAP.splitlines()[0]}), tmp_path)
    assert said(found, "swap") == ("ok", "none", ())


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
    found = look(simulated, tmp_path)
    assert said(found, "disk") == (
        "warning",
        "100.0 MiB free here",
        ("sudo apt clean, or write bundles to another disk with --out",),
    )
    assert of(found, "heat").text == "gpu 100 °C: the machine is slowed down from 99 °C on"
    assert of(found, "supply").text == (
        "slowed down 12 times since the start, because too much current was drawn"
    )


def test_cameras_that_may_not_be_opened(tmp_path: Path) -> None:
    found = look(ORIN_NANO.with_(readable=False), tmp_path)
    assert said(found, "cameras") == (
        "warning",
        "/dev/video0 (vi-output, imx219 9-0010): this user may not open all of them",
        ("sudo usermod -aG video $USER, and log in again",),
    )
    without = ORIN_NANO.with_(commands={"gst-inspect-1.0 --exists nvarguscamerasrc": None})
    (finding,) = look(without, tmp_path).to_mend
    assert finding.mend == ("sudo apt install gstreamer1.0-tools nvidia-l4t-gstreamer",)
