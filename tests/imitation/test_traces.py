"""What onnxruntime was seen to allocate on other processors is what is predicted, one by one.

``traces.json`` has whole frames of 128x160 in FP32, as ``tests/emulated/traced.py`` saw them with
one thread: a positive number is an allocation in bytes, ``-1 - i`` frees the one at position i.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx_ir")

from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.graph.for_engine import finish, read_frame_late
from edgeunet.graph.summary import GraphView, view_of_model
from edgeunet.imitation.allocations import _allocations as allocations_in_order
from edgeunet.imitation.onnxruntime_kernels import orders_of
from edgeunet.processors import ProcessorClass
from edgeunet.recipes import load_recipe
from edgeunet.specs import Engine, Precision
from tests.emulated.machines import machine
from tests.imitation.ordered_sizes import ordered, sizes_of

SIZE = (128, 160)
# Smaller tensors than this are not compared: scalars, which the prediction leaves out.
LEAST_BYTES = 512
TRACES: dict[str, dict[str, list[int]]] = json.loads(
    (Path(__file__).parent / "traces.json").read_text()
)
CASES = [(name, network) for name, traces in TRACES.items() for network in traces]


@functools.cache
def view_of(network: str) -> GraphView:
    graphs = graphs_of_recipe(load_recipe(network))
    model = finish(graphs.at(*SIZE, Precision.FP32), Engine.ONNXRUNTIME)
    return view_of_model(read_frame_late(model, Engine.ONNXRUNTIME))


@pytest.mark.parametrize(("name", "network"), CASES)
def test_allocations_are_those_that_were_seen(name: str, network: str) -> None:
    seen = in_turn(TRACES[name][network])
    kind: ProcessorClass = machine(name).kind
    view = view_of(network)
    predicted = [
        sizes_of(allocations_in_order(kernels, view, (), 1, kind.channel_block), LEAST_BYTES)
        for kernels in orders_of(view, kind)
    ]
    assert seen in predicted


def in_turn(events: list[int]) -> list[int]:
    """Return sizes, negative where they are freed; frees in a row are sorted."""
    return ordered([event if event > 0 else -events[-1 - event] for event in events], LEAST_BYTES)
