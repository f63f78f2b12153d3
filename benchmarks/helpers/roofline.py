"""How fast could a bundle be? Bytes and operations counted in its graphs, over what the GPU gives.

What the GPU gives is measured too: its memory by copying, its arithmetic by multiplying matrices.
A frame cannot be faster than the slower of the two. ``least_bytes`` is read and written if every
stage were one kernel; ``most_bytes`` if every operator were one.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import StageEntry
from edgeunet.engine.cuda import Device
from edgeunet.engine.cuda.driver import StridedCopy
from edgeunet.graph.macs import macs_of
from edgeunet.graph.summary import GraphView, TensorKind, view_of_file
from edgeunet.specs import Precision

_COPY_BYTES = 256 << 20
_COPIES = 20
_SIDE = 4096
_PRODUCTS = 20


@dataclass(frozen=True)
class Counted:
    """Of one frame: windows count as often as they run."""

    operations: int
    least_bytes: int
    most_bytes: int


@dataclass(frozen=True)
class Peaks:
    """bytes_per_s: read and written. operations_per_s: None where it was not measured."""

    bytes_per_s: float | None
    operations_per_s: float | None

    def least_ms(self, counted: Counted) -> float | None:
        """Return what a frame takes at least; None when nothing is known of the GPU."""
        times = []
        if self.bytes_per_s:
            times.append(counted.least_bytes / self.bytes_per_s)
        if self.operations_per_s:
            times.append(counted.operations / self.operations_per_s)
        return 1e3 * max(times) if times else None


def count(bundle: Bundle) -> Counted:
    """Count a multiply-accumulate as two operations, and every byte that is read or written."""
    operations = least = most = 0
    for stage in bundle.manifest.stages:
        path = bundle.file(stage.graph)
        runs = _runs(bundle, stage)
        view = view_of_file(path)
        ends = view.bytes_of(TensorKind.INPUT, TensorKind.OUTPUT)
        weights = view.bytes_of(TensorKind.WEIGHT)
        # A window is copied in before it runs and out after: read and written once more.
        copied = 2 * ends if stage.window is not None else 0
        operations += runs * 2 * macs_of(ir.load(path))
        least += runs * (ends + weights + copied)
        most += runs * (_touched(view) + copied)
    return Counted(operations, least, most)


def _runs(bundle: Bundle, stage: StageEntry) -> int:
    plan = bundle.manifest.plan
    if plan is None or stage.window is None:
        return 1
    rows, columns = stage.window.cover(plan.height, plan.width)
    return len(rows) * len(columns)


def _touched(view: GraphView) -> int:
    real = [node for node in view.nodes if not node.is_view]
    return sum(view.tensor(n).size_bytes for node in real for n in (*node.inputs, *node.outputs))


def measured_bytes_per_s(device: Device, size_bytes: int = _COPY_BYTES) -> float:
    """Return what copying on the device reads and writes per second."""
    source = device.allocate(size_bytes, "measuring the memory")
    target = device.allocate(size_bytes, "measuring the memory")
    stream, start, end = device.stream(), device.event(timed=True), device.event(timed=True)
    box = StridedCopy(
        source.address, size_bytes, 1, target.address, size_bytes, 1, size_bytes, 1, 1
    )
    copy = device.copy(box, stream)
    with device.active():
        copy()
        device.record(start, stream)()
        for _ in range(_COPIES):
            copy()
        device.record(end, stream)()
        device.synchronise(stream)
    return 2 * _COPIES * size_bytes / (device.elapsed_ms(start, end) / 1e3)


def measured_operations_per_s(precision: Precision) -> float | None:
    """Return what torch's matrix product does per second; None without a torch that has CUDA."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    dtype = torch.float32 if precision is Precision.FP32 else torch.float16
    one = torch.randn(_SIDE, _SIDE, device="cuda", dtype=dtype)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.mm(one, one)
    start.record()
    for _ in range(_PRODUCTS):
        torch.mm(one, one)
    end.record()
    torch.cuda.synchronize()
    return float(2 * _SIDE**3 * _PRODUCTS / (start.elapsed_time(end) / 1e3))
