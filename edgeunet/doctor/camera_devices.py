"""Examines the cameras, and whether this user may open them."""

from __future__ import annotations

from edgeunet.doctor.board import System
from edgeunet.doctor.findings import Finding, note, ok, warning
from edgeunet.doctor.machine import Machine

# Beginning of the kernel's name for a CSI camera on a Jetson.
_CSI = "vi-output"


def findings_of_cameras(machine: Machine, system: System) -> list[Finding]:
    """Return findings about cameras and their drivers."""
    devices = machine.glob("/dev/video*")
    if not devices:
        return [note("cameras", "none: there is no /dev/video*")]
    names = []
    csi = False
    for device in devices:
        name = machine.read(f"/sys/class/video4linux/{device.name}/name") or "without a name"
        csi = csi or name.startswith(_CSI)
        names.append(f"/dev/{device.name} ({name})")
    text = ", ".join(names)
    if not all(machine.readable(device) for device in devices):
        return [
            warning(
                "cameras",
                f"{text}: this user may not open all of them",
                "sudo usermod -aG video $USER, and log in again",
            )
        ]
    found = [ok("cameras", text)]
    if csi and system.tegra:
        found += _csi_driver(machine)
    return found


def _csi_driver(machine: Machine) -> list[Finding]:
    asked = machine.run(("gst-inspect-1.0", "--exists", "nvarguscamerasrc"), 20)
    if asked.code == 0:
        return []
    return [
        warning(
            "cameras",
            "GStreamer has no nvarguscamerasrc, which csi:// reads cameras with",
            "sudo apt install gstreamer1.0-tools nvidia-l4t-gstreamer",
        )
    ]
