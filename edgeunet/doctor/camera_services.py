"""Examines the services that ``edgeunet service install`` has written units for."""

from __future__ import annotations

from edgeunet.doctor.findings import Finding, ok, warning
from edgeunet.doctor.machine import Machine


def findings_of_services(machine: Machine) -> list[Finding]:
    """Return a finding per service: whether it runs, and what to ask when it does not."""
    found = []
    for unit in machine.glob("/etc/systemd/system/edgeunet-*.service"):
        name = unit.name.removesuffix(".service")
        asked = machine.run(("systemctl", "is-active", name), 10)
        state = asked.out.strip() or "not known to systemctl"
        if state == "active":
            found.append(ok("service", f"{name} is active: frames flow"))
            continue
        mend = (f"sudo systemctl enable --now {name}", f"journalctl -u {name} -n 30")
        found.append(warning("service", f"{name} is {state}", *mend))
    return found
