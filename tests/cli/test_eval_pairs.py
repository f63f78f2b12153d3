"""``edgeunet eval`` on real pairs, as a person types it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import metrics

from edgeunet.bundle import Bundle
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.photographs import read_photograph
from edgeunet.recipes import load_recipe
from edgeunet.specs import Task
from tests.bundle.tiny import tiny_bundle
from tests.cli.command import Ran, edgeunet
from tests.evaluate.drawn_sets import picture, with_noise, write, write_folder, write_pairs
from tests.media.clips import write_frames
from tests.recipe_files import DENOISE, recipe_text

NAMES = ("image_1.png", "image_2.png", "image_3.png")
SIZE = (24, 32)
PSNR: Callable[..., float] = metrics.peak_signal_noise_ratio
SSIM: Callable[..., float] = metrics.structural_similarity


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "pairs")


@pytest.fixture
def tiny(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path, *SIZE, tasks=(Task.DENOISE,))


def mean_of_nine(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what the tiny bundle answers: the mean of each pixel's neighbours in the frame."""
    height, width = image.shape[:2]
    rows = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    ones = np.pad(np.ones((height, width, 1)), ((1, 1), (1, 1), (0, 0)))
    windows = [
        (slice(row, row + height), slice(column, column + width))
        for row in range(3)
        for column in range(3)
    ]
    mean = sum(rows[w] for w in windows) / sum(ones[w] for w in windows)
    return np.rint(mean).astype(np.uint8)


def document(ran: Ran) -> Any:
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_figures_are_those_of_other_libraries(tiny: Bundle, pairs: Path, tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    ran = edgeunet("eval", tiny.path, pairs, "--csv", table, "--json")
    (entry,) = document(ran)["data"]
    # No noise is added, so nothing is said about added noise.
    assert ran.notes == [f"wrote {table}"]
    assert (entry["kind"], entry["images"], entry["swapped"]) == ("pairs", 3, [])
    (result,) = entry["results"]
    assert (result["noise"], result["sigma"]) == ("camera", None)
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == list(NAMES)
    gains = []
    for row in rows:
        noisy, clean = (read_photograph(pairs / side / row["image"]) for side in ("noisy", "clean"))
        assert (row["noise"], row["sigma"]) == ("camera", "")
        for name, image in (("_noisy", noisy), ("", mean_of_nine(noisy))):
            psnr_db = PSNR(clean, image, data_range=255)
            assert float(row[f"psnr{name}_db"]) == pytest.approx(psnr_db, abs=1e-6)
            ssim = SSIM(
                *(clean / 255, image / 255),
                channel_axis=2,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            assert float(row[f"ssim{name}"]) == pytest.approx(ssim, abs=1e-5)
        gains.append(float(row["psnr_db"]) - float(row["psnr_noisy_db"]))
        assert float(row["gain_db"]) == pytest.approx(gains[-1], abs=1e-9)
    assert result["gain_db"]["mean"] == pytest.approx(np.mean(gains), abs=1e-5)
    # t with 2 degrees of freedom at 97.5 %: 4.30265.
    half = 4.30265 * np.std(gains, ddof=1) / np.sqrt(3)
    low, high = result["gain_db"]["interval"]
    assert (high - low) / 2 == pytest.approx(half, abs=1e-4)
    assert result["worst_gain_db"] == pytest.approx(min(gains), abs=1e-5)
    assert result["worst_gain_image"] == NAMES[int(np.argmin(gains))]


def test_the_tables_say_whose_noise_it_is(tiny: Bundle, pairs: Path) -> None:
    ran = edgeunet("eval", tiny.path, pairs)
    assert ran.code == 0, ran.err
    words = " ".join(ran.out.split())
    assert f"{pairs}: 3 pairs, 24x32, tiny.bundle, onnxruntime fp32" in words
    assert words.count("as the camera made it -") == 2
    assert "worst image's dB" in words


def test_every_set_gets_the_noise_that_is_for_it(tiny: Bundle, pairs: Path, tmp_path: Path) -> None:
    plain = write_folder(tmp_path / "plain")
    ran = edgeunet("eval", tiny.path, plain, pairs, "--sigma", "0,25", "--json")
    levels = [
        [(result["noise"], result["sigma"]) for result in entry["results"]]
        for entry in document(ran)["data"]
    ]
    assert levels == [[("uint8", 0.0), ("uint8", 25.0)], [("camera", None)]]
    assert ran.notes[0].startswith("tiny.bundle takes 8-bit frames")


@pytest.mark.parametrize("words", [("--sigma", "25"), ("--noise", "uint8"), ("--sigma", "0")])
def test_noise_for_pairs_alone_is_refused(
    tiny: Bundle, pairs: Path, tmp_path: Path, words: tuple[str, str]
) -> None:
    for more in ((), ("--report", tmp_path / "report.html")):
        ran = edgeunet("eval", tiny.path, pairs, *words, *more)
        assert ran.code == 2
        assert ran.failure == (
            f"{words[0]} is for noise that is added, and real pairs have noise of their own",
            f"leave {words[0]} out, or evaluate clean images too",
        )
    assert not (tmp_path / "report.html").exists()


def test_a_model_takes_pairs_too(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(recipe_text(DENOISE))
    recipe = load_recipe(str(tmp_path / "toy.toml"))
    save_weights(build_network(recipe), recipe, tmp_path / "toy.safetensors")
    words = ("eval", tmp_path / "toy.toml", "--weights", tmp_path / "toy.safetensors", pairs)
    whole, cropped = (
        document(edgeunet(*words, *more, "--json"))["data"][0]
        for more in ((), ("--size", "16x16", "--limit", "1"))
    )
    (result,) = whole["results"]
    noisy, clean = (read_photograph(pairs / side / NAMES[0]) for side in ("noisy", "clean"))
    assert (result["noise"], whole["images"]) == ("camera", 3)
    assert (cropped["cropped"], cropped["images"]) == (1, 1)
    inner = (slice(4, 20), slice(8, 24))
    wanted = PSNR(clean[inner], noisy[inner], data_range=255)
    assert cropped["results"][0]["psnr_noisy_db"]["mean"] == pytest.approx(wanted, abs=1e-4)


def test_two_clips_have_flicker_too(tiny: Bundle, tmp_path: Path) -> None:
    for side in ("noisy", "clean"):
        (tmp_path / "clips" / side).mkdir(parents=True)
    write_frames(tmp_path / "clips" / "clean" / "a.mkv", [picture()] * 3)
    noisy = [with_noise(picture(), seed) for seed in range(3)]
    write_frames(tmp_path / "clips" / "noisy" / "a.mkv", noisy)
    (entry,) = document(edgeunet("eval", tiny.path, tmp_path / "clips", "--json"))["data"]
    (result,) = entry["results"]
    assert (entry["kind"], entry["images"]) == ("pairs", 3)
    assert result["temporal"]["pairs"] == 2
    assert result["temporal"]["clean_flicker"] == 0
    # Two independent draws of sigma 8: the mean absolute difference is sigma * 2 / sqrt(pi).
    assert result["temporal"]["noisy_flicker"] == pytest.approx(8 * 2 / np.sqrt(np.pi), rel=0.1)


def test_swapped_pairs_are_warned_of(tiny: Bundle, pairs: Path) -> None:
    (pairs / "noisy").rename(pairs / "kept")
    (pairs / "clean").rename(pairs / "noisy")
    (pairs / "kept").rename(pairs / "clean")
    ran = edgeunet("eval", tiny.path, pairs, "--json")
    (entry,) = document(ran)["data"]
    assert entry["swapped"] == list(NAMES)
    assert ran.notes == [
        f"warning: {pairs}: 3 pairs look swapped, clean/ is noisier than noisy/: {', '.join(NAMES)}"
    ]


def test_what_is_wrong_with_pairs_is_an_error(tiny: Bundle, pairs: Path) -> None:
    write(pairs / "clean" / NAMES[1], picture(0, 30, 32))
    ran = edgeunet("eval", tiny.path, pairs)
    assert ran.code == 1
    assert ran.failure == (
        f"noisy/{NAMES[1]} is 24x32, clean/{NAMES[1]} is 30x32",
        "the two of a pair show the same pixels: crop them alike; nothing is resized",
    )
    (pairs / "clean" / NAMES[1]).write_bytes(b"no image")
    assert edgeunet("eval", tiny.path, pairs).failure == (
        f"clean/{NAMES[1]} is not a readable image",
        "replace it, or remove both files of the pair",
    )
    (pairs / "clean" / NAMES[1]).unlink()
    assert edgeunet("eval", tiny.path, pairs).failure == (
        f"noisy/{NAMES[1]} has no partner in clean/",
        "noisy/ and clean/ hold files of the same names, suffix included",
    )
    for path in (pairs / "clean").iterdir():
        path.unlink()
    message, _ = edgeunet("eval", tiny.path, pairs).failure
    assert message == f"there is nothing to pair in {str(pairs / 'clean')!r}"


def test_a_report_shows_pairs(tiny: Bundle, pairs: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ran = edgeunet("eval", tiny.path, pairs, "--report", page, "--json")
    report = document(ran)
    (level,) = report["data"][0]["results"][0]["levels"]
    (alone,) = document(edgeunet("eval", tiny.path, pairs, "--json"))["data"][0]["results"]
    assert (level["noise"], level["sigma"]) == ("camera", None)
    assert level["gain_db"] == alone["gain_db"]["mean"]
    assert level["worst_gain_db"] == alone["worst_gain_db"]
    assert level["worst_gain_image"] == alone["worst_gain_image"]
    assert report["data"][0]["swapped"] == []
    assert report["facts"]["noise"] == "pairs: as the camera made it, none added"
    text = page.read_text()
    assert "3 pairs of noisy and clean images" in text
    assert text.count("<figcaption>noisy, as the camera made it</figcaption>") == 3
    assert "<th>as the camera made it</th>" in text
    assert f"{NAMES[2]}, as the camera made it: PSNR" in text
    shown = edgeunet("eval", tiny.path, pairs, "--report", page).out
    assert "as the camera made it" in shown
    assert "worst gain dB" in shown


def test_a_report_of_both_kinds_of_noise(tiny: Bundle, pairs: Path, tmp_path: Path) -> None:
    plain, page = write_folder(tmp_path / "plain"), tmp_path / "report.html"
    ran = edgeunet("eval", tiny.path, plain, pairs, "--sigma", "25", "--report", page, "--json")
    assert document(ran)["facts"]["noise"] == (
        "additive white Gaussian, seed 0; uint8: clipped to 8 bits, float: not clipped; "
        "pairs: as the camera made it, none added"
    )
    text = page.read_text()
    assert "<th>sigma 25, uint8</th>" in text
    assert "<th>as the camera made it</th>" in text


def test_a_name_with_brackets_is_shown_as_it_is(tiny: Bundle, pairs: Path) -> None:
    for side in ("noisy", "clean"):
        # With its folder, a name is what looks like the end of bold text.
        (pairs / side / "[").mkdir()
        for name in NAMES:
            (pairs / side / name).rename(pairs / side / f"[/b]{name}")
    ran = edgeunet("eval", tiny.path, pairs)
    assert ran.code == 0, ran.err
    assert "[/b]image_" in ran.out
