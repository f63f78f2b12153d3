"""What the doctor says: facts, and findings with the command that mends each."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(str, enum.Enum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    note: nothing is wrong, but it is worth knowing. warning: something works worse than it could,
    or not at all, and a bundle runs all the same. problem: an engine cannot run because of it.
    mend: commands or one instruction; empty when there is nothing to mend.
    """

    topic: str
    level: Level
    text: str
    mend: tuple[str, ...] = ()


def ok(topic: str, text: str) -> Finding:
    return Finding(topic, Level.OK, text)


def note(topic: str, text: str, *mend: str) -> Finding:
    return Finding(topic, Level.NOTE, text, mend)


def warning(topic: str, text: str, *mend: str) -> Finding:
    return Finding(topic, Level.WARNING, text, mend)


def problem(topic: str, text: str, *mend: str) -> Finding:
    return Finding(topic, Level.PROBLEM, text, mend)
