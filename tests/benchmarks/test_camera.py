"""Real photographs: which strength is best, which images belong together, what is kept."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("skimage")

from benchmarks import camera
from benchmarks.helpers import camera_methods
from benchmarks.helpers.camera_methods import Method, given_network
from benchmarks.helpers.camera_page import BEGIN, END, split_page, tables, update_page
from benchmarks.helpers.camera_rows import (
    ALL,
    FEW,
    FP32_BUNDLE,
    GRIDS,
    INT8_BUNDLE,
    NOISY,
    NONE,
    REAL,
    Grid,
    ImageRow,
    SummaryRow,
    best_setting,
    few,
    read_images,
    read_summary,
    summarise,
    write_rows,
)
from benchmarks.helpers.record import RESULTS
from tests.house.source import ROOT

PAGE = ROOT / "docs" / "findings" / "camera.md"
NAMES = [f"{'Canon' if number < 40 else 'Nikon'}_{number:02}.jpg" for number in range(62)]


def _row(method: str, image: str, psnr_db: float, **others: object) -> ImageRow:
    row = ImageRow(
        method=method,
        data="pairs",
        noise=REAL,
        image=image,
        camera=image.partition("_")[0],
        psnr_noisy_db=30.0,
        psnr_db=psnr_db,
        ssim_noisy=0.8,
        ssim=0.9,
    )
    return msgspec.structs.replace(row, **others)


def _noisy(**others: object) -> list[ImageRow]:
    return [_row(NOISY, name, 30.0, **others) for name in NAMES]


def _one(summary: list[SummaryRow], **wanted: object) -> SummaryRow:
    (found,) = [
        row for row in summary if all(getattr(row, name) == wanted[name] for name in wanted)
    ]
    return found


def test_the_best_setting_has_the_highest_mean_over_all_images() -> None:
    images = frozenset({"a", "b"})
    rows = [
        _row("m", image, psnr_db, setting=setting)
        for setting, figures in {
            "h 3": (31.0, 33.0),
            "h 4": (34.0, 31.0),
            "h 5": (30.0, 30.0),
        }.items()
        for image, psnr_db in zip("ab", figures, strict=True)
    ]
    assert best_setting(rows, images) == "h 4"
    assert best_setting(rows, frozenset("b")) == "h 3"
    for unfinished in ([*rows, _row("m", "a", 50.0, setting="h 6")], []):
        with pytest.raises(ValueError, match="not every setting was measured on every image"):
            best_setting(unfinished, images)
    with pytest.raises(ValueError, match="every image"):
        best_setting(rows, frozenset("abc"))


def test_slow_methods_have_every_sixth_image_ten_at_most() -> None:
    assert few(reversed(NAMES)) == NAMES[0:60:6]
    assert len(few(NAMES)) == 10
    assert few(NAMES[:7]) == [NAMES[0], NAMES[6]]


def test_means_by_camera_and_on_the_images_of_slow_methods() -> None:
    network = [_row("net-8", n, 31.0 if n.startswith("Canon") else 33.0) for n in NAMES[:-1]]
    network.append(_row("net-8", NAMES[-1], 29.5))
    means = [
        _row("nlm", name, 32.0 - abs(strength - 4), setting=f"h {strength}")
        for strength in (3, 4, 5)
        for name in NAMES
    ]
    slow = [
        _row("slow", name, 30.0 + strength, setting=f"sigma {strength}")
        for strength in (2, 3)
        for name in few(NAMES)
    ]
    summary = summarise([*_noisy(), *network, *means, *slow])
    whole = _one(summary, subset=ALL, method="net-8")
    assert (whole.images, whole.psnr_db) == (62, round((40 * 31 + 21 * 33 + 29.5) / 62, 3))
    assert whole.gain_db == pytest.approx(whole.psnr_db - 30, abs=2e-3)
    assert (whole.worst_gain_db, whole.worst_image) == (-0.5, NAMES[-1])
    assert whole.gain_half_width_db is not None
    assert 0.1 < whole.gain_half_width_db < 0.5
    canon = _one(summary, subset="Canon", method="net-8")
    assert (canon.images, canon.gain_db, canon.gain_half_width_db) == (40, 1.0, 0.0)
    assert _one(summary, subset="Nikon", method="net-8").images == 22
    assert _one(summary, subset=FEW, method="net-8").images == 10
    # All strengths where they are compared, the best alone elsewhere.
    listed = {(r.subset, r.setting, r.best) for r in summary if r.method == "nlm"}
    assert listed == {
        (ALL, "h 3", False),
        (ALL, "h 4", True),
        (ALL, "h 5", False),
        ("Canon", "h 4", True),
        ("Nikon", "h 4", True),
        (FEW, "h 4", True),
    }
    listed = {(r.subset, r.setting, r.best) for r in summary if r.method == "slow"}
    assert listed == {(FEW, "sigma 2", False), (FEW, "sigma 3", True)}
    # A grid that was not finished is not shown.
    stopped = summarise([*_noisy(), *means[:-1], *slow[:-1]])
    assert {row.method for row in stopped} == {NOISY}


def test_the_strength_for_clean_photographs_is_that_for_noisy_ones() -> None:
    clean = {"noise": NONE, "psnr_noisy_db": float("inf")}
    rows = [*_noisy(), *_noisy(**clean)]
    for setting, noisy_db, clean_db in (("h 3", 31.0, 50.0), ("h 4", 32.0, 40.0)):
        rows += [_row("nlm", name, noisy_db, setting=setting) for name in NAMES]
        rows += [
            _row("nlm", n, clean_db, setting=setting, noise=NONE, psnr_noisy_db=float("inf"))
            for n in NAMES
        ]
    best = _one(summarise(rows), method="nlm", noise=NONE, best=True)
    assert (best.setting, best.psnr_db, best.gain_db, best.worst_image) == ("h 4", 40.0, None, "")


def test_an_int8_bundle_is_held_against_the_same_weights_in_fp32() -> None:
    rows = _noisy()
    rows += [_row("net-8", name, 34.0, form=FP32_BUNDLE, weights_sha256="1") for name in NAMES]
    rows += [_row("net-8", name, 40.0, form=FP32_BUNDLE, weights_sha256="2") for name in NAMES]
    rows += [_row("net-8", name, 33.9, form=INT8_BUNDLE, weights_sha256="1") for name in NAMES]
    summary = summarise([row for row in rows if row.weights_sha256 != "2"])
    int8 = _one(summary, subset=ALL, form=INT8_BUNDLE)
    assert (int8.int8_loss_db, int8.int8_loss_half_width_db) == (0.1, 0.0)
    assert _one(summary, subset=ALL, form=FP32_BUNDLE).int8_loss_db is None
    alone = summarise([row for row in rows if row.weights_sha256 != "1"])
    assert [row for row in alone if row.form == INT8_BUNDLE] == []


def test_rows_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    facts = {"date": "2030-01-02", "device": "a processor", "bm3d": ""}
    rows = [
        _row("m", "a", 31.25, setting="h 3", facts=facts),
        _row("m", "a", float("inf"), noise="float", sigma=0.0, facts=facts),
    ]
    path = write_rows(tmp_path / "images.csv", rows)
    assert read_images(path) == rows
    summary = summarise([row for name in NAMES for row in (_row(NOISY, name, 30.0, facts=facts),)])
    assert read_summary(write_rows(tmp_path / "summary.csv", summary)) == summary
    assert read_images(tmp_path / "none.csv") == []


def _write_pairs(folder: Path, count: int = 2) -> None:
    generator = np.random.default_rng(0)
    for number in range(count):
        clean = np.full((48, 48, 3), 60 + 40 * number, np.float64)
        for kind, deviation in (("noisy", 8.0), ("clean", 0.0)):
            pixels = np.clip(clean + generator.normal(0, deviation, clean.shape), 0, 255)
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / f"Box_{number}.png")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["camera", *map(str, arguments)])
    camera.main()


def test_a_run_measures_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_pairs(tmp_path / "pairs")
    out = tmp_path / "out"
    monkeypatch.setitem(GRIDS, "fastNlMeans", Grid("h", (4, 40)))
    common = ("--pairs", tmp_path / "pairs", "--out", out, "--only", "fastNlMeans")
    _run(monkeypatch, *common)
    rows = read_images(out / "camera_images.csv")
    # Noisy and clean ones as they are, both strengths, and the best on the clean ones.
    assert len(rows) == 2 * (2 + 2 + 1)
    assert {row.setting for row in rows if row.noise == NONE} == {"", "h 40"}
    summary = read_summary(out / "camera.csv")
    best = _one(summary, subset=ALL, noise=REAL, method="fastNlMeans", best=True)
    assert best.setting == "h 40"
    assert best.gain_db is not None
    assert best.gain_db > 5
    # What a file says is kept, and only what is missing is measured.
    marked = [msgspec.structs.replace(row, psnr_db=row.psnr_db + 9) for row in rows[:-1]]
    write_rows(out / "camera_images.csv", marked)
    _run(monkeypatch, *common, "--resume")
    again = read_images(out / "camera_images.csv")
    assert again == [*marked, rows[-1]]
    _run(monkeypatch, *common)
    assert [row.psnr_db for row in read_images(out / "camera_images.csv")] == [
        row.psnr_db for row in rows
    ]
    assert "how clean" in capsys.readouterr().out


def test_other_weights_replace_all_rows_of_a_network() -> None:
    chosen = [Method("net-8", "torch fp32", lambda: lambda noisy: noisy)]
    rows = [
        _row("net-8", "a", 1.0, form="torch fp32", weights_sha256="old"),
        _row("net-8", "a", 2.0, form=INT8_BUNDLE, weights_sha256="old"),
        _row("net-8", "a", 3.0, form=INT8_BUNDLE, weights_sha256="new"),
        _row("net-8", "b", 4.0, form="torch fp32", weights_sha256="new"),
        _row("slow", "a", 5.0, setting="sigma 4"),
    ]
    digests = {"net-8": "new"}
    pixels = np.zeros((3, 4, 4), np.uint8)
    cases = [camera.Case("pairs", REAL, None, 0, "a", "a", pixels, pixels)]
    kept = camera._kept(rows, chosen, cases, digests, resume=True)
    assert [row.psnr_db for row in kept] == [3.0, 4.0, 5.0]
    kept = camera._kept(rows, chosen, cases, digests, resume=False)
    assert [row.psnr_db for row in kept] == [3.0, 5.0]


def test_a_method_that_swaps_channels_is_refused() -> None:
    method = Method("swapped", "none", lambda: lambda noisy: noisy[::-1])
    with pytest.raises(SystemExit, match=r"swapped, none: the colour .* came back as"):
        method.open()
    for method in camera_methods.methods([], None, (0, 0)):
        if method.name != "BM3D":
            method.open()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --pairs or --kodak"),
        (("--pairs", "x", "--limit", "3"), "give a folder for its tables with --out"),
        (("--kodak", "x", "--bundles"), "give --pairs"),
    ],
)
def test_contradicting_options_are_refused(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _run(monkeypatch, *arguments)
    assert message in capsys.readouterr().err


def test_what_cannot_be_measured_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("unetmm=x", "nothing-8=x", "unetmm-0=x", "unetmm-8"):
        with pytest.raises(SystemExit, match=r"is not NAME-WIDTH=FILE; names: .*unetmm"):
            given_network(text)
    with pytest.raises(SystemExit, match="there is no file 'missing.safetensors'"):
        given_network("unetmm-8=missing.safetensors")
    with pytest.raises(SystemExit, match=r"there is nothing to pair in .*noisy'"):
        _run(monkeypatch, "--pairs", tmp_path / "none", "--out", tmp_path)
    _write_pairs(tmp_path)
    with pytest.raises(SystemExit, match="there is no 'NLM'; known: noisy, .*BM3D"):
        _run(monkeypatch, "--pairs", tmp_path, "--out", tmp_path, "--only", "NLM")
    (tmp_path / "clean" / "Box_1.png").unlink()
    with pytest.raises(SystemExit, match=r"noisy/Box_1.png has no partner in clean/\n"):
        _run(monkeypatch, "--pairs", tmp_path, "--out", tmp_path, "--only", "noisy")


def test_a_page_gets_its_tables_between_the_markers(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    summary = summarise([*_noisy(), *(_row("net-8", name, 31.5) for name in NAMES)])
    for _ in range(2):
        update_page(path, summary)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "| net-8 | 31.50 | +1.50 ± 0.00 | +1.50 | 0.9000 | +1.50 | +1.50 |" in text
    assert split_page(path)[1] == tables(summary)
    assert "pairs the best network" not in text
    path.write_text(f"{END}\n{BEGIN}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="once each"):
        update_page(path, summary)
    with pytest.raises(SystemExit, match="there is no page"):
        update_page(tmp_path / "none.md", summary)


def test_a_grid_that_was_not_finished_has_no_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GRIDS, "nlm", Grid("h", (3, 4)))
    rows = [*_noisy(), *(_row("nlm", name, 30.5, setting="h 3") for name in NAMES)]
    assert {row.method for row in summarise(rows)} == {NOISY}
    rows += [_row("nlm", name, 30.4, setting="h 4") for name in NAMES]
    assert _one(summarise(rows), method="nlm", subset=ALL, best=True).setting == "h 3"


def test_a_page_says_in_words_who_gains_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GRIDS, "fastNlMeans", Grid("h", (4,)))
    monkeypatch.setitem(GRIDS, "BM3D", Grid("sigma", (6,)))
    rows = [*_noisy(), *(_row("net-8", name, 31.0, weights_sha256="1") for name in NAMES)]
    rows += [_row("net-16", name, 31.5, weights_sha256="2") for name in NAMES]
    text = tables(summarise(rows))
    assert (
        "On 62 pairs the best network, net-16, gains +1.50 ± 0.00 dB; fastNlMeans was not measured."
        in text
    )
    rows += [_row("fastNlMeans", name, 30.5, setting="h 4") for name in NAMES]
    rows += [_row("BM3D", name, 32.0, setting="sigma 6") for name in few(NAMES)]
    text = tables(summarise(rows))
    assert "dB; fastNlMeans with h 4 gains +0.50 ± 0.00 dB.\n" in text
    assert "On 10 pairs the best network, net-16, gains +1.50 ± 0.00 dB; BM3D with sigma 6" in text
    assert "| BM3D, sigma 6 | 32.00 | +2.00 ± 0.00 | +2.00 | 0.9000 |" in text


def test_the_page_quotes_the_table() -> None:
    summary = read_summary(RESULTS / "camera.csv")
    assert split_page(PAGE)[1] == tables(summary)
    assert "### All 62 pairs" in tables(summary)


def test_the_table_is_made_of_the_rows_of_images() -> None:
    assert summarise(read_images(RESULTS / "camera_images.csv")) == read_summary(
        RESULTS / "camera.csv"
    )
    with (RESULTS / "camera.csv").open(newline="") as stream:
        assert {row["device"] for row in csv.DictReader(stream)} != {""}
