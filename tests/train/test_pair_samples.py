"""Real pairs to train on: what is taken, skipped and warned of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.train.sample_folders import load_samples
from edgeunet.train.samples import hold_out
from tests.evaluate.drawn_sets import picture, with_noise, write, write_pairs
from tests.train.toys import toy_recipe

DENOISE = toy_recipe()


def test_a_sample_has_its_noisy_partner(tmp_path: Path) -> None:
    named: list[str] = []
    samples = load_samples([write_pairs(tmp_path)], DENOISE, notice=named.append)
    assert named == []
    for index, sample in enumerate(samples):
        assert np.array_equal(sample.image, picture(index))
        assert sample.noisy is not None
        assert np.array_equal(sample.noisy, with_noise(picture(index), index, 6 + 2 * index))
    assert len(samples) == 3


def test_a_held_out_pair_is_cropped_alike(tmp_path: Path) -> None:
    samples = load_samples([write_pairs(tmp_path)], DENOISE, notice=print)
    _, (held,) = hold_out(samples, side=16)
    assert held.noisy is not None
    assert np.array_equal(held.noisy, with_noise(picture(), 0, 6)[:16, :16])
    assert np.array_equal(held.image, picture()[:16, :16])


def test_what_is_wrong_is_named_and_skipped(tmp_path: Path) -> None:
    write_pairs(tmp_path, 4)
    (tmp_path / "clean" / "image_1.png").unlink()
    write(tmp_path / "clean" / "image_2.png", picture(0, 24, 30))
    (tmp_path / "noisy" / "image_3.png").write_bytes(b"no image")
    named: list[str] = []
    (sample,) = load_samples([tmp_path], DENOISE, notice=named.append)
    assert np.array_equal(sample.image, picture(3))
    assert named == [
        "noisy/image_1.png has no partner in clean/: skipped",
        "noisy/image_2.png is 24x32, clean/image_2.png is 24x30: skipped",
        "noisy/image_3.png is not a readable image: skipped",
    ]


def test_swapped_pairs_are_warned_of_and_used(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    (tmp_path / "noisy").rename(tmp_path / "kept")
    (tmp_path / "clean").rename(tmp_path / "noisy")
    (tmp_path / "kept").rename(tmp_path / "clean")
    named: list[str] = []
    assert len(load_samples([tmp_path], DENOISE, notice=named.append)) == 3
    assert named == [
        f"{tmp_path}: 3 pairs look swapped, clean/ is noisier than noisy/: "
        "image_1.png, image_2.png, image_3.png"
    ]


def test_an_empty_side_is_an_error(tmp_path: Path) -> None:
    write_pairs(tmp_path, 1)
    (tmp_path / "noisy" / "image_1.png").unlink()
    with pytest.raises(SourceError, match="there is nothing to pair in '.*noisy'"):
        load_samples([tmp_path], DENOISE, notice=print)
    write(tmp_path / "noisy" / "other.png", picture())
    with pytest.raises(SourceError, match="no training image can be read"):
        load_samples([tmp_path], DENOISE, notice=print)
