"""Examines this machine: what it has, what bundles need, and commands that install or repair it.

Files are read and commands run through ``machine.Machine``. Heavy packages are loaded in child
processes (``questions.py``), so that a crash becomes a finding and does not end the doctor.
"""

from edgeunet.doctor.examination import Examination, examine
from edgeunet.doctor.findings import Finding, Level
from edgeunet.doctor.machine import Machine

__all__ = ["Examination", "Finding", "Level", "Machine", "examine"]
