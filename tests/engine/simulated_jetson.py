"""A simulated machine: a GPU, a package that calls it, and a TensorRT.

onnxruntime computes a plan's outputs from the ONNX file it was built from. It does so when the
stream
reaches the plan, on the bytes that are then at the plan's addresses.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.engine import open_session
from edgeunet.engine.trt.plans import MemoryLines, PlanInfo, digest_of, write_plan
from edgeunet.engine.trt.provider import make_logger
from edgeunet.specs import Array, Session, TensorSpec
from tests.engine.simulated_cuda import Layout, install
from tests.engine.simulated_gpu import Gpu, MisuseError
from tests.engine.simulated_tensorrt import Execution, Simulation, simulate
from tests.engine.tensorrt_versions import RTX

WORK_BYTES = 5000
# TensorRT for RTX too; ``rtx`` is its version in the simulation.
VERSIONS = ("8.6.2", "10.3.0", "10.13.3", "11.1", RTX)


@dataclass
class Jetson:
    """The machine. executions: number of runs of every plan."""

    gpu: Gpu
    tensorrt: Simulation

    def __post_init__(self) -> None:
        self.executions: list[str] = []
        self._graphs: dict[str, Path] = {}
        self._session = functools.cache(self._opened)
        self.tensorrt.on_execute = self._execute

    def build(self, bundle: Bundle) -> Bundle:
        """Write the plan of every stage into the bundle, as the builder does."""
        module, provider = self.tensorrt.module, self.tensorrt.provider
        for stage in bundle.manifest.stages:
            graph = bundle.file(stage.graph)
            self._graphs[graph.stem] = graph
            logger = make_logger(provider).native
            builder = module.Builder(logger)
            network = builder.create_network(0 if self.tensorrt.version[0] != "8" else 1)
            assert module.OnnxParser(network, logger).parse_from_file(str(graph))
            plan = bytes(builder.build_serialized_network(network, builder.create_builder_config()))
            info = PlanInfo(
                stage=stage.name,
                provider=provider.name,
                version=provider.version_text,
                gpu=self.gpu.name,
                compute_capabilities=("{}.{}".format(*self.gpu.compute_capability),),
                flags=(),
                graph_sha256=bundle.manifest.files[stage.graph],
                bundle_digest=bundle.manifest.digest,
                plan_sha256=digest_of(plan),
                plan_bytes=len(plan),
                memory=MemoryLines(activation_bytes=WORK_BYTES, weight_bytes=2048),
                device_memory_bytes=WORK_BYTES,
            )
            write_plan(bundle, plan, info)
        return bundle

    def _opened(self, plan: str) -> Session:
        return open_session(self._graphs[plan], threads=1)

    def _execute(self, execution: Execution) -> None:
        session = self._session(execution.plan)
        self.gpu.enter("execute_async_v3")
        for address in (*execution.addresses.values(), execution.work_address):
            if address % 256:
                raise MisuseError(f"{execution.plan} was given {address:#x}, which is not aligned")

        def run() -> None:
            self.executions.append(execution.plan)
            feeds = {
                spec.name: self._there(spec, execution.addresses[spec.name]).copy()
                for spec in session.inputs
            }
            # A plan may leave anything in what it works in: nobody else's tensors may be there.
            self.gpu.reach(execution.work_address, WORK_BYTES, device=True)[:] = 0xEE
            for spec in session.inputs:
                if not np.array_equal(
                    feeds[spec.name], self._there(spec, execution.addresses[spec.name])
                ):
                    raise MisuseError(f"{execution.plan} works where its {spec.name!r} is")
            answers = session.run(feeds)
            for spec in session.outputs:
                self._there(spec, execution.addresses[spec.name])[...] = answers[spec.name]

        self.gpu.put(self.gpu.stream_at(execution.stream), run)

    def _there(self, spec: TensorSpec, address: int) -> Array:
        raw: Array = self.gpu.reach(address, spec.size_bytes, device=True)
        return raw.view(spec.dtype).reshape(spec.shape)


def jetson(
    monkeypatch: pytest.MonkeyPatch,
    *,
    version: str = "10.3.0",
    layout: Layout = "cuda.bindings",
    gpu: Gpu | None = None,
) -> Jetson:
    """Make this process run on a simulated Jetson."""
    device = gpu or Gpu()
    tensorrt = simulate(version, gpu=device.name, work_bytes=WORK_BYTES)
    name = "tensorrt_rtx" if version == RTX else "tensorrt"
    monkeypatch.setitem(sys.modules, name, tensorrt.module)
    install(monkeypatch, device, layout)
    return Jetson(device, tensorrt)


def desktop(**settings: object) -> Gpu:
    """Return a GPU with memory of its own."""
    return Gpu(name="NVIDIA RTX", compute_capability=(8, 9), integrated=False, **settings)  # type: ignore[arg-type]
