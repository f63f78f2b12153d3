"""Examines a simulated machine and returns single findings."""

from __future__ import annotations

from pathlib import Path

from edgeunet.doctor import Examination, Finding, examine
from tests.doctor.machines import Simulated


def look(simulated: Simulated, root: Path) -> Examination:
    return examine(simulated.machine(root))


def of(examination: Examination, topic: str) -> Finding:
    """Return the only finding about a topic."""
    (finding,) = [finding for finding in examination.findings if finding.topic == topic]
    return finding


def said(examination: Examination, topic: str) -> tuple[str, str, tuple[str, ...]]:
    """Return level, text and commands of a finding."""
    finding = of(examination, topic)
    return str(finding.level), finding.text, finding.mend
