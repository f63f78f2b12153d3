"""Stages that take turns: every row is there when it is read, and few rows are held."""

from __future__ import annotations

import numpy as np
import pytest

from edgeunet.frame_windows import Halo, smallest_window, windows
from edgeunet.window_turns import StageRows, Turns, pieces_of, relayed_names, turns_of

ALIGN = 4


def stage_rows(
    chain: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    height: int,
    halo: Halo,
    length: int,
) -> StageRows:
    rows = windows(length, height, align=ALIGN, halo=halo)
    return StageRows(chain, inputs, outputs, tuple(rows), min(height, length))


def drawn(seed: int) -> tuple[list[StageRows], int]:
    """Return a chain of stages over a frame of random length; the last one makes ``answer``.

    A stage reads what the one before it makes, and some read what an earlier one makes as well.
    """
    generator = np.random.default_rng(seed)
    length = ALIGN * int(generator.integers(10, 80))
    count = int(generator.integers(2, 5))
    stages = []
    for number in range(count):
        halo = Halo(*(ALIGN * int(side) for side in generator.integers(0, 4, 2)))
        least = smallest_window(ALIGN, halo)
        height = least + ALIGN * int(generator.integers(0, 20))
        reads = {f"t{number - 1}"} if number else {"frame"}
        if number > 1 and generator.integers(2):
            reads.add(f"t{generator.integers(number - 1)}")
        makes = "answer" if number == count - 1 else f"t{number}"
        stages.append(stage_rows("decode", tuple(sorted(reads)), (makes,), height, halo, length))
    return stages, length


@pytest.mark.parametrize("seed", range(40))
def test_what_a_row_reads_is_there_and_not_overwritten(seed: int) -> None:
    stages, length = drawn(seed)
    turns = turns_of(stages, {"answer"})
    assert sorted(turns.order) == sorted(
        (number, row) for number, stage in enumerate(stages) for row in range(len(stage.rows))
    )
    # Each place of a tensor holds the number of the row that was written last.
    held = {name: np.full(rows, -1) for name, rows in turns.held_rows.items()}
    assert set(held) == {f"t{number}" for number in range(len(stages) - 1)}
    for number, row in turns.order:
        assert row is not None
        stage, window = stages[number], stages[number].rows[row]
        for name in stage.inputs:
            for first, last, place in pieces_of(
                window.start, window.start + stage.height, turns.held_rows.get(name)
            ):
                if name in held:
                    found = held[name][place : place + last - first]
                    assert found.tolist() == list(range(first, last))
        for name in stage.outputs:
            for first, last, place in pieces_of(
                window.first, window.last, turns.held_rows.get(name)
            ):
                if name in held:
                    held[name][place : place + last - first] = range(first, last)
    assert all(rows <= length for rows in turns.held_rows.values())


def test_few_rows_are_held() -> None:
    halo = Halo(8, 8)
    stages = [
        stage_rows("encode", ("frame",), ("a",), 48, halo, 1088),
        stage_rows("encode", ("a",), ("skip",), 64, halo, 1088),
    ]
    (rows,) = turns_of(stages, ()).held_rows.values()
    # A window of the reader, and at most what the maker goes on by.
    assert 64 <= rows <= 64 + 32


def test_what_others_read_is_not_relayed_and_still_waited_for() -> None:
    halo = Halo(0, 4)
    stages = [
        stage_rows("encode", ("frame",), ("skip",), 16, halo, 64),
        stage_rows("encode", ("skip",), ("deep",), 24, halo, 64),
        StageRows("", ("deep",), ("core",)),
        stage_rows("decode", ("core", "skip"), ("answer",), 32, halo, 64),
    ]
    assert relayed_names(stages, {"answer"}) == frozenset()
    turns = turns_of(stages, {"answer"})
    assert turns.held_rows == {}
    assert (2, None) in turns.order
    made = 0
    for number, row in turns.order:
        if number == 0 and row is not None:
            made = stages[0].rows[row].last
        if number == 1 and row is not None:
            assert stages[1].rows[row].start + 24 <= made


def test_stages_that_run_alone_run_once_in_order() -> None:
    stages = [StageRows("", ("frame",), ("a",)), StageRows("", ("a",), ("answer",))]
    assert turns_of(stages, {"answer"}) == Turns(((0, None), (1, None)), {})


def test_an_output_of_the_frame_is_never_relayed() -> None:
    stages = [
        StageRows("decode", ("frame",), ("labels",)),
        StageRows("decode", ("labels",), ("answer",)),
    ]
    assert relayed_names(stages, {"answer"}) == {"labels"}
    assert relayed_names(stages, {"answer", "labels"}) == frozenset()


@pytest.mark.parametrize(
    ("held_rows", "expected"),
    [
        (None, [(6, 14, 6)]),
        (20, [(6, 14, 6)]),
        (10, [(6, 10, 6), (10, 14, 0)]),
        (8, [(6, 8, 6), (8, 14, 0)]),
    ],
)
def test_rows_lie_one_after_the_other(
    held_rows: int | None, expected: list[tuple[int, int, int]]
) -> None:
    assert pieces_of(6, 14, held_rows) == expected
