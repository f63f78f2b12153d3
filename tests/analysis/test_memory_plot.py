"""The picture: both formats, on one scale, with the figures a person looks for."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from matplotlib.text import Text

from edgeunet.analysis.held_layout import StageBorders, lay_out_held
from edgeunet.analysis.memory_plot import draw, timeline
from edgeunet.analysis.memory_report import MemoryReport, analyse
from edgeunet.analysis.plan_report import FramePlanFacts, StageReport, report_of_frame_plan
from edgeunet.errors import UsageError
from edgeunet.specs import Engine, Precision, TensorSpec
from edgeunet.units import KIB, MIB
from tests.analysis.graphs import Builder, unet, unet_with_map


@pytest.fixture(scope="module")
def reports() -> list[MemoryReport]:
    return [
        analyse(unet(8, 64, 4), model="stored"),
        analyse(unet_with_map(8, 64, 4), model="aggregated"),
    ]


HELD_BYTES = 8 * 32 * 32 * 4
WINDOW_BYTES = 3 * KIB


def plan_of(*stages: tuple[str, int]) -> MemoryReport:
    """A plan of stages given as (name, levels), each reading what the one before it wrote."""
    held = tuple(
        TensorSpec(f"h{i}", (1, 8, 32, 32), "float32") for i in range(max(1, len(stages) - 1))
    )
    names = [spec.name for spec in held]
    borders = [
        StageBorders(tuple(names[max(0, i - 1) : i]), tuple(names[i : i + 1]), cellwise=False)
        for i in range(len(stages))
    ]
    facts = FramePlanFacts(
        model="stored", frame=(64, 64), precision=Precision.FP32, held=held,
        layout=lay_out_held(borders, held), recompute_ratio=1.1, frame_bytes=0,
        predicted_bytes=300 * KIB, engine=Engine.ONNXRUNTIME,
    )  # fmt: skip
    return report_of_frame_plan(facts, [figures_of(name, levels) for name, levels in stages])


def figures_of(name: str, levels: int) -> StageReport:
    report = analyse(unet(8, 32, levels))
    if name == "core" or "mean" in name:
        return StageReport(name, report, None, 0, 1, 0)
    return StageReport(name, report, (32, 24), 4, 6, WINDOW_BYTES)


@pytest.fixture(scope="module")
def planned() -> MemoryReport:
    return plan_of(("encode", 2), ("core", 3), ("decode", 2))


@pytest.fixture(scope="module")
def many_stages() -> MemoryReport:
    passes = [("encode-01", 1), *((f"encode-mean-{i:02}", 1) for i in range(1, 30))]
    return plan_of(*passes, ("core", 3), ("decode-01", 2), ("decode-02", 2))


def texts(panel: object) -> list[str]:
    return [text.get_text() for text in panel.texts]  # type: ignore[attr-defined]


def test_png_and_svg_are_written(tmp_path: Path, reports: list[MemoryReport]) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.SVG"]
    draw(reports[:1], paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(paths[1]).getroot().tag.endswith("svg")
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_panels_share_one_scale(reports: list[MemoryReport]) -> None:
    one, other = timeline(reports).axes
    assert one.get_ylim() == other.get_ylim()
    top = max(report.peak_live_bytes for report in reports) / MIB
    assert one.get_ylim()[1] > top


def test_the_figures_stand_in_the_picture(reports: list[MemoryReport]) -> None:
    one, other = timeline(reports).axes
    assert one.get_title(loc="left") == "stored  ·  64x64  ·  fp32"
    assert "peak 384.0 KiB" in texts(one)
    assert "skips 240.0 KiB" in texts(one)
    assert "skips 16.0 KiB, 93 % less than stored" in texts(other)
    assert "enc0 (skip) 128.0 KiB + up0 128.0 KiB + sum0 128.0 KiB" in texts(one)
    assert texts(one)[:9] == ["1/1", "1/2", "1/4", "1/8", "1/16", "1/8", "1/4", "1/2", "1/1"]


def test_the_areas_are_the_live_bytes(reports: list[MemoryReport]) -> None:
    report = reports[0]
    (panel,) = timeline([report]).axes
    skips, live = panel.patches[0].get_data(), panel.patches[1].get_data()  # type: ignore[attr-defined]
    assert list(live.values * MIB) == [step.live_bytes for step in report.steps]
    assert list(live.baseline * MIB) == [step.skip_bytes for step in report.steps]
    assert list(skips.values * MIB) == [step.skip_bytes for step in report.steps]


def test_a_graph_without_levels_can_be_drawn(tmp_path: Path) -> None:
    b = Builder(x=(1, 8))
    b.node("Gemm", "x", "$strange_name$", 1, 4)
    b.node("Gemm", "$strange_name$", "y", 1, 2)
    draw([analyse(b.view("y"))], [tmp_path / "a.png"])
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_an_unknown_ending_is_refused(tmp_path: Path, reports: list[MemoryReport]) -> None:
    with pytest.raises(UsageError, match=r"cannot draw 'a\.pdf'") as caught:
        draw(reports, [tmp_path / "a.png", tmp_path / "a.pdf"])
    assert caught.value.hint == "end the name in .png or .svg"
    assert list(tmp_path.iterdir()) == []


def legend_of(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text().partition(":")[0] for text in legend.get_texts()]


def test_a_plan_stands_beside_the_whole_frame(
    reports: list[MemoryReport], planned: MemoryReport
) -> None:
    figure = timeline([reports[0], planned])
    whole, windows = figure.axes
    assert whole.get_ylim() == windows.get_ylim()
    assert whole.get_title(loc="left") == "stored  ·  64x64  ·  fp32  ·  whole frame"
    assert windows.get_title(loc="left") == "stored  ·  64x64  ·  fp32  ·  in windows"
    less = 100 * (1 - planned.peak_live_bytes / reports[0].peak_live_bytes)
    peak = planned.peak_live_bytes / KIB
    assert f"peak {peak:.1f} KiB, {less:.0f} % less than the whole frame" in texts(windows)
    assert "onnxruntime: predicted 300.0 KiB" in texts(windows)
    assert not [text for text in texts(whole) if "predicted" in text]
    assert windows.get_xlabel().endswith("a stage in windows is drawn for one of its windows")


def test_the_stages_of_a_plan_are_named(planned: MemoryReport) -> None:
    (panel,) = timeline([planned]).axes
    assert texts(panel)[:6] == [
        "encode", "6 windows of 32x24", "core", "once", "decode", "6 windows of 32x24",
    ]  # fmt: skip


def test_stages_without_room_are_named_together(many_stages: MemoryReport) -> None:
    (panel,) = timeline([many_stages]).axes
    assert texts(panel)[:4] == ["encode", "30 stages, up to 6 windows each", "core", "once"]


def test_what_is_held_is_an_area_of_its_own(planned: MemoryReport) -> None:
    (panel,) = timeline([planned]).axes
    held, skips, live = (patch.get_data() for patch in panel.patches[:3])  # type: ignore[attr-defined]
    core = planned.level_runs[1]
    assert list(held.values[core.start : core.end] * MIB) == [2 * HELD_BYTES] * (
        core.end - core.start
    )
    assert list(held.values * MIB)[: core.start] == [HELD_BYTES] * core.start
    assert list(skips.baseline) == list(held.values)
    assert list(skips.values * MIB) == [step.skip_bytes for step in planned.steps]
    # The window's buffers are between the skips and the top: working set.
    assert list(live.baseline) == list(skips.values)
    assert (live.values - live.baseline)[0] * MIB >= WINDOW_BYTES
    assert "held 64.0 KiB" in texts(panel)


def test_the_legend_has_what_occurs(reports: list[MemoryReport], planned: MemoryReport) -> None:
    flat = Builder(x=(1, 8))
    flat.node("Gemm", "x", "a", 1, 4)
    flat.node("Gemm", "a", "y", 1, 2)
    assert legend_of(timeline([analyse(flat.view("y"))])) == ["working set"]
    assert legend_of(timeline(reports)) == ["skips", "working set"]
    assert legend_of(timeline([reports[0], planned])) == ["held", "skips", "working set"]


def test_a_comparison_names_the_other_panel(
    reports: list[MemoryReport], planned: MemoryReport
) -> None:
    def peak(first: MemoryReport, second: MemoryReport) -> str:
        return next(text for text in texts(timeline([first, second]).axes[1]) if "peak" in text)

    assert peak(reports[1], planned).endswith(" than aggregated")
    assert peak(planned, reports[0]).endswith(" more than in windows")
    half = replace(reports[0], peak_live_bytes=reports[0].peak_live_bytes // 2)
    assert peak(reports[0], half).endswith(", 50 % less than the first")


def test_no_text_is_cut_off_or_on_another(
    reports: list[MemoryReport], planned: MemoryReport, many_stages: MemoryReport
) -> None:
    named = replace(planned, model="a-name-with-far-more-letters-than-room.onnx")
    for shown in (
        reports,
        [reports[0], planned],
        [reports[0], many_stages],
        [named],
        [replace(named, model="b" * 90), named],
        [replace(reports[0], predicted_bytes=10**9)],
    ):
        figure = timeline(shown)
        figure.draw_without_rendering()
        found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
        # The leader of an annotation may cross what it likes; the words may not.
        boxes = {text: Text.get_window_extent(text) for text in found}
        for text, box in boxes.items():
            inside = figure.bbox.padded(1)
            assert inside.x0 <= box.x0, text
            assert box.x1 <= inside.x1, text
            assert inside.y0 <= box.y0, text
            assert box.y1 <= inside.y1, text
        for one, other in itertools.combinations(found, 2):
            assert not boxes[one].padded(-1.5).overlaps(boxes[other].padded(-1.5)), (one, other)
