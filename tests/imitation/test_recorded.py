"""What is predicted of the recorded graphs is what was seen of them on four processors.

They are {four networks} x {FP32, INT8} x {whole frames, windows}, 64x96, one thread.
"""

from __future__ import annotations

import functools
import statistics

import pytest

from benchmarks.emulated import serves
from edgeunet.imitation.allocations import Allocations
from edgeunet.imitation.prediction import region_bytes, whole_allocations
from tests.emulated.machines import machine
from tests.house.quoted import one_row
from tests.imitation.ordered_sizes import ordered, sizes_of
from tests.imitation.recorded import Record, read_record

MACHINES = ("here", "avx2", "cortex-a76", "cortex-a72")
NETWORKS = ("unetmm", "joint", "unet", "unetmm-naf")
CASES = [
    (name, f"{network}-{precision}-{run}")
    for name in MACHINES
    for network in NETWORKS
    for precision in ("fp32", "int8")
    for run in ("whole", "windows")
]
# Vectors of channels are not compared: the prediction leaves copies of some out.
LEAST_BYTES = 2048
LARGEST_RATIO, LARGEST_MEDIAN = 1.1, 1.03


@functools.cache
def record() -> Record:
    return read_record()


@functools.cache
def predicted(name: str, case: str) -> tuple[Allocations, ...]:
    return tuple(
        whole_allocations(view, machine(name).kind, threads=1) for view in record().graphs[case]
    )


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_allocation_is_predicted(name: str, case: str) -> None:
    for stage, trace in zip(predicted(name, case), record().traces[f"{name}-{case}"], strict=True):
        assert sorted(stage.kept_bytes) == sorted(trace.kept)
        sizes = [e if e > 0 else -trace.events[-1 - e] for e in trace.events]
        orders = [sizes_of(one, LEAST_BYTES) for one in (stage, *stage.others)]
        assert ordered(sizes, LEAST_BYTES) in orders


def test_regions_are_as_large_as_needed_and_little_larger() -> None:
    ratios = []
    for name, case in CASES:
        model, precision, run = case.rsplit("-", 2)
        runs = [(stage, 1) for stage in predicted(name, case)]
        region = region_bytes(runs, other_threads=())
        traces = record().traces[f"{name}-{case}"]
        assert serves(region, [(trace.kept, trace.events) for trace in traces]), (name, case)
        row = one_row("emulated", machine=name, model=model, precision=precision, run=run)
        ratios.append(region / int(row["needed_region_bytes"]))
        assert 1 <= ratios[-1] <= LARGEST_RATIO, (name, case)
    assert statistics.median(ratios) <= LARGEST_MEDIAN
