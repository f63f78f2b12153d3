"""The picture: both formats, on one scale, with the figures a person looks for."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")

from edgeunet.errors import UsageError
from edgeunet.memory.plot import draw, timeline
from edgeunet.memory.report import MemoryReport, analyse
from edgeunet.units import MIB
from tests.memory.graphs import Builder, unet, unet_with_map


@pytest.fixture(scope="module")
def reports() -> list[MemoryReport]:
    return [
        analyse(unet(8, 64, 4), model="stored"),
        analyse(unet_with_map(8, 64, 4), model="aggregated"),
    ]


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
