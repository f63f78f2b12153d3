"""Folders of real pairs: what is paired, cropped, left out and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.evaluate.backends import Head
from edgeunet.evaluate.image_folders import FolderData
from edgeunet.evaluate.named_set import holds_pairs, open_data
from edgeunet.evaluate.paired import PairData
from edgeunet.evaluate.truth import PAIRS, Fit
from edgeunet.photographs import read_photograph
from edgeunet.specs import Task
from tests.evaluate.drawn_sets import picture, with_noise, write, write_labelled, write_pairs
from tests.media.clips import read_video, write_frames

HEADS = (Head("denoised", Task.DENOISE),)


def opened(
    folder: Path,
    frame: tuple[int, int] | None = None,
    fit: Fit = Fit.CROP,
    limit: int | None = None,
) -> PairData:
    data = open_data(str(folder), HEADS, frame=frame, fit=fit, limit=limit)
    assert isinstance(data, PairData)
    return data


def failure(folder: Path, frame: tuple[int, int] | None = None, fit: Fit = Fit.CROP) -> str:
    with pytest.raises(SourceError) as caught:
        opened(folder, frame, fit)
    assert caught.value.hint
    return caught.value.message


def write_clips(folder: Path, frames: int = 3, clean_frames: int | None = None) -> Path:
    """Write a noisy clip and a clean one, lossless."""
    pictures = [picture(index) for index in range(frames)]
    for side in ("noisy", "clean"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    write_frames(folder / "clean" / "a.mkv", pictures[:clean_frames])
    noisy = [with_noise(pixels, index) for index, pixels in enumerate(pictures)]
    write_frames(folder / "noisy" / "a.mkv", noisy)
    return folder


def test_pairs_come_in_natural_order_with_both_images(tmp_path: Path) -> None:
    for index in (10, 2):
        write(tmp_path / "clean" / "deep" / f"frame_{index}.png", picture(index))
        write(tmp_path / "noisy" / "deep" / f"frame_{index}.png", with_noise(picture(index)))
    data = opened(tmp_path)
    samples = list(data)
    assert (data.kind, data.count, data.consecutive, data.swapped) == (PAIRS, 2, False, [])
    names = [(sample.index, sample.name) for sample in samples]
    assert names == [(0, "deep/frame_2.png"), (1, "deep/frame_10.png")]
    np.testing.assert_array_equal(samples[0].clean, picture(2).transpose(2, 0, 1))
    assert samples[0].noisy is not None
    np.testing.assert_array_equal(samples[0].noisy, with_noise(picture(2)).transpose(2, 0, 1))
    assert samples[0].sequence == samples[1].sequence


def test_both_images_are_cropped_alike(tmp_path: Path) -> None:
    data = opened(write_pairs(tmp_path, 1), (16, 20))
    (sample,) = data
    assert data.cropped == 1
    noisy = read_photograph(tmp_path / "noisy" / "image_1.png").transpose(2, 0, 1)
    np.testing.assert_array_equal(sample.clean, picture().transpose(2, 0, 1)[:, 4:20, 6:26])
    np.testing.assert_array_equal(sample.noisy, noisy[:, 4:20, 6:26])


def test_the_limit_and_what_does_not_fit(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    write(tmp_path / "clean" / "image_0.png", picture(0, 30, 40))
    write(tmp_path / "noisy" / "image_0.png", picture(0, 30, 40))
    data = opened(tmp_path, (24, 32), Fit.SKIP, limit=2)
    assert [sample.name for sample in data] == ["image_1.png", "image_2.png"]
    # The index, which the noise of other sets depends on, counts what was left out.
    assert [sample.index for sample in data] == [1, 2]
    assert data.left_out == ["image_0.png is 30x40, not 24x32"]
    assert failure(tmp_path, (24, 32), Fit.REFUSE) == (
        "image_0.png is 30x40, not the frame of 24x32"
    )


def test_pairs_that_are_all_too_small_are_an_error(tmp_path: Path) -> None:
    assert failure(write_pairs(tmp_path, 1, 8, 8)) == (
        f"no pair of {str(tmp_path)!r} can be evaluated: "
        "image_1.png is 8x8, SSIM needs 11 pixels on each side"
    )


def test_an_error_in_the_last_pair_shows_at_once(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    (tmp_path / "noisy" / "image_3.png").write_bytes(b"no image")
    assert failure(tmp_path) == "noisy/image_3.png is not a readable image"
    write(tmp_path / "noisy" / "image_3.png", picture(0, 24, 30))
    assert failure(tmp_path) == "noisy/image_3.png is 24x30, clean/image_3.png is 24x32"
    (tmp_path / "noisy" / "image_3.png").unlink()
    assert failure(tmp_path) == "clean/image_3.png has no partner in noisy/"


def test_swapped_pairs_are_noticed_and_evaluated(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    noisy, clean = (tmp_path / side / "image_2.png" for side in ("noisy", "clean"))
    swapped = noisy.read_bytes()
    noisy.write_bytes(clean.read_bytes())
    clean.write_bytes(swapped)
    data = opened(tmp_path)
    assert (data.count, data.swapped) == (3, ["image_2.png"])
    assert len(list(data)) == 3


def test_the_frames_of_two_clips_are_pairs(tmp_path: Path) -> None:
    data = opened(write_clips(tmp_path))
    assert (data.count, data.consecutive) == (3, True)
    samples = list(data)
    names = [(sample.index, sample.name) for sample in samples]
    assert names == [(index, f"a.mkv frame {index}") for index in range(3)]
    assert {sample.sequence for sample in samples} == {"a.mkv"}
    for side in ("clean", "noisy"):
        frames, _ = read_video(tmp_path / side / "a.mkv")
        for sample, frame in zip(samples, frames, strict=True):
            wanted = frame[:, :, ::-1].transpose(2, 0, 1)
            np.testing.assert_array_equal(getattr(sample, side), wanted)


def test_images_beside_clips_are_not_all_consecutive(tmp_path: Path) -> None:
    data = opened(write_pairs(write_clips(tmp_path), 1), limit=2)
    assert (data.count, data.consecutive) == (2, True)
    data = opened(tmp_path)
    assert (data.count, data.consecutive) == (4, False)
    assert [sample.index for sample in data] == [0, 1, 2, 3]


@pytest.mark.parametrize(("frames", "clean_frames"), [(3, 2), (5, 1)])
def test_clips_of_different_lengths_are_an_error(
    tmp_path: Path, frames: int, clean_frames: int
) -> None:
    write_clips(tmp_path, frames, clean_frames)
    assert failure(tmp_path) == (
        f"clean/a.mkv ends after {clean_frames} frame{'s' if clean_frames > 1 else ''}, "
        "noisy/a.mkv does not"
    )


def test_a_limit_does_not_reach_the_end_of_clips(tmp_path: Path) -> None:
    data = opened(write_clips(tmp_path, 3, 2), limit=2)
    assert len(list(data)) == data.count == 2


def test_clips_of_different_sizes_are_an_error(tmp_path: Path) -> None:
    write_clips(tmp_path)
    write_frames(tmp_path / "noisy" / "a.mkv", [picture(0, 48, 32)] * 3)
    assert failure(tmp_path) == "noisy/a.mkv is 48x32, clean/a.mkv is 24x32"


def test_a_clip_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_clips(tmp_path)
    (tmp_path / "noisy" / "a.mkv").write_bytes(b"no video")
    assert failure(tmp_path).startswith(f"{str(tmp_path / 'noisy' / 'a.mkv')!r} is not a video")


def test_labels_and_classes_come_before_pairs(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    assert holds_pairs(tmp_path, HEADS)
    # A network that tells noisy images from clean ones.
    heads = (Head("kind", Task.CLASSIFY, ("noisy", "clean")),)
    assert not holds_pairs(tmp_path, heads)
    data = open_data(str(tmp_path), heads, frame=None)
    assert [sample.true_class for sample in data] == [0, 0, 0, 1, 1, 1]
    write_labelled(tmp_path)
    assert isinstance(open_data(str(tmp_path), HEADS, frame=None), FolderData)
