"""Layer types that the compiler is given where the graph's types are not binding: TensorRT 8.6."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edgeunet.bundle.manifest import StageEntry, TensorEntry
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.builder import BuiltPlan, build_plan
from edgeunet.engine.trt.plans import Gpu
from edgeunet.engine.trt.precisions import float_layers
from edgeunet.engine.trt.provider import make_logger
from edgeunet.specs import Precision
from tests.bundle.tiny import tiny_graph
from tests.engine.simulated_tensorrt import Simulation, simulate

ORIN = Gpu("Orin", "8.7")
KINDS = {TensorProto.FLOAT: "FLOAT", TensorProto.FLOAT16: "HALF"}


def mixed_graph(path: Path) -> Path:
    """Return a graph with a uint8 frame, sums in 32 bits, a convolution in 16 bits, and labels."""
    half, single, byte = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.UINT8
    nodes = [
        helper.make_node("Cast", ["frame"], ["pixels"], to=single),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["soft"], to=half),
        helper.make_node("Conv", ["soft", "weights"], ["kept"]),
        helper.make_node("Relu", ["kept"], ["rectified"]),
        helper.make_node("Cast", ["rectified"], ["wide"], to=single),
        helper.make_node("Add", ["wide", "planes"], ["summed"]),
        helper.make_node("ArgMax", ["summed"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["labels"], to=byte),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info("frame", byte, [1, 8, 8, 3])],
        [helper.make_tensor_value_info("labels", byte, [1, 8, 8])],
        [
            helper.make_tensor("scale", single, [1], [0.5]),
            helper.make_tensor("weights", half, [3, 3, 1, 1], [0.0] * 9),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def build(graph: Path, precision: Precision, simulation: Simulation) -> BuiltPlan:
    borders = onnx.load(graph).graph
    inputs, outputs = (
        tuple(
            TensorEntry(
                name=value.name,
                shape=tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
                dtype="uint8",
            )
            for value in values
        )
        for values in (borders.input, borders.output)
    )
    stage = StageEntry(name="whole", graph="", inputs=inputs, outputs=outputs)
    return build_plan(graph, stage, precision, simulation.provider, BuildOptions(), ORIN)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_8_6_gets_the_type_of_every_float_layer(tmp_path: Path) -> None:
    simulation = simulate("8.6.2")
    plan = build(mixed_graph(tmp_path / "x.onnx"), Precision.FP16, simulation)
    (settings,) = simulation.configs
    assert settings["FP16"]
    assert settings["OBEY_PRECISION_CONSTRAINTS"]
    # Twice: what a layer computes in, and what it makes. No cast, no constant, nothing on integers.
    assert settings["told"] == {
        "planes": ["FLOAT"] * 2,
        "scaled": ["FLOAT"] * 2,
        "kept": ["HALF"] * 2,
        "rectified": ["HALF"] * 2,
        "summed": ["FLOAT"] * 2,
    }
    assert plan.flags[0] == "fp16 as the graph has it"
    assert plan.notes == ()


@pytest.mark.parametrize(
    ("version", "precision", "flag"),
    [
        ("8.6.2", Precision.FP32, "fp32 allowed"),
        ("8.6.2", Precision.INT8, "int8 allowed"),
        ("10.3.0", Precision.FP16, "strongly typed"),
        ("11.1.0", Precision.FP16, "strongly typed"),
    ],
)
def test_other_versions_get_no_layer_types(
    tmp_path: Path, version: str, precision: Precision, flag: str
) -> None:
    simulation = simulate(version)
    plan = build(mixed_graph(tmp_path / "x.onnx"), precision, simulation)
    assert not simulation.configs[0].keys() & {"told", "OBEY_PRECISION_CONSTRAINTS"}
    assert plan.flags[0] == flag


def test_a_graph_without_half_gets_no_layer_types(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(tiny_graph(8, 8))
    simulation = simulate("8.6.2")
    plan = build(path, Precision.FP16, simulation)
    assert simulation.configs[0]["FP16"]
    assert not simulation.configs[0].keys() & {"told", "OBEY_PRECISION_CONSTRAINTS"}
    assert plan.flags[0] == "fp16 allowed"
    assert plan.notes == (
        "TensorRT 8.6.2 sees no 16-bit layer in this graph: fp16 is allowed, not enforced",
    )


def test_shapes_are_left_alone() -> None:
    def layer(*, of_shapes: bool) -> Any:
        given = SimpleNamespace(dtype="FLOAT", is_shape_tensor=of_shapes)
        made = SimpleNamespace(dtype="FLOAT", is_shape_tensor=False)
        return SimpleNamespace(
            num_inputs=2,
            num_outputs=1,
            get_input=lambda index: given if index == 0 else None,
            get_output=lambda index: made,
        )

    layers = [layer(of_shapes=True), layer(of_shapes=False)]
    network = SimpleNamespace(num_layers=2, get_layer=layers.__getitem__)
    types = SimpleNamespace(FLOAT="FLOAT", HALF="HALF")
    assert list(float_layers(network, types)) == [(layers[1], "FLOAT")]


@pytest.mark.slow
def test_layers_of_a_real_graph_get_the_graphs_types(tmp_path: Path) -> None:
    """TensorRT's parser finds the graph's types, and the layers are given the same types."""
    pytest.importorskip("torch")
    from edgeunet.graph.summary import write_model
    from tests.convert.small import graph

    path = tmp_path / "x.onnx"
    write_model(graph("nafnet", Precision.FP16), path)
    model = onnx.load(path).graph
    kinds = {
        value.name: KINDS.get(value.type.tensor_type.elem_type)
        for value in (*model.value_info, *model.output)
    }
    convolutions = [node.output[0] for node in model.node if node.op_type == "Conv"]
    simulation = simulate("8.6.2")
    build(path, Precision.FP16, simulation)
    told = simulation.configs[0]["told"]
    assert {output: kind for output, (kind, *_) in told.items()} == {n: kinds[n] for n in told}
    assert {told[output][0] for output in convolutions} == {"HALF"}
    means = [node.output[0] for node in model.node if node.op_type == "ReduceMean"]
    assert {told[output][0] for output in means} == {"FLOAT"}

    rtx = pytest.importorskip("tensorrt_rtx")
    from edgeunet.engine.trt.provider import load_provider

    logger = make_logger(load_provider("tensorrt-rtx")).native
    network = rtx.Builder(logger).create_network(0)
    parser = rtx.OnnxParser(network, logger)
    assert parser.parse_from_file(str(path))
    found = {
        layer.get_output(0).name: kind.name for layer, kind in float_layers(network, rtx.DataType)
    }
    assert {n: k for n, k in found.items() if n in kinds} == {
        n: kinds[n] for n in found if n in kinds
    }
    assert set(convolutions) <= set(found)
