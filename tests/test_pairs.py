"""Which files are a pair, and which of the two is the noisy one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.pairs import (
    Alone,
    check_partners,
    find_pairs,
    has_pairs,
    look_swapped,
    noise_deviation,
    read_pair,
    swapped_in_words,
)
from edgeunet.photographs import png_of, shipped_photographs

SUFFIXES = {".png", ".mp4"}


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_of(np.zeros((4, 6, 3), np.uint8)))


def test_files_of_one_relative_name_are_a_pair(tmp_path: Path) -> None:
    names = ("b/1.png", "a.PNG", "clip.mp4")
    touch(*(tmp_path / side / name for side in ("noisy", "clean") for name in names))
    touch(tmp_path / "noisy" / "notes.txt")
    pairing = find_pairs(tmp_path, SUFFIXES, notice=print)
    assert [pair.name for pair in pairing.pairs] == ["a.PNG", "b/1.png", "clip.mp4"]
    assert pairing.pairs[1].noisy == tmp_path / "noisy" / "b" / "1.png"
    assert pairing.pairs[1].clean == tmp_path / "clean" / "b" / "1.png"
    assert pairing.alone == ()
    check_partners(pairing)


def test_files_from_a_mac_pair_with_files_from_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path / "noisy" / "e\u0301.png", tmp_path / "clean" / "\u00e9.png")
    pairing = find_pairs(tmp_path, SUFFIXES, notice=print)
    assert [pair.noisy.name for pair in pairing.pairs] == ["e\u0301.png"]
    assert pairing.alone == ()


def test_both_folders_make_a_set_of_pairs(tmp_path: Path) -> None:
    touch(tmp_path / "clean" / "a.png")
    assert not has_pairs(tmp_path)
    assert not has_pairs(tmp_path / "nowhere")
    touch(tmp_path / "noisy" / "a.png")
    assert has_pairs(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["noisy"], "has noisy/, and no clean/ beside it"),
        (["Noisy"], "has Noisy/, and no clean/ beside it"),
        (["noisy", "Clean"], "has noisy/ and Clean/"),
    ],
)
def test_half_a_set_of_pairs_is_no_set_of_clean_images(
    tmp_path: Path, names: list[str], said: str
) -> None:
    touch(*(tmp_path / name / "a.png" for name in names))
    with pytest.raises(SourceError, match=said):
        has_pairs(tmp_path)


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "noisy" / "a.png", tmp_path / "clean" / "a.png")
    touch(tmp_path / "noisy" / "b" / "c.png", tmp_path / "clean" / "d.png")
    pairing = find_pairs(tmp_path, SUFFIXES, notice=print)
    assert pairing.alone == (Alone("noisy", "b/c.png"), Alone("clean", "d.png"))
    with pytest.raises(SourceError) as caught:
        check_partners(pairing)
    assert caught.value.message == "noisy/b/c.png has no partner in clean/, nor has 1 more file"
    assert caught.value.hint == "noisy/ and clean/ hold files of the same names, suffix included"


def test_a_partner_of_another_suffix_is_none_and_is_pointed_at(tmp_path: Path) -> None:
    touch(tmp_path / "noisy" / "a.PNG", tmp_path / "clean" / "a.png")
    with pytest.raises(SourceError) as caught:
        check_partners(find_pairs(tmp_path, SUFFIXES, notice=print))
    assert caught.value.message == "noisy/a.PNG has no partner in clean/, nor has 1 more file"
    assert caught.value.hint.startswith("clean/ has a.png: noisy/ and clean/ hold files of the")


@pytest.mark.parametrize("empty", ["noisy", "clean"])
def test_an_empty_side_is_an_error(tmp_path: Path, empty: str) -> None:
    touch(tmp_path / "noisy" / "a.png", tmp_path / "clean" / "a.png")
    (tmp_path / empty / "a.png").unlink()
    with pytest.raises(SourceError) as caught:
        find_pairs(tmp_path, SUFFIXES, notice=print)
    assert caught.value.message == f"there is nothing to pair in {str(tmp_path / empty)!r}"
    assert caught.value.hint == (
        "noisy/ and clean/ hold files of the same names; supported: .mp4, .png"
    )


def test_a_pair_of_two_sizes_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "noisy" / "a.png")
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "a.png").write_bytes(png_of(np.zeros((8, 6, 3), np.uint8)))
    with pytest.raises(SourceError) as caught:
        read_pair(find_pairs(tmp_path, SUFFIXES, notice=print).pairs[0])
    assert caught.value.message == "noisy/a.png is 4x6, clean/a.png is 8x6"


@pytest.mark.parametrize("side", ["noisy", "clean"])
def test_an_image_that_cannot_be_read_is_named_with_its_side(tmp_path: Path, side: str) -> None:
    touch(tmp_path / "noisy" / "b" / "a.png", tmp_path / "clean" / "b" / "a.png")
    (tmp_path / side / "b" / "a.png").write_bytes(b"no image")
    with pytest.raises(SourceError) as caught:
        read_pair(find_pairs(tmp_path, SUFFIXES, notice=print).pairs[0])
    assert caught.value.message == f"{side}/b/a.png is not a readable image"
    assert caught.value.hint == "replace it, or remove both files of the pair"


def noisier(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(shipped_photographs()))
def test_the_noisier_image_is_known_from_the_other(name: str) -> None:
    clean = shipped_photographs()[name]
    noisy = noisier(clean, 3)
    assert look_swapped(clean, noisy)
    assert not look_swapped(noisy, clean)
    assert not look_swapped(clean, clean)


def test_the_deviation_is_that_of_white_noise_on_something_smooth() -> None:
    rows, columns = np.mgrid[0:200, 0:300]
    smooth = np.stack([100 + rows / 4, 60 + columns / 4, 80 + rows / 8], axis=2).astype(np.uint8)
    noisy = noisier(smooth, 12)
    # The mean of three independent channels has a deviation of sigma / sqrt(3).
    assert noise_deviation(noisy) == pytest.approx(12 / np.sqrt(3), rel=0.15)


def test_images_that_are_too_small_to_tell_do_not_look_swapped() -> None:
    for side in (1, 2, 3, 5, 11):
        black = np.zeros((side, side, 3), np.uint8)
        assert noise_deviation(black) == 0
        assert not look_swapped(black, black)


def test_swapped_pairs_in_words() -> None:
    assert swapped_in_words(["a"]) == "1 pair looks swapped, clean/ is noisier than noisy/: a"
    assert swapped_in_words(list("abcdefg")) == (
        "7 pairs look swapped, clean/ is noisier than noisy/: a, b, c, d, e and 2 more"
    )
