"""A plan's figures are those of the bundle made from it, and of the run that follows."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edgeunet.analysis.held_layout import lay_out_held
from edgeunet.analysis.memory_report import MemoryReport
from edgeunet.analysis.roles import Role
from edgeunet.bundle import Bundle
from edgeunet.bundle.figures import report_of_bundle
from edgeunet.bundle.tensors import held_specs, stage_borders
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.network_plan import report_of_frame, report_of_request, target_of
from edgeunet.errors import EngineError
from edgeunet.ort.onnxruntime_arenas import ARENA_LIMIT
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.recipes import Recipe
from edgeunet.run.measured import measure
from edgeunet.specs import Engine, Precision
from edgeunet.units import GIB, MIB
from tests.convert.small import small

SIZE = (125, 190)
PADDED = (128, 192)
# TensorRT works in eight million bytes whatever the network.
BUDGET = 9 * MIB
CASES = [
    ("unetmm", Precision.FP32, PlanRequest(window=(64, 96))),
    ("joint", Precision.FP16, PlanRequest(budget_bytes=BUDGET)),
]
# Of what is measured.
TOLERANCE = 0.06
PREDICTED_SIZE = (480, 640)


@functools.cache
def two_levels(name: str) -> Recipe:
    """Two levels: a quarter of the ways to cut."""
    recipe = small(name)
    network = msgspec.structs.replace(recipe.network, encoder_blocks=(1, 1), decoder_blocks=(1, 1))
    return msgspec.structs.replace(recipe, network=network)


@functools.cache
def reported(
    name: str, precision: Precision, request: PlanRequest
) -> tuple[FramePlan, MemoryReport]:
    return report_of_request(graphs_of_recipe(two_levels(name)), *SIZE, precision, request)


def bundle_of(name: str, precision: Precision, request: PlanRequest, folder: Path) -> Bundle:
    plan, _ = reported(name, precision, request)
    order = ExportOrder(two_levels(name), *SIZE, precision, request=request)
    return draft_bundle(order, folder / f"{name}.bundle", plan=plan)


@pytest.mark.parametrize(("name", "precision", "request_"), CASES)
def test_a_bundle_has_the_figures_of_its_plan(
    name: str, precision: Precision, request_: PlanRequest, tmp_path: Path
) -> None:
    plan, report = reported(name, precision, request_)
    assert plan.windowed
    bundle = bundle_of(name, precision, request_, tmp_path)
    # What else could have been exported is not in a bundle.
    document = replace(report, gains=()).document()
    written = report_of_bundle(bundle).document()
    assert written == document
    memory = msgspec.structs.asdict(bundle.manifest.memory)
    shared = memory.keys() & document.keys()
    assert len(shared) >= 6
    assert {key: memory[key] for key in shared} == {key: document[key] for key in shared}
    entry = bundle.manifest.plan
    assert entry is not None
    assert entry.predicted_bytes == report.predicted_bytes == plan.prediction.total_bytes
    assert (entry.level, entry.recompute) == (plan.level, plan.recompute)
    assert (entry.height, entry.width) == PADDED
    assert entry.engine == target_of(precision)


@pytest.mark.parametrize(("name", "precision", "request_"), CASES)
def test_a_bundle_lays_its_tensors_out_as_the_plan_did(
    name: str, precision: Precision, request_: PlanRequest, tmp_path: Path
) -> None:
    plan, _ = reported(name, precision, request_)
    manifest = bundle_of(name, precision, request_, tmp_path).manifest
    assert set(held_specs(manifest)) == set(plan.held)
    laid_out = lay_out_held(stage_borders(manifest), held_specs(manifest))
    assert laid_out.offsets == plan.layout.offsets
    assert laid_out.live_bytes == plan.layout.live_bytes


@pytest.mark.parametrize(("name", "precision", "request_"), CASES)
def test_the_figures_of_a_plan_hang_together(
    name: str, precision: Precision, request_: PlanRequest
) -> None:
    plan, report = reported(name, precision, request_)
    assert [stage.name for stage in report.planned] == [s.stage.name for s in plan.stages]
    assert [stage.window for stage in report.planned] == [s.window for s in plan.stages]
    # Every stage: what is held, a window's buffers, and what the window's graph needs.
    peaks = [s.held_bytes + s.window_bytes + s.live_bytes for s in report.planned]
    assert report.peak_live_bytes == max(peaks)
    assert report.peak_live_bytes <= report.arena_bytes
    assert report.held_bytes == plan.layout.arena_bytes >= max(s.held_bytes for s in report.planned)
    assert sum(tensor.size_bytes for tensor in report.live_at_peak) == report.peak_live_bytes
    roles = {tensor.role for tensor in report.live_at_peak}
    at_peak = report.planned[peaks.index(max(peaks))]
    assert (Role.HELD in roles, Role.WINDOW in roles) == (
        at_peak.held_bytes > 0,
        at_peak.window_bytes > 0,
    )
    assert 0 < report.skip_bytes <= report.held_bytes
    assert report.window in [stage.window for stage in report.planned]
    assert report.halo == max(stage.halo for stage in report.planned) > 0
    # The padded frame, and the outputs at the frame's own size.
    assert plan.prediction.frame_bytes == report.io_bytes


def test_a_whole_frame_has_the_figures_of_its_graph() -> None:
    recipe = two_levels("unetmm")
    plan, report = report_of_request(
        graphs_of_recipe(recipe), *SIZE, Precision.FP32, PlanRequest(budget_bytes=GIB)
    )
    assert not plan.windowed
    document = report.document()
    plain = report_of_frame(graphs_of_recipe(recipe), *SIZE, Precision.FP32).document()
    assert document.pop("predicted_bytes") == plan.prediction.total_bytes
    assert plain.pop("predicted_bytes") is None
    gains = document.pop("gains")
    assert gains[-1]["predicted_bytes"] == plan.prediction.total_bytes
    assert plain.pop("gains") == []
    assert document == plain
    assert (document["tile"], document["stages"], document["held_bytes"]) == (None, [], 0)


def test_gains_lead_from_the_graph_as_exported_to_the_plan() -> None:
    recipe = two_levels("unetmm")
    for precision, before in ((Precision.FP32, 3), (Precision.FP16, 1)):
        request = PlanRequest(window=(64, 96))
        plan, report = report_of_request(graphs_of_recipe(recipe), *SIZE, precision, request)
        whole, _ = report_of_request(
            graphs_of_recipe(recipe), *SIZE, precision, PlanRequest(whole=True)
        )
        taken = [gain.predicted_bytes for gain in report.gains]
        assert len(taken) == before + 1
        assert taken[:-1] == sorted(taken[:-1], reverse=True)
        assert taken[-2:] == [whole.prediction.total_bytes, plan.prediction.total_bytes]
    assert len({gain.measure for gain in report.gains}) == len(report.gains)


def test_writing_in_place_is_a_gain_of_its_own() -> None:
    recipe = two_levels("unet")
    _, report = report_of_request(
        graphs_of_recipe(recipe), *SIZE, Precision.FP32, PlanRequest(whole=True)
    )
    apart, in_place = report.gains[:2]
    assert in_place.predicted_bytes <= apart.predicted_bytes


def test_precisions_have_their_engines() -> None:
    assert target_of(Precision.FP32) is Engine.ONNXRUNTIME
    assert target_of(Precision.FP16) is Engine.TENSORRT


@pytest.mark.parametrize(("window", "threads"), [((128, 160), 1), ((240, 320), 2)])
def test_what_is_predicted_is_measured(
    window: tuple[int, int], threads: int, tmp_path: Path
) -> None:
    order = ExportOrder(
        two_levels("unetmm"),
        *PREDICTED_SIZE,
        Precision.FP32,
        request=PlanRequest(window=window),
        cpu="here",
    )
    bundle = draft_bundle(order, tmp_path / "measured.bundle")
    assert bundle.manifest.plan is not None
    found = measure(bundle.path, threads=threads)
    assert found.predicted_bytes is not None
    assert bundle.manifest.plan.predicted_bytes > found.predicted_bytes > 4 * MIB
    assert 1 <= found.predicted_bytes / found.measured_bytes < 1 + TOLERANCE


@pytest.mark.parametrize("budget", [None, 16 * MIB], ids=["whole frame", "windows"])
def test_a_run_keeps_to_its_region_under_a_hard_limit(budget: int | None, tmp_path: Path) -> None:
    """What the plan says the arena needs is enough; half of it is not."""
    request = WHOLE_FRAME if budget is None else PlanRequest(budget_bytes=budget)
    order = ExportOrder(two_levels("unetmm"), *PREDICTED_SIZE, Precision.FP32, request=request)
    bundle = draft_bundle(order, tmp_path / "capped.bundle")
    assert (bundle.manifest.plan is None) == (budget is None)
    region = bundle.manifest.memory.region_bytes
    measure(bundle.path, frames=5, environment={ARENA_LIMIT: str(region)})
    with pytest.raises(EngineError, match="onnxruntime failed to run"):
        measure(bundle.path, frames=5, environment={ARENA_LIMIT: str(region // 2)})
