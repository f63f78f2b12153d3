"""What this machine has, what is missing for running a bundle, and the command that mends it.

Files are read and commands run through ``machine.Machine``; heavy packages are asked in child
processes (``questions.py``), so that one that crashes is a finding and not the doctor's end.
"""

from edgeunet.doctor.examination import Examination, examine
from edgeunet.doctor.findings import Finding, Level
from edgeunet.doctor.machine import Machine

__all__ = ["Examination", "Finding", "Level", "Machine", "examine"]
