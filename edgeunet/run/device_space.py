"""Runs a bundle on a GPU: tensors in its memory, stages as TensorRT plans, a frame as stream work.

On an integrated GPU the frame and the outputs are mapped host memory, which the GPU reads and
writes
in place. On other GPUs they are copied through page-locked memory, on two streams of their own:
rows
of the frame are uploaded while the first windows run, and rows of the outputs are downloaded as
soon
as they are final.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import StageEntry
from edgeunet.engine.cuda import Device, open_device
from edgeunet.engine.cuda.driver import Block, HostBlock
from edgeunet.engine.cuda.settings import DeviceSettings
from edgeunet.engine.trt.plans import Gpu, read_info, read_plan
from edgeunet.engine.trt.provider import PROVIDERS, load_provider
from edgeunet.engine.trt.session import ALIGNMENT_BYTES, LoadedPlan, PlanRuntime
from edgeunet.errors import EngineError
from edgeunet.run.spaces import Call, Index, Opened, Work
from edgeunet.run.strided import box_of
from edgeunet.specs import Array, Image, TensorSpec

# On older integrated GPUs the CPU does not cache mapped memory, so reading it is slow.
_CACHES_MAPPED_MEMORY = (7, 2)


@dataclass(frozen=True)
class DeviceTensor:
    """A contiguous tensor at an address that the GPU can use.

    spec: name, shape and dtype.
    address: of its first byte, as the GPU sees it.
    """

    spec: TensorSpec
    address: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape


@dataclass(frozen=True)
class _Output:
    """An output of the bundle.

    host: the array that ``run`` returns.
    on_device: the tensor that is copied to ``host``; None when the GPU writes ``host`` itself.
    """

    host: Array
    on_device: DeviceTensor | None


@dataclass(frozen=True)
class DeviceUse:
    """GPU memory that a bundle has taken, in bytes, without TensorRT's own.

    title: engine and GPU.
    mapped: the frame and the outputs are in host memory.
    work_bytes: memory that each stage's plan needs to run, by stage.
    frame_bytes: the frame and the outputs.
    block_bytes: size of each block, by its purpose (``HELD`` and ``WINDOW`` in ``executor.py``).
    """

    title: str
    mapped: bool
    work_bytes: Mapping[str, int]
    frame_bytes: int
    block_bytes: Mapping[str, int]


class DeviceSpace:
    """A ``Space`` on one GPU. It owns the device and the plans.

    title: engine and GPU.
    mapped: the frame and the outputs are in host memory.
    """

    alignment_bytes = ALIGNMENT_BYTES

    def __init__(
        self,
        device: Device,
        runtime: PlanRuntime,
        plans: Mapping[str, LoadedPlan],
        settings: DeviceSettings,
        tell: Callable[[str], None],
    ) -> None:
        self._device = device
        self._runtime = runtime
        self._plans = dict(plans)
        self._settings = settings
        self._tell = tell
        self.title = f"{runtime.provider.title} on {device.facts.name}, {device.backend}"
        self.mapped = maps_frames(device, settings)
        self._compute = device.stream()
        self._up = self._compute if self.mapped else device.stream()
        self._down = self._compute if self.mapped else device.stream()
        self._outputs: dict[str, _Output] = {}
        self._answers: dict[str, Array] = {}
        self._pixels: Array | None = None
        self._host_frame: Array | None = None
        self._frame: DeviceTensor | None = None
        self._rows_there = 0
        self._uploads: list[Call] = []
        self._calls: tuple[Call, ...] = ()
        self._graph: Any = None
        self._frame_bytes = 0
        self._blocks: dict[str, int] = {}
        self._closed = False
        self._failed = False

    @property
    def use(self) -> DeviceUse:
        """The GPU memory it has taken."""
        work = {name: plan.work_bytes for name, plan in self._plans.items()}
        return DeviceUse(self.title, self.mapped, work, self._frame_bytes, dict(self._blocks))

    def frame(self, spec: TensorSpec, size: tuple[int, int], *, padded: bool) -> DeviceTensor:
        host, self._frame = self._allocate_pair(spec, "the frame")
        self._host_frame = host
        # The padding around the frame stays zero; the network pads with zeros as well.
        self._pixels = host[0, : size[0], : size[1]]
        return self._frame

    def output(self, spec: TensorSpec) -> DeviceTensor:
        host, tensor = self._allocate_pair(spec, f"the output {spec.name!r}")
        self._outputs[spec.name] = _Output(host, None if self.mapped else tensor)
        self._answers[spec.name] = host
        return tensor

    def block(self, size_bytes: int, purpose: str) -> Block:
        # A plan that needs no memory still has to be given an address.
        block = self._device.allocate(max(size_bytes, ALIGNMENT_BYTES), purpose)
        self._blocks[purpose] = block.size_bytes
        return block

    def view(self, block: Block, offset_bytes: int, spec: TensorSpec) -> DeviceTensor:
        return DeviceTensor(spec, block.address + offset_bytes)

    def work_bytes(self, stage: StageEntry) -> int:
        return self._plans[stage.name].work_bytes

    def open(
        self,
        stage: StageEntry,
        inputs: Mapping[str, DeviceTensor],
        outputs: Mapping[str, DeviceTensor],
        work: Work,
        lane: int = 0,
    ) -> Opened:
        plan = self._plans[stage.name]
        addresses = {name: tensor.address for name, tensor in (*inputs.items(), *outputs.items())}
        with self._device.active():
            run = plan.bind(
                addresses,
                work.block.address + work.offset_bytes,
                self._device.handle_of(self._compute),
            )
        return Opened(run, plan.inputs, plan.outputs)

    def copy(self, source: DeviceTensor, part: Index, target: DeviceTensor, place: Index) -> Call:
        box = box_of(
            (source.address, source.spec.shape, part),
            (target.address, target.spec.shape, place),
            np.dtype(source.spec.dtype).itemsize,
        )
        return self._device.copy(box, self._compute)

    def read(self, tensor: DeviceTensor) -> Array:
        values = np.empty(tensor.spec.shape, tensor.spec.dtype)
        self._transfer(lambda: self._device.copy_out(values, tensor.address, self._compute))
        return values

    def write(self, tensor: DeviceTensor, values: Array) -> None:
        self._transfer(lambda: self._device.copy_in(tensor.address, values, self._compute))

    def _transfer(self, copy: Callable[[], Call]) -> None:
        with self._device.active():
            copy()()
            self._device.synchronise(self._compute)

    def arrival(self, rows: int) -> Call | None:
        if self.mapped or rows <= self._rows_there:
            return None
        assert self._host_frame is not None
        assert self._frame is not None
        band = self._host_frame[0, self._rows_there : rows]
        row_bytes = band[0].nbytes
        address = self._frame.address + self._rows_there * row_bytes
        there = self._device.event()
        self._uploads += [
            self._device.copy_in(address, band, self._up),
            self._device.record(there, self._up),
        ]
        self._rows_there = rows
        return self._device.wait(self._compute, there)

    def departure(self, name: str, rows: tuple[int, int] | None) -> Call | None:
        output = self._outputs.get(name)
        if output is None or output.on_device is None:
            return None
        host, address = output.host, output.on_device.address
        if rows is not None and host.shape[0] == 1:
            row_bytes = host[0, :1].nbytes
            host, address = host[0, slice(*rows)], address + rows[0] * row_bytes
        settled = self._device.event()
        return functools.partial(
            _call_all,
            (
                self._device.record(settled, self._compute),
                self._device.wait(self._down, settled),
                self._device.copy_out(host, address, self._down),
            ),
        )

    def ready(self, calls: Sequence[Call]) -> None:
        """Bind the calls of a frame, run them once, and capture them as a graph where possible.

        They run once before the capture because the first run of a plan does work that cannot be
        captured.
        """
        self._calls = (*self._fork_calls(), *self._uploads, *calls, *self._join_calls())
        with self._device.active():
            self._enqueue()
            self._device.synchronise(self._compute)
        if self._settings.graph != "off":
            self._capture()

    def run(self, image: Image) -> Mapping[str, Array]:
        if self._pixels is None:
            raise EngineError("the bundle was closed", hint="open it again")
        np.copyto(self._pixels, image)
        try:
            with self._device.active():
                if self._graph is not None:
                    self._device.launch(self._graph, self._compute)
                else:
                    self._enqueue()
                self._device.synchronise(self._compute)
        except EngineError:
            self._failed = True
            raise
        return self._answers

    def close(self) -> None:
        """Free everything: contexts before plans, and plans before the runtime."""
        if self._closed:
            return
        self._closed = True
        try:
            # A lost context cannot be made active; its memory is already gone.
            with contextlib.suppress(EngineError), self._device.active():
                self._drop_references()
        finally:
            self._drop_references()
            # After a failed frame the first error is reported, not those that follow from it.
            with contextlib.suppress(*((EngineError,) if self._failed else ())):
                self._device.close()

    def _drop_references(self) -> None:
        self._calls = ()
        self._uploads.clear()
        self._graph = None
        for plan in self._plans.values():
            plan.close()
        self._plans.clear()
        self._runtime.close()
        self._outputs.clear()
        self._answers.clear()
        self._pixels = self._host_frame = self._frame = None
        self._compute = self._up = self._down = None

    def _allocate_pair(self, spec: TensorSpec, purpose: str) -> tuple[Array, DeviceTensor]:
        """Allocate a tensor for the CPU and for the GPU.

        Both are the same memory when frames are mapped.
        """
        pinned: HostBlock = self._device.allocate_host(spec.size_bytes, purpose, mapped=self.mapped)
        host = pinned.array.view(spec.dtype).reshape(spec.shape)
        if pinned.address is not None:
            self._frame_bytes += spec.size_bytes
            return host, DeviceTensor(spec, pinned.address)
        block = self._device.allocate(spec.size_bytes, purpose)
        self._frame_bytes += spec.size_bytes
        return host, DeviceTensor(spec, block.address)

    def _enqueue(self) -> None:
        for call in self._calls:
            call()

    def _fork_calls(self) -> list[Call]:
        """Return calls that make the copy streams wait for the compute stream's earlier work."""
        if self.mapped:
            return []
        start = self._device.event()
        return [
            self._device.record(start, self._compute),
            self._device.wait(self._up, start),
            self._device.wait(self._down, start),
        ]

    def _join_calls(self) -> list[Call]:
        """Return calls that make the compute stream wait for all copies."""
        if self.mapped:
            return []
        calls: list[Call] = []
        for stream in (self._up, self._down):
            end = self._device.event()
            calls += [self._device.record(end, stream), self._device.wait(self._compute, end)]
        return calls

    def _capture(self) -> None:
        device, wanted = self._device, self._settings.graph == "on"
        if not device.has_graphs:
            if wanted:
                raise EngineError(
                    f"a CUDA graph cannot be made through {device.backend}",
                    hint="install cuda-python and set EDGEUNET_CUDA=cuda-python",
                )
            self._tell(f"no CUDA graph, so one call per window: {device.backend} has no graphs")
            return
        try:
            self._graph = device.capture(self._compute, self._enqueue)
        except EngineError as error:
            if wanted:
                raise
            self._tell(f"no CUDA graph, so one call per window: {error.message}")


def open_device_space(
    bundle: Bundle, settings: DeviceSettings, tell: Callable[[str], None]
) -> DeviceSpace:
    """Open the GPU and load every plan of a bundle.

    tell: called with one line when a CUDA graph cannot be used.
    Raises EngineError when a package or a plan is missing, or does not fit this machine.
    """
    stages = bundle.manifest.stages
    built_by = read_info(bundle, stages[0].name).provider
    provider = load_provider(next((name for name in PROVIDERS if name == built_by), None))
    device = open_device(settings.backend, settings.ordinal)
    plans: dict[str, LoadedPlan] = {}
    try:
        facts = device.facts
        gpu = Gpu(facts.name, facts.compute_capability_text)
        contents = {stage.name: read_plan(bundle, stage.name, provider, gpu)[0] for stage in stages}
        with device.active():
            runtime = PlanRuntime(provider)
            for stage in stages:
                plans[stage.name] = runtime.load(stage, contents.pop(stage.name))
            return DeviceSpace(device, runtime, plans, settings, tell)
    except BaseException:
        with contextlib.suppress(EngineError), device.active():
            for plan in plans.values():
                plan.close()
        device.close()
        raise


def maps_frames(device: Device, settings: DeviceSettings) -> bool:
    """Return whether frames and outputs are kept in mapped host memory.

    Raises EngineError when the settings ask for it and the GPU cannot map host memory.
    """
    facts = device.facts
    if settings.transfers == "mapped" and not facts.maps_host_memory:
        raise EngineError(f"{facts.name} cannot map host memory", hint="unset EDGEUNET_TRANSFERS")
    if settings.transfers != "auto":
        return settings.transfers == "mapped"
    caches = facts.compute_capability >= _CACHES_MAPPED_MEMORY
    return facts.integrated and facts.maps_host_memory and caches


def _call_all(calls: Sequence[Call]) -> None:
    for call in calls:
        call()
