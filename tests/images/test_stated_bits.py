"""16-bit files that do not say how many bits are meant, and people who do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("cv2")

from edgeunet import api
from edgeunet.cli import main
from edgeunet.errors import SourceError, UsageError
from edgeunet.images.reader import read_rgb
from edgeunet.images.stated_bits import stating_bits
from tests.bundle.tiny import tiny_bundle
from tests.images.image_writers import picture, png, tiff
from tests.images.plain_kinds import of_bits
from tests.images.verbs import VERBS, outcome


def dark(folder: Path, bits: int = 12, name: str = "a.png") -> Path:
    """Write the picture with samples of ``bits`` bits into a 16-bit PNG that says nothing."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(of_bits(picture(), bits), 16, 2))
    return path


@pytest.mark.parametrize("bits", [9, 10, 12, 13])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_option_says_what_is_meant(bits: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    samples = of_bits(picture(), bits)
    path.write_bytes(png(samples, 16, 2) if suffix == ".png" else tiff(samples, photometric="rgb"))
    with pytest.raises(SourceError, match="does not say how many are meant") as caught:
        read_rgb(path)
    assert caught.value.hint.startswith(
        "say it with --image-bits 12, with a file image-bits.txt in its folder"
    )
    with stating_bits(bits):
        assert np.array_equal(read_rgb(path), picture())
    with pytest.raises(SourceError):
        read_rgb(path)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_follows_the_file_in_the_folder(verb: str, tmp_path: Path) -> None:
    path = dark(tmp_path / "in")
    assert outcome(verb, path, picture()) != "right"
    (tmp_path / "in" / "image-bits.txt").write_text("12\n")
    assert outcome(verb, path, picture()) == "right"


def test_the_nearest_file_counts_and_the_option_goes_first(tmp_path: Path) -> None:
    (tmp_path / "image-bits.txt").write_text("10")
    path = dark(tmp_path / "deep" / "er")
    with pytest.raises(SourceError, match="and the 10 bits that were stated end at 1023") as caught:
        read_rgb(path)
    assert caught.value.hint == "state the bits of this file, or state nothing where files differ"
    (tmp_path / "deep" / "image-bits.txt").write_text(" 12 ")
    assert np.array_equal(read_rgb(path), picture())
    with stating_bits(16):
        assert read_rgb(path).max() <= 16


def test_what_a_file_says_of_itself_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(of_bits(picture(), 12), 16, 2, (b"sBIT", bytes([12, 12, 12]))))
    with stating_bits(10):
        assert np.array_equal(read_rgb(path), picture())


def test_numbers_that_were_widened_are_taken_for_all_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(of_bits(picture(), 12) << 4, 16, 2))
    with stating_bits(12):
        assert np.abs(read_rgb(path).astype(int) - picture()).max() <= 1


@pytest.mark.parametrize("text", ["", "twelve", "7", "17", "12.0", "-12", "①", "12\n12"])
def test_another_text_in_the_file_is_refused(text: str, tmp_path: Path) -> None:
    path = dark(tmp_path)
    (tmp_path / "image-bits.txt").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=r"image-bits\.txt must hold one number, 8 to 16"):
        read_rgb(path)


def test_the_command_line_takes_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, path = tiny_bundle(tmp_path, 32, 48).path, dark(tmp_path / "in")
    words = ["run", str(path), str(tmp_path / "out.png"), "--bundle", str(bundle)]
    assert main(words) == 1
    assert "--image-bits 12" in capsys.readouterr().err
    assert main([*words, "--image-bits", "12"]) == 0
    assert main(["eval", str(bundle), str(path.parent), "--image-bits", "12", "--sigma", "25"]) == 0
    # It ends with its command.
    capsys.readouterr()
    assert main(words) == 1
    assert "--image-bits 12" in capsys.readouterr().err
    assert main([*words, "--image-bits", "17"]) == 2


def test_a_set_of_such_pictures_must_store_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        turned = np.rot90(picture(), number)[: 32 + number, :32] // (number + 1)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.png").write_bytes(png(of_bits(turned, 12), 16, 2))
    words = ["calibrate", str(tmp_path / "in"), "--name", "s", "--size", "32x32"]
    words += ["--sigma", "0", "--out", str(tmp_path), "--image-bits", "12"]
    assert main(words) == 2
    assert "with --copy (copy=True), or write the number into image-bits.txt" in (
        capsys.readouterr().err
    )
    assert main([*words, "--copy"]) == 0
    stored = [read_rgb(path) for path in (tmp_path / "s").glob("*.png")]
    assert any(np.array_equal(image, picture()[:, :32]) for image in stored)


def test_python_takes_the_number(tmp_path: Path) -> None:
    path = dark(tmp_path / "in")
    given = api.frames(path.parent, image_bits=12)
    assert np.array_equal(next(given)[:, :, ::-1], picture())
    with pytest.raises(SourceError):
        read_rgb(path)
    with pytest.raises(UsageError, match="7 is no number of bits"):
        next(api.frames(path.parent, image_bits=7))
