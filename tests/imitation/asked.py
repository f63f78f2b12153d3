"""What onnxruntime allocates for a small graph here, beside what is predicted of it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeunet.graph.summary import view_of_file
from edgeunet.imitation.prediction import whole_allocations
from edgeunet.ort import onnxruntime_session
from edgeunet.ort.onnxruntime_session import OnnxRuntimeSession
from edgeunet.processors import this_processor
from tests.emulated.aligned_memory import AlignedMemory
from tests.imitation.ordered_sizes import ordered, sizes_of

VERSION = "1.32"
SHAPE = (1, 4, 8, 96)
# Scalars and small vectors are not compared: the prediction leaves copies of some out.
LEAST_BYTES = 1024

needs_this_version = pytest.mark.skipif(
    not importlib.metadata.version("onnxruntime").startswith(VERSION),
    reason=f"allocations are followed in onnxruntime {VERSION}",
)


class Asking:
    """A graph of x, (1, 4, 8, 96) float32, and what is known of it.

    ``a`` and ``d`` are made of x by kernels that nothing is fused with.
    """

    def __init__(self, folder: Path, memory: AlignedMemory) -> None:
        self._path = folder / "asked.onnx"
        self._memory = memory

    def seen_and_predicted(
        self,
        nodes: Sequence[onnx.NodeProto],
        constants: dict[str, Any] | None = None,
        *,
        opset: int = 17,
        is_output: bool = False,
    ) -> tuple[list[int], list[list[int]]]:
        """Return the sizes in bytes as seen, and as predicted in every order of the copies.

        nodes: what comes after ``a`` and ``d``. is_output: whether the last of them makes the
            output of the graph, or is read by another kernel.
        """
        self._write(list(nodes), constants or {}, opset, is_output)
        with mock.patch.object(onnxruntime_session, "_options", _without_arena):
            session = OnnxRuntimeSession(self._path, threads=1)
        feeds = {spec.name: spec.random(np.random.default_rng(0)) for spec in session.inputs}
        self._memory.clear()
        session.run(feeds)
        events = list(self._memory.events)
        session.close()
        seen = [event if event > 0 else -events[-1 - event] for event in events]
        found = whole_allocations(view_of_file(self._path), this_processor(), threads=1)
        predicted = [sizes_of(one, LEAST_BYTES) for one in (found, *found.others)]
        return ordered(seen, LEAST_BYTES), predicted

    def _write(
        self,
        nodes: list[onnx.NodeProto],
        constants: dict[str, Any],
        opset: int,
        is_output: bool,
    ) -> None:
        last = nodes[-1].output[0]
        before = [
            helper.make_node("CumSum", ["x", "along"], ["a"]),
            helper.make_node("CumSum", ["a", "along"], ["d"], reverse=1),
        ]
        read = {name for node in nodes for name in node.input}
        after = [helper.make_node("Cast", [last], ["y"], to=TensorProto.FLOAT16)]
        if is_output:
            after = []
        values = {"along": np.int64(-1), **constants}
        graph = helper.make_graph(
            [*before[: 2 if "d" in read else 1], *nodes, *after],
            "asked",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
            [
                helper.make_tensor_value_info(
                    last if is_output else "y",
                    TensorProto.FLOAT if is_output else TensorProto.FLOAT16,
                    None,
                )
            ],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
        )
        opsets = [helper.make_opsetid("", opset)]
        model = onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=opsets, ir_version=8), data_prop=True
        )
        onnx.save(model, self._path)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with AlignedMemory() as memory:
        yield Asking(tmp_path_factory.mktemp("asked"), memory)


_OPTIONS = onnxruntime_session._options


def _without_arena(threads: int | None) -> Any:
    found = _OPTIONS(threads)
    found.enable_cpu_mem_arena = False
    found.add_session_config_entry("session.use_env_allocators", "0")
    return found
