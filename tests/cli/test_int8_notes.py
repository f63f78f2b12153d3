"""What an INT8 export tells a person who may expect more of it."""

from __future__ import annotations

import pytest

from edgeunet.bundle.manifest import MemoryEntry
from edgeunet.cli.int8 import int8_notes
from edgeunet.recipes import load_recipe

MIB = 1 << 20


def memory(region_bytes: int) -> MemoryEntry:
    return MemoryEntry(
        skip_bytes=0,
        peak_live_bytes=16 * MIB,
        arena_bytes=16 * MIB,
        io_bytes=0,
        weight_bytes=0,
        region_bytes=region_bytes,
    )


def test_whole_frames_are_told_what_copies_take() -> None:
    (note,) = int8_notes(load_recipe("unetmm"), memory(61 * MIB), whole=True)
    assert note == (
        "of the 61.0 MiB that onnxruntime is predicted to take, 45.0 MiB are copies its integer "
        "kernels make of their input: --tile auto takes less"
    )


@pytest.mark.parametrize(("region_bytes", "whole"), [(61 * MIB, False), (0, True)])
def test_windows_and_other_engines_are_not(region_bytes: int, whole: bool) -> None:
    assert list(int8_notes(load_recipe("unetmm"), memory(region_bytes), whole=whole)) == []


def test_networks_with_floats_between_their_integers_say_so() -> None:
    (note,) = int8_notes(load_recipe("unetmm-naf"), memory(0), whole=True)
    assert note.startswith("NAF blocks normalize and gate in floats, with conversions around each")
