"""``edgeunet eval`` as a person types it."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.photographs import shipped_photographs
from edgeunet.recipes import folder as shipped_folder
from edgeunet.recipes import load_recipe
from edgeunet.specs import Task
from tests.bundle.tiny import tiny_bundle
from tests.cli.command import Ran, contents, edgeunet
from tests.evaluate.drawn_sets import picture, write, write_folder, write_labelled
from tests.media.clips import write_video
from tests.recipe_files import CLASSIFY, DENOISE, SEGMENT, recipe_text


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recipes, each with the weights of the same name beside it."""
    folder = tmp_path_factory.mktemp("models")
    pathways = {
        "denoise": DENOISE,
        "joint": DENOISE + SEGMENT,
        "segment": SEGMENT,
        "classify": DENOISE + CLASSIFY,
    }
    for name, text in pathways.items():
        (folder / f"{name}.toml").write_text(recipe_text(text))
        recipe = load_recipe(str(folder / f"{name}.toml"))
        save_weights(build_network(recipe), recipe, folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path, 24, 32).path


def _model(models: Path, name: str) -> tuple[object, ...]:
    return models / f"{name}.toml", "--weights", models / f"{name}.safetensors"


def _document(ran: Ran) -> Any:
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_a_model_has_figures_of_both_protocols(models: Path, images: Path, tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    ran = edgeunet("eval", *_model(models, "denoise"), images, "--csv", table, "--json")
    document = _document(ran)
    assert document["model"] == document["evaluated"] == "toy"
    assert (document["engine"], document["precision"], document["size"]) == ("torch", "fp32", None)
    assert document["weights"] == "denoise.safetensors"
    (entry,) = document["data"]
    assert (entry["kind"], entry["images"], entry["left_out"]) == ("images", 2, [])
    levels = [(result["noise"], result["sigma"]) for result in entry["results"]]
    assert levels == [(kind, s) for kind in ("float", "uint8") for s in (0.0, 15.0, 25.0, 50.0)]
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    for result in entry["results"]:
        mine = [
            float(row["psnr_db"])
            for row in rows
            if (row["noise"], float(row["sigma"])) == (result["noise"], result["sigma"])
        ]
        assert result["psnr_db"]["mean"] == pytest.approx(np.mean(mine), abs=1e-4)
        low, high = result["psnr_db"]["interval"]
        assert low < result["psnr_db"]["mean"] < high
        # The noise's own figure, up to the draw: 20 log10(255 / sigma).
        if result["sigma"] == 0:
            assert result["psnr_noisy_db"] == {"mean": None, "interval": None}
        elif result["noise"] == "float":
            wanted = 20 * math.log10(255 / result["sigma"])
            assert result["psnr_noisy_db"]["mean"] == pytest.approx(wanted, abs=0.4)


def test_the_table_names_the_protocols(models: Path, images: Path) -> None:
    ran = edgeunet("eval", *_model(models, "denoise"), images, "--sigma", "25")
    assert ran.code == 0, ran.err
    assert "2 images, toy, torch fp32" in " ".join(ran.out.split())
    figures, gains = ran.out.split("gain: PSNR of the answer minus PSNR of the noisy image")
    for table in (figures, gains):
        assert [line.split("  ")[1] for line in table.splitlines() if "25  " in line] == [
            "float, not clipped",
            "clipped to uint8",
        ]


def test_a_clean_photograph_is_a_row_of_the_table(tmp_path: Path) -> None:
    """With shipped weights: what they do to an image without noise, as a number."""
    weights = load_recipe("unetmm-awgn").with_width(8).trained_weights(shipped_folder("export"))
    if weights is None or not weights.is_file():
        pytest.skip("needs the shipped weights")
    photograph = shipped_photographs()["chelsea"][:96, :128]
    write(tmp_path / "photograph.png", photograph)
    words = ("eval", "unetmm-awgn", tmp_path / "photograph.png", "--width", "8")
    printed = edgeunet(*words, "--noise", "uint8").out
    (row,) = [line.split() for line in printed.splitlines() if re.search(r"uint8 +0 ", line)]
    assert row[3:5] == ["0", "equal"]
    assert 36 < float(row[5]) < 60
    results = _document(edgeunet(*words, "--json"))["data"][0]["results"]
    clean = {entry["noise"]: entry for entry in results if entry["sigma"] == 0}
    assert clean["uint8"]["psnr_db"]["mean"] == pytest.approx(float(row[5]), abs=0.006)
    assert clean["float"]["psnr_db"]["mean"] == pytest.approx(float(row[5]), abs=0.2)
    assert clean["uint8"]["ssim_noisy"]["mean"] == 1


def test_one_image_and_no_noise(models: Path, images: Path) -> None:
    image = images / "image_1.png"
    words = (*_model(models, "denoise"), image, "--sigma", "0", "--noise", "uint8")
    (result,) = _document(edgeunet("eval", *words, "--json"))["data"][0]["results"]
    assert result["psnr_noisy_db"] == {"mean": None, "interval": None}
    assert result["psnr_db"]["interval"] is None
    # A clean image has nothing to gain.
    assert result["gain_db"] is result["worst_gain_db"] is result["worst_gain_image"] is None
    shown = edgeunet("eval", *words).out
    assert "equal" in shown
    assert "inf" not in shown


def test_a_bundle_takes_8_bit_noise_and_says_so(bundle: Path, images: Path) -> None:
    ran = edgeunet("eval", bundle, images, "--sigma", "25", "--json")
    document = _document(ran)
    assert (document["engine"], document["size"]) == ("onnxruntime", "24x32")
    (result,) = document["data"][0]["results"]
    assert result["noise"] == "uint8"
    assert ran.notes[0] == (
        "tiny.bundle takes 8-bit frames: the noise is clipped to them, so the figures "
        "are not those of the literature's float noise"
    )


def test_labels_are_measured(bundle: Path, tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "data")
    words = ("eval", bundle, data, "--sigma", "0")
    (result,) = _document(edgeunet(*words, "--json"))["data"][0]["results"]
    labels = result["labels"]
    assert set(labels["iou"]) == {"blue", "green", "red"}
    # The tiny network's labels are the truth but for the frame's edge.
    assert 0.9 < labels["pixel_accuracy"] <= 1
    assert labels["mean_iou"] > 0.8
    assert "mIoU %" in edgeunet(*words).out


def test_labels_of_a_network_without_a_head_are_not_read(models: Path, tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "data")
    (data / "labels" / "image_1.png").unlink()
    ran = edgeunet("eval", *_model(models, "denoise"), data, "--sigma", "25", "--json")
    (entry,) = _document(ran)["data"]
    assert entry["images"] == 2
    assert entry["results"][0]["labels"] is None
    assert ran.notes == [f"{data}: toy has no segment head, the labels are not read"]


def test_a_head_without_labels_is_not_measured(models: Path, images: Path) -> None:
    ran = edgeunet("eval", *_model(models, "joint"), images, "--sigma", "25", "--json")
    assert _document(ran)["data"][0]["results"][0]["labels"] is None
    assert ran.notes == [f"{images}: no images/ beside labels/, so mIoU is not measured"]


def test_a_network_that_does_not_denoise_sees_clean_images(models: Path, tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "data")
    document = _document(edgeunet("eval", *_model(models, "segment"), data, "--json"))
    results = document["data"][0]["results"]
    assert [result["sigma"] for result in results] == [0.0, 0.0]
    assert all(result["psnr_db"] is None for result in results)
    assert all(0 <= result["labels"]["pixel_accuracy"] <= 1 for result in results)


def test_classes_are_measured(models: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "data" / "cat", 1)
    write_folder(tmp_path / "data" / "dog", 2)
    words = ("eval", *_model(models, "classify"), tmp_path / "data", "--sigma", "25")
    (entry,) = _document(edgeunet(*words, "--noise", "uint8", "--json"))["data"]
    assert (entry["kind"], entry["images"]) == ("classes", 3)
    classes = entry["results"][0]["classes"]
    assert set(classes["by_class"]) == {"cat", "dog"}
    wanted = (classes["by_class"]["cat"] + 2 * classes["by_class"]["dog"]) / 3
    assert classes["accuracy"] == pytest.approx(wanted, abs=1e-4)
    assert "accuracy %" in edgeunet(*words, "--noise", "uint8").out


def test_a_video_is_measured_as_a_clip(bundle: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mkv", 3, 24, 32)
    words = ("eval", bundle, video, "--sigma", "25")
    (entry,) = _document(edgeunet(*words, "--json"))["data"]
    assert (entry["kind"], entry["images"]) == ("clip", 3)
    assert entry["results"][0]["temporal"]["pairs"] == 2
    assert "flicker clean" in edgeunet(*words).out


def test_a_folder_is_a_clip_only_when_asked(bundle: Path, images: Path) -> None:
    words = ("eval", bundle, images, "--sigma", "25", "--json")
    assert _document(edgeunet(*words))["data"][0]["results"][0]["temporal"] is None
    temporal = _document(edgeunet(*words, "--clip"))["data"][0]["results"][0]["temporal"]
    assert temporal["pairs"] == 1


def test_seed_and_limit(bundle: Path, images: Path) -> None:
    words = ("eval", bundle, images, "--sigma", "25", "--json")
    first, again, other, one = (
        _document(edgeunet(*words, *more))["data"][0]
        for more in ((), (), ("--seed", "1"), ("--limit", "1"))
    )
    assert first == again
    assert first["results"] != other["results"]
    assert one["images"] == 1


def test_a_broken_image_is_named_and_left_out(bundle: Path, images: Path) -> None:
    (images / "image_0.png").write_bytes(b"no image")
    ran = edgeunet("eval", bundle, images, "--sigma", "25", "--json")
    (entry,) = _document(ran)["data"]
    assert (entry["images"], entry["left_out"]) == (2, ["image_0.png is not a readable image"])
    assert ran.notes[-1] == "warning: left out: image_0.png is not a readable image"


def test_larger_images_are_cropped_and_counted(models: Path, images: Path) -> None:
    write(images / "small.png", picture(0, 16, 16))
    words = (*_model(models, "denoise"), images, "--sigma", "25", "--size", "16x16", "--json")
    ran = edgeunet("eval", *words)
    document = _document(ran)
    assert (document["size"], document["data"][0]["cropped"]) == ("16x16", 2)
    assert ran.notes == [
        f"{images}: 2 of 3 images are larger than the frame, their centre is evaluated"
    ]


def test_smaller_images_are_refused_by_name(bundle: Path, images: Path, tmp_path: Path) -> None:
    write(images / "small.png", picture(0, 16, 16))
    table = tmp_path / "figures.csv"
    message, hint = edgeunet("eval", bundle, images, "--csv", table).failure
    assert message == "small.png is 16x16, which is smaller than the frame of 24x32"
    assert hint == (
        "--fit skip leaves it out; or take a frame that every image has "
        "(edgeunet export --size HxW): nothing is resized"
    )
    assert not table.exists()
    document = _document(edgeunet("eval", bundle, images, "--fit", "skip", "--json"))
    assert document["data"][0]["left_out"] == ["small.png is 16x16, not 24x32"]


def test_an_empty_folder(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = edgeunet("eval", bundle, tmp_path / "empty")
    assert ran.code == 1
    assert ran.failure[0] == f"there are no images in {str(tmp_path / 'empty')!r}"


def test_a_folder_in_the_csvs_place(bundle: Path, images: Path, tmp_path: Path) -> None:
    before = contents(tmp_path)
    ran = edgeunet("eval", bundle, images, "--csv", images)
    assert ran.code == 2
    assert ran.failure == (f"{str(images)!r} is a folder", "name a file, like figures.csv")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ("--sigma", "strong"),
            "'strong' is not a noise level",
            "write numbers from 0 to 255, in 8-bit units, like 0,15,25,50",
        ),
        (
            ("--sigma", "-25"),
            "-25 is not a noise level",
            "sigma is in 8-bit units, 0 to 255, such as 25",
        ),
        (("--seed", "-1"), "-1 is not a seed", "use a number from 0"),
        (("--limit", "0"), "0 is not a number of images", "use --limit 1 or more"),
        (("--noise", "pink"), "there is no noise 'pink'", "use float, uint8 or both"),
        (("--fit", "resize"), "there is no --fit resize", "use crop, skip or refuse"),
        (
            ("--engine", "torch"),
            "torch does not run a bundle",
            "leave --engine out, or evaluate the MODEL itself in torch, with --size HxW to compare",
        ),
        (
            ("--engine", "onxruntime"),
            "there is no engine 'onxruntime'",
            "did you mean 'onnxruntime'? known: auto, onnxruntime, tensorrt",
        ),
        *(
            (
                ("--noise", noise),
                "float noise cannot go through tiny.bundle: a bundle takes 8-bit frames",
                "use --noise uint8, or evaluate the MODEL itself with --noise float",
            )
            for noise in ("float", "both")
        ),
        *(
            (
                (option, value),
                f"{option} is for a MODEL: a bundle has its weights, width and frame size",
                f"leave {option} out, or export another bundle",
            )
            for option, value in (("--width", "8"), ("--size", "8x8"), ("--weights", "w"))
        ),
    ],
)
def test_what_cannot_be_asked_of_a_bundle(
    words: tuple[str, ...], message: str, hint: str, bundle: Path, images: Path
) -> None:
    ran = edgeunet("eval", bundle, images, *words)
    assert (ran.code, *ran.failure) == (2, message, hint)


def test_a_model_is_evaluated_in_torch(models: Path, images: Path) -> None:
    ran = edgeunet("eval", *_model(models, "denoise"), images, "--engine", "onnxruntime")
    assert ran.code == 2
    assert ran.failure == (
        "a MODEL is evaluated in torch, not in 'onnxruntime'",
        "leave --engine out, or export a bundle and evaluate that",
    )


def test_a_model_without_weights(models: Path, images: Path) -> None:
    ran = edgeunet("eval", models / "denoise.toml", images)
    assert ran.code == 2
    assert ran.failure == (
        "there are no shipped weights for toy at width 4 (widths with weights: none yet)",
        "give --weights FILE.safetensors: untrained, it has no quality",
    )


def test_weights_of_another_network(models: Path, images: Path) -> None:
    ran = edgeunet(
        "eval", models / "denoise.toml", images, "--weights", models / "joint.safetensors"
    )
    assert ran.code == 1
    assert ran.failure[0].startswith("joint.safetensors holds weights of another network")


def test_a_model_nobody_knows(images: Path) -> None:
    message, hint = edgeunet("eval", "unetm", images).failure
    assert message == "there is no model 'unetm'"
    assert hint.startswith("did you mean 'unetmm'?")


def test_a_bundle_that_is_not_there(images: Path) -> None:
    message, _ = edgeunet("eval", "no.bundle", images).failure
    assert message == "there is no bundle folder 'no.bundle'"


def test_a_bundle_without_a_denoise_head(tmp_path: Path, images: Path) -> None:
    made = tiny_bundle(tmp_path / "labels", 24, 32, (Task.SEGMENT,))
    assert msgspec.structs.asdict(made.manifest.outputs[0])["task"] is Task.SEGMENT
    (result,) = _document(edgeunet("eval", made.path, images, "--json"))["data"][0]["results"]
    assert (result["sigma"], result["psnr_db"], result["labels"]) == (0.0, None, None)


@pytest.mark.parametrize("option", ["--threads", "--workers"])
def test_options_of_an_engine_are_for_bundles(option: str, tmp_path: Path) -> None:
    assert edgeunet("eval", "unetmm", tmp_path, option, 2).failure == (
        f"{option} is for a BUNDLE: torch runs a MODEL in its own way",
        f"leave {option} out, or export a bundle",
    )
