"""Watches the shares of classes in label maps: ``pedestrian > 2% for 1s``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import UsageError, near_match
from edgeunet.specs import Array, Task
from edgeunet.units import parse_duration

_RULE = re.compile(
    r"\s*(?P<name>.+?)\s*(?P<sign>[<>])\s*(?P<percent>\d+(?:\.\d+)?)\s*%"
    r"(?:\s+for\s+(?P<duration>\S+))?\s*"
)
_EXAMPLE = "write it like 'pedestrian > 2% for 1s'"


@dataclass(frozen=True)
class EventRule:
    """A share of a class that is worth telling.

    text: the rule as the user wrote it.
    name: of the class.
    above: whether the share must be above the threshold, else below it.
    share: the threshold, 0..1 of the frame's pixels.
    duration_s: how long it must hold without a break.
    """

    text: str
    name: str
    above: bool
    share: float
    duration_s: float


@dataclass(frozen=True)
class ClassEvent:
    """A rule that has come true. It is told once, until it was untrue again.

    share: the class's share of the frame at hand, 0..1.
    time_s: the frame's time, in seconds since the source's first frame.
    """

    rule: EventRule
    share: float
    time_s: float


def read_rule(text: str) -> EventRule:
    """Read ``NAME > PERCENT%`` or ``NAME < PERCENT%``, and maybe ``for TIME``.

    Raises UsageError for anything else.
    """
    match = _RULE.fullmatch(text)
    if match is None or float(match["percent"]) > 100:
        raise UsageError(f"{text!r} is not an event", hint=_EXAMPLE)
    duration_s = parse_duration(match["duration"]) if match["duration"] else 0.0
    above = match["sign"] == ">"
    return EventRule(text, match["name"], above, float(match["percent"]) / 100, duration_s)


class EventWatcher:
    """Looks at every label map of a run, in one thread."""

    def __init__(self, rules: Sequence[EventRule], manifest: Manifest) -> None:
        """Prepare for frames of a bundle. Raises UsageError for a class that it does not have."""
        output = next((out for out in manifest.outputs if out.task is Task.SEGMENT), None)
        if output is None:
            raise UsageError(
                f"{manifest.name} has no labels that events could be about",
                hint="run a bundle that segments, or leave --event out",
            )
        self._output = output.name
        names = [entry.name for entry in output.classes]
        for rule in rules:
            if rule.name not in names:
                raise UsageError(
                    f"{manifest.name} has no class {rule.name!r}",
                    hint=near_match(rule.name, names) + f"its classes: {', '.join(names)}",
                )
        self._rules = [_Watched(rule, names.index(rule.name)) for rule in rules]

    def look(self, outputs: Mapping[str, Array], time_s: float) -> list[ClassEvent]:
        """Return the rules that have come true with this frame.

        outputs: a frame's outputs by name. time_s: the frame's time in seconds.
        """
        labels = outputs[self._output]
        counts = np.bincount(labels.reshape(-1), minlength=256)
        found = []
        for watched in self._rules:
            share = float(counts[watched.number]) / labels.size
            if watched.comes_true(share, time_s):
                found.append(ClassEvent(watched.rule, share, time_s))
        return found


class _Watched:
    """One rule, and since when it holds. number: of its class."""

    def __init__(self, rule: EventRule, number: int) -> None:
        self.rule = rule
        self.number = number
        self._since_s: float | None = None
        self._told = False

    def comes_true(self, share: float, time_s: float) -> bool:
        holds = share > self.rule.share if self.rule.above else share < self.rule.share
        if not holds:
            self._since_s, self._told = None, False
            return False
        if self._since_s is None:
            self._since_s = time_s
        if self._told or time_s - self._since_s < self.rule.duration_s:
            return False
        self._told = True
        return True
