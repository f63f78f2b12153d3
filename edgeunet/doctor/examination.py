"""Runs all probes, and lists the engines that can run here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeunet.doctor.board import System, findings_of_system, look_at_system
from edgeunet.doctor.camera_devices import findings_of_cameras
from edgeunet.doctor.camera_services import findings_of_services
from edgeunet.doctor.findings import Finding
from edgeunet.doctor.machine import Machine
from edgeunet.doctor.packages import Packages, ask_packages, engines_of, findings_of_packages
from edgeunet.doctor.resources import Memory, findings_of_resources, look_at_memory
from edgeunet.doctor.speed import findings_of_speed


@dataclass(frozen=True)
class Examination:
    """The results of all probes.

    engines: those that can run a bundle here, the fastest first.
    findings: lines of the report.
    """

    system: System
    packages: Packages
    memory: Memory
    engines: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def to_mend(self) -> tuple[Finding, ...]:
        """The findings that have a command to run."""
        return tuple(finding for finding in self.findings if finding.mend)

    def document(self) -> dict[str, Any]:
        """Return the JSON document.

        Sizes are in bytes; null where the machine does not report them.
        """
        system, memory = self.system, self.memory
        return {
            "board": None if system.board is None else system.board.id,
            "model": system.model,
            "l4t": system.l4t,
            "jetpack": None if system.jetpack is None else system.jetpack.jetpack,
            "cuda": system.driver.facts.get("cuda"),
            "cuda_toolkit": system.toolkit,
            "gpus": system.devices,
            "packages": {
                name: {
                    "state": str(answer.state),
                    "version": answer.facts.get("version"),
                    "reason": answer.reason or None,
                }
                for name, answer in (
                    ("tensorrt", self.packages.tensorrt),
                    ("tensorrt_rtx", self.packages.tensorrt_rtx),
                    ("onnxruntime", self.packages.onnxruntime),
                    ("opencv", self.packages.opencv),
                    ("pycuda", self.packages.pycuda),
                    ("cuda_python", self.packages.cuda_python),
                )
            },
            "memory": {
                "total_bytes": memory.total,
                "available_bytes": memory.available,
                "reserved_bytes": memory.reserved,
                "cma_bytes": memory.cma,
                "swap_disk_bytes": memory.swap_disk,
                "swap_zram_bytes": memory.swap_zram,
            },
            "engines": list(self.engines),
            "findings": [
                {
                    "topic": finding.topic,
                    "level": str(finding.level),
                    "text": finding.text,
                    "mend": list(finding.mend),
                }
                for finding in self.findings
            ],
        }


def examine(machine: Machine) -> Examination:
    """Run all probes. Missing or broken parts become findings and raise nothing."""
    system = look_at_system(machine)
    packages = ask_packages(machine)
    memory = look_at_memory(machine, system)
    findings = (
        *findings_of_system(machine, system),
        *findings_of_packages(machine, system, packages),
        *findings_of_resources(machine, system, memory),
        *findings_of_speed(machine, system),
        *findings_of_cameras(machine, system),
        *findings_of_services(machine),
    )
    return Examination(system, packages, memory, engines_of(system, packages), findings)
