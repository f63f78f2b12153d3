"""Tensors on a GPU, stages as TensorRT plans, and a frame as work on a stream.

On an integrated GPU the frame and the outputs are mapped host memory: the GPU reads and writes them
where they are. Elsewhere they go through page-locked memory on streams of their own: the frame
comes in rows while the first windows run, and rows of the outputs leave as they are settled.
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

# Older integrated GPUs do not keep mapped memory in the CPU's caches, and reading it there is slow.
_CACHES_MAPPED_MEMORY = (7, 2)


@dataclass(frozen=True)
class DeviceTensor:
    """A contiguous tensor at an address that the GPU can use."""

    spec: TensorSpec
    address: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape


@dataclass(frozen=True)
class _Output:
    """host: what ``run`` answers with. on_device: None when the GPU writes it there itself."""

    host: Array
    on_device: DeviceTensor | None


@dataclass(frozen=True)
class DeviceUse:
    """What a bundle has taken of the GPU, in bytes, beside TensorRT's own.

    title: the engine and the GPU. mapped: the frame and the outputs are in the host's memory;
    frame_bytes: of these. work_bytes: what each stage's plan works in. block_bytes: what the stages
    hand on, and the block with the window buffers and what the plans work in, by purpose.
    """

    title: str
    mapped: bool
    work_bytes: Mapping[str, int]
    frame_bytes: int
    block_bytes: Mapping[str, int]


class DeviceSpace:
    """A ``Space`` on one GPU. It owns the device and the plans."""

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
        work = {name: plan.work_bytes for name, plan in self._plans.items()}
        return DeviceUse(self.title, self.mapped, work, self._frame_bytes, dict(self._blocks))

    def frame(self, spec: TensorSpec, size: tuple[int, int], *, padded: bool) -> DeviceTensor:
        host, self._frame = self._both_sides(spec, "the frame")
        self._host_frame = host
        # Beyond the frame the buffer stays zero, as the network pads.
        self._pixels = host[0, : size[0], : size[1]]
        return self._frame

    def output(self, spec: TensorSpec) -> DeviceTensor:
        host, tensor = self._both_sides(spec, f"the output {spec.name!r}")
        self._outputs[spec.name] = _Output(host, None if self.mapped else tensor)
        self._answers[spec.name] = host
        return tensor

    def block(self, size_bytes: int, purpose: str) -> Block:
        # Plans that need nothing still want an address.
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
            _in_turn,
            (
                self._device.record(settled, self._compute),
                self._device.wait(self._down, settled),
                self._device.copy_out(host, address, self._down),
            ),
        )

    def ready(self, calls: Sequence[Call]) -> None:
        """Bind the frame's calls, run them once, and make a graph of them where that works.

        Once, because plans do what they do only once in their first run, and that cannot be
        captured.
        """
        self._calls = (*self._forked(), *self._uploads, *calls, *self._joined())
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
        """Give everything back. Contexts go before plans, and plans before the runtime."""
        if self._closed:
            return
        self._closed = True
        try:
            # A context that was lost cannot be made active; what was in it is gone already.
            with contextlib.suppress(EngineError), self._device.active():
                self._forget()
        finally:
            self._forget()
            # After a failure it is the failure that is to be told, not what it left behind.
            with contextlib.suppress(*((EngineError,) if self._failed else ())):
                self._device.close()

    def _forget(self) -> None:
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

    def _both_sides(self, spec: TensorSpec, purpose: str) -> tuple[Array, DeviceTensor]:
        """Return a tensor as the CPU has it and as the GPU has it."""
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

    def _forked(self) -> list[Call]:
        """Hold the copying streams until what was before on the compute stream is done."""
        if self.mapped:
            return []
        start = self._device.event()
        return [
            self._device.record(start, self._compute),
            self._device.wait(self._up, start),
            self._device.wait(self._down, start),
        ]

    def _joined(self) -> list[Call]:
        """Hold the compute stream's end until all is copied."""
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
            self._tell(f"without a CUDA graph, one call per window: {device.backend} makes none")
            return
        try:
            self._graph = device.capture(self._compute, self._enqueue)
        except EngineError as error:
            if wanted:
                raise
            self._tell(f"without a CUDA graph, one call per window: {error.message}")


def open_device_space(
    bundle: Bundle, settings: DeviceSettings, tell: Callable[[str], None]
) -> DeviceSpace:
    """Open the GPU and every plan of a bundle.

    Raises EngineError that names what is not there, or does not belong together.
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
    """Whether frames and outputs stay in host memory that the GPU works on."""
    facts = device.facts
    if settings.transfers == "mapped" and not facts.maps_host_memory:
        raise EngineError(f"{facts.name} cannot map host memory", hint="unset EDGEUNET_TRANSFERS")
    if settings.transfers != "auto":
        return settings.transfers == "mapped"
    caches = facts.compute_capability >= _CACHES_MAPPED_MEMORY
    return facts.integrated and facts.maps_host_memory and caches


def _in_turn(calls: Sequence[Call]) -> None:
    for call in calls:
        call()
