"""``edgeunet eval --report``: the page holds what was measured, and needs nothing else."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper

from edgeunet.bundle import write_bundle
from edgeunet.bundle.manifest import MemoryEntry, QuantizationEntry
from edgeunet.evaluate.backends import Head
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.recipes import load_recipe
from edgeunet.specs import Precision, Task
from tests.bundle.tiny import tiny_bundle, tiny_graph, tiny_manifest
from tests.cli.command import Ran, contents, edgeunet
from tests.evaluate.drawn_sets import picture, write, write_folder, write_labelled
from tests.house.source import ROOT
from tests.recipe_files import DENOISE, SEGMENT, recipe_text

SIZE = (24, 32)


class _Page(HTMLParser):
    """What a page asks for, and whether what it opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def blurring(folder: Path, times: int) -> Path:
    """Write a bundle that blurs more than the tiny one, and says that it is INT8."""
    quantization = QuantizationEntry(
        target="onnxruntime",
        calibrator="mse",
        members="0",
        convolutions=(1, 2),
        macs_share=0.9,
        kept=("head",),
    )
    manifest = msgspec.structs.replace(
        tiny_manifest(*SIZE),
        name="worse",
        precision=Precision.INT8,
        quantization=quantization,
        memory=MemoryEntry(
            skip_bytes=1, peak_live_bytes=2, arena_bytes=3, io_bytes=4, weight_bytes=5 * times
        ),
    )
    model = onnx.load_from_string(tiny_graph(*SIZE))
    (pool,) = (node for node in model.graph.node if node.op_type == "AveragePool")
    del pool.attribute[:]
    pool.attribute.append(helper.make_attribute("kernel_shape", [1 + 2 * times] * 2))
    pool.attribute.append(helper.make_attribute("pads", [times] * 4))
    return write_bundle(
        folder / "worse.bundle", manifest, {"graph.onnx": bytes(model.SerializeToString())}
    ).path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two forms of one network, and labelled images."""
    tiny_bundle(tmp_path, *SIZE)
    blurring(tmp_path, 3)
    write_labelled(tmp_path / "street", count=4)
    return tmp_path


def report(place: Path, *words: object) -> Ran:
    return edgeunet(
        *("eval", place / "tiny.bundle", place / "street", "--against", place / "worse.bundle"),
        *("--sigma", "5,25", "--report", place / "report.html", *words),
    )


def without_seconds(document: dict[str, Any]) -> dict[str, Any]:
    for candidate in document["candidates"]:
        assert candidate.pop("frame_ms") > 0
    return document


def test_the_document_has_what_one_by_one_evaluation_has(place: Path) -> None:
    ran = report(place, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document == json.loads((place / "report.json").read_text())
    first, second = document["candidates"]
    assert (first["name"], first["precision"]) == ("tiny.bundle", "fp32")
    assert (second["name"], second["precision"]) == ("worse.bundle", "int8")
    assert second["macs_share_in_8_bits"] == 0.9
    assert (second["bytes"]["weights"], second["bytes"]["held"]) == (15, None)
    assert second["bytes"]["disk"] == (place / "worse.bundle" / "graph.onnx").stat().st_size
    (entry,) = document["data"]
    assert (entry["kind"], entry["images"]) == ("labels", 4)
    for result, name in zip(entry["results"], ("tiny", "worse"), strict=True):
        alone = edgeunet(
            "eval", place / f"{name}.bundle", place / "street", "--sigma", "5,25", "--json"
        )
        figures = json.loads(alone.out)["data"][0]["results"]
        for level, wanted in zip(result["levels"], figures, strict=True):
            assert level["psnr_db"] == wanted["psnr_db"]["mean"]
            assert level["ssim"] == wanted["ssim"]["mean"]
            assert level["mean_iou"] == wanted["labels"]["mean_iou"]
            assert level["psnr_noisy_db"] == wanted["psnr_noisy_db"]["mean"]
            assert level["ssim_noisy"] == wanted["ssim_noisy"]["mean"]
            assert level["flicker"] is None


def test_every_key_of_the_document_is_documented(place: Path) -> None:
    assert report(place).code == 0
    document = json.loads((place / "report.json").read_text())

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for inner in value.values() for key in keys(inner)}
        return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()

    words = set(re.findall(r"\w+", (ROOT / "docs" / "report.md").read_text()))
    assert keys(document) - keys({"": document["facts"]}) <= words


def test_the_worst_images_are_those_that_lose_most(place: Path) -> None:
    assert report(place).code == 0
    table = {}
    for name in ("tiny", "worse"):
        csv = place / f"{name}.csv"
        words = (place / "street", "--sigma", "5,25", "--csv", csv)
        assert edgeunet("eval", place / f"{name}.bundle", *words).code == 0
        heads, *lines = (line.split(",") for line in csv.read_text().splitlines())
        rows = [dict(zip(heads, line, strict=True)) for line in lines]
        table[name] = {(r["image"], float(r["sigma"])): float(r["psnr_db"]) for r in rows}
    losses = {key: table["tiny"][key] - table["worse"][key] for key in table["tiny"]}
    document = json.loads((place / "report.json").read_text())
    best, worst = (result["worst"] for result in document["data"][0]["results"])
    assert len(worst) == len(best) == 3
    assert (worst[0]["image"], worst[0]["sigma"]) == max(losses, key=lambda key: losses[key])
    assert worst[0]["loss"] == pytest.approx(max(losses.values()), abs=1e-4)
    assert best[0]["figure"] == pytest.approx(min(table["tiny"].values()), abs=1e-4)
    assert len({spot["image"] for spot in worst}) == 3


def test_the_page_needs_nothing_else(place: Path) -> None:
    assert report(place).code == 0
    text = (place / "report.html").read_text()
    page = _Page(text)
    assert page.open == []
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    # Of each of three images: clean, noisy, two answers, their difference, and the labels of
    # truth and of both; of the first form itself without the other's two.
    assert len(page.sources) == 3 * 8 + 3 * 6
    assert page.words.count("true labels") == 6
    assert "Where worse.bundle loses most" in page.words
    picture = imageio.imread(b64decode(page.sources[0].partition(",")[2]), extension=".png")
    assert picture.shape == (*SIZE, 3)


def test_a_second_run_gives_the_same(place: Path) -> None:
    found = []
    for _ in range(2):
        assert report(place).code == 0
        page = (place / "report.html").read_text()
        pictures = [source for source in _Page(page).sources if source.startswith("data:")]
        document = json.loads((place / "report.json").read_text())
        found.append((without_seconds(document), pictures))
    assert found[0] == found[1]


def test_the_window_is_where_the_difference_is() -> None:
    from edgeunet.evaluate.forms_report import WINDOW, _busiest

    amount = np.zeros((300, 400), np.int16)
    amount[250:260, 380:390] = 3
    top, left = _busiest(amount)
    assert top <= 250 < 260 <= top + WINDOW
    assert left <= 380 < 390 <= left + WINDOW
    assert _busiest(np.zeros((10, 500), np.int16)) == (0, 0)


def test_the_page_says_what_its_figures_are(place: Path) -> None:
    ran = report(place)
    words = _Page((place / "report.html").read_text()).words
    assert f"{place / 'street'}: 4 images with labels" in words
    assert {"noisy", "int8 for onnxruntime"} <= set(words)
    assert {"PSNR in dB", "SSIM", "mIoU in %", "ms per frame", "MACs in 8 bits"} <= set(words)
    # No bundle is in windows: neither a column of dashes nor its meaning.
    assert "arena" in words
    assert "held" not in words
    assert "street: 4 images with labels, against tiny.bundle" in " ".join(ran.out.split())
    assert "flicker" not in ran.out


def test_a_clip_has_its_flicker_on_the_page(place: Path) -> None:
    for path in sorted((place / "street" / "images").iterdir()):
        write(path, picture())
    ran = report(place, "--clip", "--json")
    document = json.loads(ran.out)
    alone = edgeunet(
        *("eval", place / "worse.bundle", place / "street", "--sigma", "5,25", "--clip", "--json")
    )
    wanted = [level["temporal"] for level in json.loads(alone.out)["data"][0]["results"]]
    given = document["data"][0]["results"][1]["levels"]
    assert [level["flicker"] for level in given] == [w["denoised_flicker"] for w in wanted]
    assert [level["flicker_noisy"] for level in given] == [w["noisy_flicker"] for w in wanted]
    assert all(level["flicker"] < level["flicker_noisy"] for level in given)
    text = (place / "report.html").read_text(encoding="utf-8")
    frames = len(list((place / "street" / "images").iterdir()))
    lines = re.findall(r'<polyline [^>]*points="([^"]*)"', text)
    # Two networks at two noise levels.
    assert [len(line.split()) for line in lines] == [frames] * 4
    assert text.count("Gain of every frame") == 2
    changes = [level["label_change_share"] for level in given]
    assert changes == [w["label_change_share"] for w in wanted]
    words = _Page((place / "report.html").read_text()).words
    assert "flicker of still pixels in 8-bit units, less is better" in words
    assert "labels changed %" in report(place, "--clip").out


def test_names_from_outside_are_no_markup(place: Path) -> None:
    (place / "worse.bundle").rename(place / 'w<u>&".bundle')
    images = place / "street" / "images"
    first = sorted(images.iterdir())[0]
    name = f"<u>&'{first.suffix}"
    first.rename(images / name)
    labels = place / "street" / "labels"
    (labels / f"{first.stem}.png").rename(labels / "<u>&'.png")
    ran = edgeunet(
        *("eval", place / 'w<u>&".bundle', place / "street", "--against", place / "tiny.bundle"),
        *("--sigma", "5", "--report", place / "report.html"),
    )
    assert ran.code == 0, ran.err
    page = _Page((place / "report.html").read_text())
    assert page.open == []
    assert "u" not in page.tags
    assert 'Where w<u>&".bundle is worst' in page.words
    assert any(word.startswith(f"{name}, sigma 5: PSNR ") for word in page.words)


def test_a_loss_is_marked_and_a_gain_is_not() -> None:
    from edgeunet.evaluate.report_measures import MEASURES
    from edgeunet.evaluate.report_page import _difference

    by_title = {measure.title: measure for measure in MEASURES}
    psnr = by_title["PSNR in dB"]
    flicker = by_title["flicker of still pixels in 8-bit units, less is better"]
    assert _difference(30.0, 31.0, psnr) == '<small class="worse">-1.00</small>'
    assert _difference(31.0, 30.0, psnr) == "<small>+1.00</small>"
    assert _difference(30.0, 30.001, psnr) == "<small>+0.00</small>"
    assert _difference(3.0, 2.0, flicker) == '<small class="worse">+1.00</small>'
    assert _difference(float("inf"), 30.0, psnr) == ""


def test_only_what_is_equal_is_called_so() -> None:
    from edgeunet.evaluate.report_measures import MEASURES
    from edgeunet.evaluate.report_page import _written

    psnr, gain = MEASURES[0], next(m for m in MEASURES if m.title.startswith("gain in dB"))
    assert _written(float("inf"), psnr) == "equal"
    assert _written(float("-inf"), gain) == "-inf"
    assert _written(float("nan"), gain) == "-"


def test_label_maps_have_a_legend() -> None:
    from edgeunet.evaluate.forms_report import _colours
    from edgeunet.evaluate.report_page import _legend

    recipe = load_recipe("joint")
    pathway = recipe.pathways[1]
    head = Head(pathway.output, Task.SEGMENT, tuple(label.name for label in pathway.labels))
    colours = _colours(head, recipe)
    assert colours[0] == (pathway.labels[0].name, pathway.labels[0].colour)
    assert [name for name, _ in colours] == list(head.classes)
    text = _legend([*colours, ("<u>", (1, 2, 3))])
    assert '<i style="background: rgb(1, 2, 3)"></i>&lt;u&gt;' in text
    assert "Labels" not in _legend(())


def test_images_that_were_cropped_or_left_out_are_named(place: Path) -> None:
    large = place / "large"
    write(large / "wide.png", picture(height=24, width=40))
    write(large / "same.png", picture())
    words: tuple[object, ...] = ("--sigma", "5", "--report", place / "report.html", "--json")
    document = json.loads(edgeunet("eval", place / "tiny.bundle", large, *words).out)
    assert (document["data"][0]["cropped"], document["data"][0]["left_out"]) == (1, [])
    said = _Page((place / "report.html").read_text()).words
    assert "1 larger than the frame: their centre is evaluated" in said
    ran = edgeunet("eval", place / "tiny.bundle", large, *words, "--fit", "skip")
    (line,) = json.loads(ran.out)["data"][0]["left_out"]
    assert f"left out: {line}" in _Page((place / "report.html").read_text()).words


@pytest.mark.parametrize("engine", ["auto", "torch", "onnxruntime"])
def test_a_model_beside_a_bundle_takes_the_options_that_are_for_it(
    place: Path, engine: str
) -> None:
    (place / "toy.toml").write_text(recipe_text(DENOISE + SEGMENT))
    recipe = load_recipe(str(place / "toy.toml"))
    save_weights(build_network(recipe), recipe, place / "toy.safetensors")
    model = (place / "toy.toml", "--weights", place / "toy.safetensors", "--size", "24x32")
    words = ("--against", place / "tiny.bundle", "--sigma", "5", "--engine", engine, "--json")
    ran = edgeunet("eval", *model, place / "street", *words, "--report", place / "report.html")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert [c["engine"] for c in document["candidates"]] == ["torch", "onnxruntime"]
    assert [c["size"] for c in document["candidates"]] == ["24x32", "24x32"]
    plain = ("--sigma", "5", "--noise", "uint8", "--json")
    alone = json.loads(edgeunet("eval", *model, place / "street", *plain).out)
    wanted = alone["data"][0]["results"][0]["psnr_db"]["mean"]
    assert document["data"][0]["results"][0]["levels"][0]["psnr_db"] == wanted


def test_one_form_alone_has_a_page(place: Path) -> None:
    ran = edgeunet(
        *("eval", place / "tiny.bundle", write_folder(place / "plain")),
        *("--sigma", "5", "--report", place / "one.html"),
    )
    assert ran.code == 0, ran.err
    assert (place / "one.json").is_file()
    assert "Where tiny.bundle is worst" in _Page((place / "one.html").read_text()).words


REFUSED = {
    "no page": (
        ("--against", "worse.bundle"),
        "--against compares on a page, and none is asked for",
        "add --report FILE.html",
    ),
    "no HTML": (
        ("--report", "report.pdf"),
        "--report 'report.pdf' is no HTML file",
        "name one, like report.html; a report.json is written beside it",
    ),
    "two places": (
        ("--report", "report.html", "--csv", "figures.csv"),
        "--report and --csv are two ways to keep figures",
        "leave one of them out",
    ),
    "other frames": (
        ("--report", "report.html", "--against", "large/tiny.bundle"),
        "large/tiny.bundle takes 48x64, tiny.bundle 24x32: their images would differ",
        "export them with one --size, or give it to a MODEL with --size HxW",
    ),
    "other outputs": (
        ("--report", "report.html", "--against", "denoise/tiny.bundle"),
        "denoise/tiny.bundle answers with denoised, tiny.bundle with denoised, labels",
        "compare forms of one network",
    ),
}


@pytest.mark.parametrize(("words", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
    hint: str,
) -> None:
    monkeypatch.chdir(place)
    tiny_bundle(place / "large", 48, 64)
    tiny_bundle(place / "denoise", *SIZE, tasks=(Task.DENOISE,))
    before = contents(place)
    ran = edgeunet("eval", "tiny.bundle", "street", *words)
    assert ran.failure == (message, hint)
    assert ran.code == 2
    assert contents(place) == before
