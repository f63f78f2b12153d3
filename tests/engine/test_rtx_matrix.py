"""Every network, precision and plan is compiled by TensorRT-RTX, which needs no GPU for it."""

from __future__ import annotations

import functools
from pathlib import Path

import onnx_ir as ir
import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorrt_rtx")

from edgeunet.bundle.manifest import StageEntry, TensorEntry
from edgeunet.convert.network_graph import graph_of_recipe, graphs_of_recipe
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.builder import BuiltPlan, build_plan
from edgeunet.engine.trt.provider import load_provider
from edgeunet.errors import EngineError
from edgeunet.graph.int8_placement import Points
from edgeunet.graph.quantized import quantize
from edgeunet.graph.stages import FrameGraph, StageGraph
from edgeunet.graph.summary import view_of_model, write_model
from edgeunet.imitation.tensorrt_compiler import WORKSPACE_BYTES, compiled_bytes
from edgeunet.recipes import recipe_names
from edgeunet.specs import Engine, FrameType, Precision
from tests.convert.small import BASE, base, small

pytestmark = pytest.mark.slow

OPTIONS = BuildOptions(compute_capabilities=("8.6",))
LEVEL = 2


@functools.cache
def frame_graph(name: str, precision: Precision) -> FrameGraph:
    if precision is Precision.FP16:
        return FrameGraph(graph_of_recipe(small(name), BASE, BASE, precision))
    model = base(name).clone()
    if precision is Precision.INT8:
        quantize(model, ranges_for(model), Engine.TENSORRT)
    return FrameGraph(model)


def ranges_for(model: ir.Model) -> list[tuple[float, float]]:
    """Return ranges as a calibration finds them: none is negative behind a ReLU."""
    makers = [value.producer() for value in Points(model, Engine.ONNXRUNTIME).values]
    rectified = [maker is not None and maker.op_type == "Relu" for maker in makers]
    return [(0.0 if positive else -1.0, 1.5) for positive in rectified]


def entry_of(stage: StageGraph, side: int = BASE) -> StageEntry:
    inputs, outputs = (
        tuple(
            TensorEntry(name=b.name, shape=b.shape_at(side, side), dtype=b.dtype) for b in borders
        )
        for borders in (stage.inputs, stage.outputs)
    )
    return StageEntry(name=stage.name, graph="", inputs=inputs, outputs=outputs)


def compiled(
    stage: StageGraph,
    precision: Precision,
    folder: Path,
    options: BuildOptions = OPTIONS,
    *,
    side: int = BASE,
) -> tuple[BuiltPlan, int]:
    """Return a stage's plan for a window of side x side pixels, and the predicted memory."""
    model = stage.at(side, side)
    path = folder / f"{stage.name}.onnx"
    write_model(model, path)
    provider = load_provider("tensorrt-rtx")
    plan = build_plan(path, entry_of(stage, side), precision, provider, options, None)
    return plan, compiled_bytes(view_of_model(model))


@pytest.mark.parametrize("windowed", [False, True], ids=["whole", "windowed"])
@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("name", recipe_names())
def test_every_stage_is_compiled(
    name: str, precision: Precision, windowed: bool, tmp_path: Path
) -> None:
    stages = frame_graph(name, precision).cut(LEVEL if windowed else 0)
    assert len(stages) >= (3 if windowed else 1)
    for stage in stages:
        plan, predicted = compiled(stage, precision, tmp_path)
        assert len(plan.plan) > 0
        assert plan.flags == ("strongly typed", "auxiliary streams 0")
        reported = plan.memory.activation_bytes
        assert reported is not None
        assert predicted == pytest.approx(reported, rel=0.2)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_the_prediction_is_the_compilers_figure_without_workspace(
    precision: Precision, tmp_path: Path
) -> None:
    """In a window of BASE pixels the workspace dominates; in larger windows the tensors do."""
    side = 6 * BASE
    for stage in frame_graph("unetmm", precision).cut(LEVEL):
        plan, predicted = compiled(stage, precision, tmp_path, side=side)
        reported = plan.memory.activation_bytes
        assert reported is not None
        assert reported > 1.2 * WORKSPACE_BYTES
        assert predicted - WORKSPACE_BYTES == pytest.approx(reported - WORKSPACE_BYTES, rel=0.2)


@pytest.mark.parametrize("windowed", [False, True], ids=["whole", "windowed"])
def test_float_frames_are_predicted_as_well(windowed: bool, tmp_path: Path) -> None:
    """Older TensorRT versions read these graphs, but none is installed to compile them."""
    recipe, side = small("unetmm"), 6 * BASE
    graphs = graphs_of_recipe(recipe, None, FrameType.FLOAT32)
    graph = FrameGraph(graphs.at(BASE, BASE, Precision.FP16))
    for stage in graph.cut(LEVEL if windowed else 0):
        plan, predicted = compiled(stage, Precision.FP16, tmp_path, side=side)
        reported = plan.memory.activation_bytes
        assert reported is not None
        assert predicted == pytest.approx(reported, rel=0.2)


def test_a_workspace_too_small_is_named(tmp_path: Path) -> None:
    (stage,) = frame_graph("unetmm", Precision.FP16).cut(0)
    options = BuildOptions(compute_capabilities=("8.6",), workspace_bytes=1024)
    with pytest.raises(EngineError, match="too little workspace .WORKSPACE.") as caught:
        compiled(stage, Precision.FP16, tmp_path, options)
    assert caught.value.hint.startswith("give more with --workspace")


def test_an_unsupported_operator_is_named(tmp_path: Path) -> None:
    (stage,) = frame_graph("unetmm", Precision.FP32).cut(0)
    model = stage.at(BASE, BASE)
    node = next(node for node in model.graph if node.op_type == "Relu")
    node.op_type, node.name = "NoSuchRelu", "the_node"
    path = tmp_path / "broken.onnx"
    write_model(model, path)
    with pytest.raises(EngineError, match="cannot read broken.onnx: node NoSuchRelu 'the_node': "):
        build_plan(
            path,
            entry_of(stage),
            Precision.FP32,
            load_provider("tensorrt-rtx"),
            OPTIONS,
            None,
        )
