"""The order in which stages of a chain run their windows, and the rows that they hold for it.

Stages of a chain take turns: a stage runs a row of its windows as soon as the stages before it have
made what the row reads. So of a relayed tensor, which only stages of the chain read, few rows are
held at a time. Positions and heights are in pixels of the padded frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgeunet.frame_windows import Window


@dataclass(frozen=True)
class StageRows:
    """A stage as its chain sees it.

    chain: the name of its chain; empty for a stage that runs alone.
    inputs, outputs: names of tensors.
    rows: the windows along the rows, from the top. height: of every window.
    """

    chain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[Window, ...] = ()
    height: int = 0


@dataclass(frozen=True)
class Turns:
    """How the stages of a plan run.

    order: (stage, row of windows), in the order in which they run. A stage that runs alone is there
        once, with None: all its windows run then.
    held_rows: for every relayed tensor, how many rows are in use at once at most.
    """

    order: tuple[tuple[int, int | None], ...]
    held_rows: Mapping[str, int]


def turns_of(stages: Sequence[StageRows], outputs: Collection[str]) -> Turns:
    """Return the order of all stages, in which rows of windows of a chain run as late as possible.

    stages: in the order of the plan; those of a chain follow one another.
    outputs: names of the frame's outputs, which are never relayed.
    """
    relayed = relayed_names(stages, outputs)
    order: list[tuple[int, int | None]] = []
    held_rows: dict[str, int] = {}
    for chain, numbers in itertools.groupby(range(len(stages)), lambda i: stages[i].chain):
        if not chain:
            order += [(number, None) for number in numbers]
            continue
        walk = _Walk(stages, tuple(numbers), relayed)
        order += walk.order()
        held_rows.update(walk.held_rows)
    return Turns(tuple(order), held_rows)


def pieces_of(start: int, stop: int, held_rows: int | None) -> list[tuple[int, int, int]]:
    """Return where the rows [start, stop) of a tensor lie that holds only some rows.

    Row ``y`` lies at ``y % held_rows``. Returns (first, last, place): rows [first, last) are held
    from row ``place`` on. held_rows: None for a tensor that holds all rows.
    """
    if held_rows is None:
        return [(start, stop, start)]
    found = []
    while start < stop:
        place = start % held_rows
        length = min(stop - start, held_rows - place)
        found.append((start, start + length, place))
        start += length
    return found


def relayed_names(stages: Sequence[StageRows], outputs: Collection[str]) -> frozenset[str]:
    """Return the tensors that are made in a chain and read only there."""
    readers: dict[str, set[str]] = {}
    for stage in stages:
        for name in stage.inputs:
            readers.setdefault(name, set()).add(stage.chain)
    return frozenset(
        name
        for stage in stages
        if stage.chain
        for name in stage.outputs
        if name not in outputs and readers.get(name) == {stage.chain}
    )


class _Walk:
    """The state of a chain while its order is found. numbers: of its stages in the plan."""

    def __init__(
        self, stages: Sequence[StageRows], numbers: tuple[int, ...], relayed: frozenset[str]
    ) -> None:
        self._stages = stages
        self._numbers = numbers
        # A tensor that is read outside as well is held whole, but is waited for in the same way.
        self._maker = {name: i for i in numbers for name in stages[i].outputs}
        self._readers = {
            name: [i for i in numbers if name in stages[i].inputs]
            for name in self._maker
            if name in relayed
        }
        self._done = dict.fromkeys(numbers, 0)
        self._order: list[tuple[int, int | None]] = []
        self.held_rows = dict.fromkeys(self._readers, 0)

    def order(self) -> list[tuple[int, int | None]]:
        """Return (stage, row) of all rows. What the last stage reads drives those before it."""
        for index in reversed(self._numbers):
            while self._done[index] < len(self._stages[index].rows):
                self._run(index)
        return self._order

    def _run(self, index: int) -> None:
        """Run a stage's next row of windows, after all rows that it depends on."""
        stage = self._stages[index]
        row = stage.rows[self._done[index]]
        for name in stage.inputs:
            maker = self._maker.get(name)
            while maker is not None and self._made(maker) < row.start + stage.height:
                self._run(maker)
        self._order.append((index, self._done[index]))
        for name in stage.outputs:
            if name in self._readers:
                starts = [self._next_read(reader) for reader in self._readers[name]]
                oldest = min([row.first, *(start for start in starts if start is not None)])
                self.held_rows[name] = max(self.held_rows[name], row.last - oldest)
        self._done[index] += 1

    def _made(self, index: int) -> int:
        """Return the end of the rows that a stage has made."""
        done, rows = self._done[index], self._stages[index].rows
        return rows[done - 1].last if done else 0

    def _next_read(self, index: int) -> int | None:
        """Return the first row that a stage still reads; None when it has finished."""
        done, rows = self._done[index], self._stages[index].rows
        return rows[done].start if done < len(rows) else None
