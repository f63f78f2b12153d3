"""``edgeunet eval`` of a network whose image is larger than the frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from edgeunet.metrics import psnr_db
from tests.cli.command import edgeunet
from tests.evaluate.drawn_sets import picture, write
from tests.foreign.exported import write_onnx

FRAME = (16, 24)
# Their margins around the frame are odd: the truth must be cropped at twice the frame's place.
SMALL, LARGE = (19, 29), (38, 58)
TOP, LEFT = 1, 2


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that repeats every pixel twice, so that its answer is known."""
    folder = tmp_path_factory.mktemp("larger")
    write_onnx(nn.Upsample(scale_factor=2), folder / "repeats.onnx", FRAME, dynamo=True, opset=18)
    ran = edgeunet("export", "--onnx", folder / "repeats.onnx", "--out", folder / "repeats.bundle")
    assert ran.code == 0, ran.err
    return folder / "repeats.bundle"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for index in range(2):
        large = picture(index, *LARGE)
        small = Image.fromarray(large).resize(SMALL[::-1], Image.Resampling.BOX)
        write(tmp_path / "pairs" / "clean" / f"{index}.png", large)
        write(tmp_path / "pairs" / "noisy" / f"{index}.png", np.asarray(small))
    return tmp_path / "pairs"


def _read(path: Path, times: int) -> NDArray[np.uint8]:
    rows, columns = (
        slice(times * start, times * (start + side))
        for start, side in zip((TOP, LEFT), FRAME, strict=True)
    )
    return np.asarray(Image.open(path))[rows, columns]


def test_the_answer_and_bicubic_are_compared_with_the_larger_truth(
    bundle: Path, pairs: Path
) -> None:
    ran = edgeunet("eval", bundle, pairs, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    answers, bicubics = [], []
    for name in ("0.png", "1.png"):
        truth, frame = _read(pairs / "clean" / name, 2), _read(pairs / "noisy" / name, 1)
        sides = (2 * FRAME[1], 2 * FRAME[0])
        bicubic = np.asarray(Image.fromarray(frame).resize(sides, Image.Resampling.BICUBIC))
        answers.append(psnr_db(frame.repeat(2, axis=0).repeat(2, axis=1), truth, peak=255))
        bicubics.append(psnr_db(bicubic, truth, peak=255))
    (figures,) = document["data"][0]["results"]
    assert document["scale"] == 2
    assert document["data"][0]["cropped"] == 2
    assert figures["psnr_db"]["mean"] == pytest.approx(np.mean(answers), abs=1e-4)
    assert figures["psnr_noisy_db"]["mean"] == pytest.approx(np.mean(bicubics), abs=1e-4)
    assert abs(np.mean(answers) - np.mean(bicubics)) > 0.01


def test_the_table_and_the_page_name_bicubic(bundle: Path, pairs: Path, tmp_path: Path) -> None:
    ran = edgeunet("eval", bundle, pairs)
    assert ran.code == 0, ran.err
    assert "PSNR bicubic dB" in ran.out
    assert "minus PSNR of its bicubic enlargement" in ran.out
    page = tmp_path / "page.html"
    ran = edgeunet("eval", bundle, pairs, "--report", page)
    assert ran.code == 0, ran.err
    assert "bicubic, as the camera made it" in page.read_text()


def test_what_has_no_truth_of_the_larger_size_is_refused(bundle: Path, pairs: Path) -> None:
    message, hint = edgeunet("eval", bundle, pairs / "clean").failure
    assert message.startswith("the network's image has 2 times the rows and columns of the frame")
    assert hint.startswith("give a folder with noisy/ and clean/")
    write(pairs / "clean" / "1.png", picture(1, *SMALL))
    message, hint = edgeunet("eval", bundle, pairs).failure
    assert message == "noisy/1.png is 19x29, clean/1.png is 19x29"
    assert "clean/ the images of 2 times their size" in hint
