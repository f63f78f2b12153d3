"""The checker finds every planted fault, and names it."""

from __future__ import annotations

import pytest

from edgeunet.analysis.checker import Fault, check_layout
from edgeunet.analysis.liveness import Lifetime
from edgeunet.graph.summary import TensorKind

BUFFERS = (
    Lifetime("a", 100, TensorKind.ACTIVATION, 0, 3),
    Lifetime("b", 64, TensorKind.ACTIVATION, 2, 5),
    Lifetime("c", 128, TensorKind.ACTIVATION, 3, 4),
)
GOOD = {"a": 0, "b": 128, "c": 0}


def faults(changed: dict[str, int], arena_bytes: int = 192) -> list[Fault]:
    return [f.fault for f in check_layout(BUFFERS, GOOD | changed, arena_bytes, 64)]


def test_a_good_plan_has_no_findings() -> None:
    assert faults({}) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"b": 64}, Fault.OVERLAP),  # a ends at byte 100, b would begin at 64
        ({"b": 0}, Fault.OVERLAP),
        ({"c": 64}, Fault.OVERLAP),  # only with b: a is gone when c comes
        ({"a": 32}, Fault.MISALIGNED),
        ({"b": 192}, Fault.OUTSIDE),
        ({"b": -64}, Fault.OUTSIDE),
        ({"stranger": 0}, Fault.UNKNOWN),
    ],
)
def test_a_planted_fault_is_found(changed: dict[str, int], fault: Fault) -> None:
    assert fault in faults(changed)


def test_identical_buffers_at_one_place_overlap() -> None:
    twins = [Lifetime(name, 64, TensorKind.ACTIVATION, 0, 1) for name in "ab"]
    (finding,) = check_layout(twins, {"a": 0, "b": 0}, 64, 64)
    expected = "overlap: a at bytes [0, 64) in steps [0, 1) and b at bytes [0, 64) in steps [0, 1)"
    assert str(finding) == expected


def test_a_missing_buffer_is_found() -> None:
    offsets = {"a": 0, "c": 0}
    assert [str(f) for f in check_layout(BUFFERS, offsets, 192, 64)] == ["missing: b has no place"]


def test_an_arena_one_byte_too_small_is_found() -> None:
    assert faults({}, arena_bytes=191) == [Fault.OUTSIDE]


def test_touching_in_time_or_space_is_allowed() -> None:
    before = Lifetime("before", 64, TensorKind.ACTIVATION, 0, 1)
    after = Lifetime("after", 64, TensorKind.ACTIVATION, 1, 2)
    beside = Lifetime("beside", 64, TensorKind.ACTIVATION, 0, 2)
    assert (
        check_layout([before, after, beside], {"before": 0, "after": 0, "beside": 64}, 128, 64)
        == ()
    )


def test_every_fault_is_listed() -> None:
    assert faults({"b": 32}, arena_bytes=64) == [
        Fault.OUTSIDE, Fault.OUTSIDE, Fault.MISALIGNED, Fault.OUTSIDE, Fault.OVERLAP, Fault.OVERLAP,
    ]  # fmt: skip
