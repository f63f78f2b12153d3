"""Findings of the doctor, each with the commands that solve it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(str, enum.Enum):
    """How serious a finding is.

    ok: nothing is wrong.
    note: nothing is wrong, but it is useful to know.
    warning: something works badly or not at all, but a bundle can run.
    problem: an engine cannot run because of it.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    topic: what it is about.
    text: what was found.
    mend: commands to run, or one instruction; empty when there is nothing to do.
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
