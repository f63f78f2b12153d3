from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.evaluate.backends import Head
from edgeunet.evaluate.clips import ClipData
from edgeunet.evaluate.image_folders import CLASSIFIED, LABELLED, PLAIN, open_folder
from edgeunet.evaluate.named_set import open_data
from edgeunet.evaluate.truth import Fit
from edgeunet.specs import ClassLabel, Task
from tests.evaluate.drawn_sets import brightest, picture, write, write_folder, write_labelled

CLASSES = tuple(ClassLabel(name, (0, 0, 0)) for name in ("blue", "green", "red"))


def _opened(path: Path, **more: Any) -> Any:
    options: dict[str, Any] = {"classes": (), "segments": (), "frame": None, "fit": Fit.CROP}
    return open_folder(path, **{**options, **more})


def _failure(path: Path, **more: Any) -> tuple[str, str]:
    with pytest.raises(SourceError) as caught:
        _opened(path, **more)
    return caught.value.message, caught.value.hint


def test_a_plain_folder(tmp_path: Path) -> None:
    for index in (10, 2):
        write(tmp_path / "deep" / f"frame_{index}.png", picture(index))
    data = _opened(tmp_path)
    samples = list(data)
    assert (data.kind, data.count, data.consecutive) == (PLAIN, 2, False)
    assert [(sample.index, sample.name) for sample in samples] == [
        (0, "deep/frame_2.png"),
        (1, "deep/frame_10.png"),
    ]
    np.testing.assert_array_equal(samples[0].clean, picture(2).transpose(2, 0, 1))
    assert samples[0].labels is None
    assert samples[0].sequence == samples[1].sequence


def test_broken_images_are_left_out_and_others_keep_their_noise(tmp_path: Path) -> None:
    write_folder(tmp_path, 3)
    (tmp_path / "image_2.png").write_bytes(b"no image")
    write(tmp_path / "image_0.png", picture(0, 8, 8))
    data = _opened(tmp_path)
    assert [sample.index for sample in data] == [1, 3]
    assert data.left_out == [
        "image_0.png is 8x8, SSIM needs 11 pixels on each side",
        "image_2.png is not a readable image",
    ]


def test_the_limit_counts_what_takes_part(tmp_path: Path) -> None:
    write_folder(tmp_path, 3)
    (tmp_path / "image_1.png").write_bytes(b"no image")
    assert [sample.name for sample in _opened(tmp_path, limit=1)] == ["image_2.png"]


def test_a_folder_of_broken_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    message, hint = _failure(tmp_path)
    assert message == (
        f"no image of {str(tmp_path)!r} can be evaluated: a.png is not a readable image"
    )
    assert hint == "give 8-bit images"


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    message, hint = _failure(tmp_path)
    assert message == f"there are no images in {str(tmp_path)!r}"
    assert hint.startswith("supported: ")


def test_larger_images_and_labels_are_cropped_to_the_centre(tmp_path: Path) -> None:
    write_labelled(tmp_path, 1)
    data = _opened(tmp_path, segments=CLASSES, frame=(16, 20))
    (sample,) = data
    assert data.cropped == 1
    np.testing.assert_array_equal(sample.clean, picture().transpose(2, 0, 1)[:, 4:20, 6:26])
    np.testing.assert_array_equal(sample.labels, brightest(picture())[4:20, 6:26])


def test_a_smaller_image_is_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path, 1)
    write(tmp_path / "tall.png", picture(0, 40, 16))
    message, hint = _failure(tmp_path, frame=(24, 32))
    assert message == "tall.png is 40x16, which is smaller than the frame of 24x32"
    assert hint.startswith("--fit skip leaves it out")


def test_skip_leaves_other_sizes_out_and_names_them(tmp_path: Path) -> None:
    write_folder(tmp_path, 1)
    write(tmp_path / "tall.png", picture(0, 40, 16))
    data = _opened(tmp_path, frame=(24, 32), fit=Fit.SKIP)
    assert [sample.name for sample in data] == ["image_1.png"]
    assert data.left_out == ["tall.png is 40x16, not 24x32"]


def test_refuse_accepts_only_the_frames_size(tmp_path: Path) -> None:
    write_folder(tmp_path, 1)
    message, _ = _failure(tmp_path, frame=(16, 16), fit=Fit.REFUSE)
    assert message == "image_1.png is 24x32, not the frame of 16x16"
    assert _opened(tmp_path, frame=(24, 32), fit=Fit.REFUSE).count == 1


def test_labels_are_read_for_a_network_that_gives_them(tmp_path: Path) -> None:
    write_labelled(tmp_path)
    data = _opened(tmp_path, segments=CLASSES)
    assert (data.kind, data.count) == (LABELLED, 2)
    np.testing.assert_array_equal(next(iter(data)).labels, brightest(picture()))
    plain = _opened(tmp_path)
    assert (plain.kind, plain.count) == (PLAIN, 2)
    assert next(iter(plain)).labels is None


def test_missing_labels_are_an_error(tmp_path: Path) -> None:
    write_labelled(tmp_path)
    missing = tmp_path / "labels" / "image_2.png"
    missing.unlink()
    message, hint = _failure(tmp_path, segments=CLASSES)
    assert message == f"image_2.png has no labels: there is no {str(missing)!r}"
    assert hint == (
        "every file in images/ needs a .png of the same name in labels/, in the same sub-folder"
    )


def test_labels_of_another_size_are_an_error(tmp_path: Path) -> None:
    write_labelled(tmp_path)
    write(tmp_path / "labels" / "image_2.png", brightest(picture(0, 12, 16)))
    message, hint = _failure(tmp_path, segments=CLASSES)
    assert message == "the labels of image_2.png are 12x16, the image is 24x32"
    assert hint == "a label image has its image's size"


def test_labels_in_colour_are_an_error(tmp_path: Path) -> None:
    write_labelled(tmp_path)
    write(tmp_path / "labels" / "image_1.png", picture())
    message, _ = _failure(tmp_path, segments=CLASSES)
    assert message.startswith(
        "the labels of image_1.png cannot be read: image_1.png is not a label image: its colour "
    )


def test_folders_of_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "dog", 2)
    write_folder(tmp_path / "cat", 1)
    write_folder(tmp_path / ".thumbnails", 1)
    data = _opened(tmp_path, classes=("cat", "dog", "cow"))
    assert data.kind == CLASSIFIED
    assert [(sample.name, sample.true_class) for sample in data] == [
        ("cat/image_1.png", 0),
        ("dog/image_1.png", 1),
        ("dog/image_2.png", 1),
    ]


def test_a_folder_that_is_no_class_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "cat", 1)
    write_folder(tmp_path / "dogs", 1)
    message, hint = _failure(tmp_path, classes=("cat", "dog"))
    assert message == f"the folder 'dogs' in {str(tmp_path)!r} is no class of the network"
    assert hint == "did you mean 'dog'? classes: cat, dog"


def test_empty_class_folders_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    message, _ = _failure(tmp_path, classes=("cat", "dog"))
    assert message == f"there are no images in {str(tmp_path)!r}"


HEADS = (Head("denoised", Task.DENOISE),)


def test_a_pattern_is_a_clip() -> None:
    data = open_data("test://?size=24x32&frames=3", HEADS, frame=(16, 32))
    assert isinstance(data, ClipData)
    assert (data.count, data.consecutive) == (3, True)
    samples = list(data)
    assert [sample.name for sample in samples] == ["frame 0", "frame 1", "frame 2"]
    assert {sample.clean.shape for sample in samples} == {(3, 16, 32)}
    assert data.cropped == 3


def test_a_glob_of_images_need_not_be_a_clip(tmp_path: Path) -> None:
    write_folder(tmp_path, 3)
    data = open_data(f"{tmp_path}/*.png", HEADS, frame=None, limit=2)
    assert isinstance(data, ClipData)
    assert (data.count, data.consecutive) == (2, False)
    np.testing.assert_array_equal(next(iter(data)).clean, picture().transpose(2, 0, 1))


def test_a_clip_of_another_size_needs_a_bundle_of_its_own() -> None:
    with pytest.raises(SourceError) as caught:
        open_data("test://?size=24x32", HEADS, frame=(32, 32))
    assert caught.value.message == (
        "test://?size=24x32 is 24x32, which is smaller than the frame of 32x32"
    )
    assert caught.value.hint == "make a bundle of its size: edgeunet export --size 24x32"
    with pytest.raises(SourceError) as caught:
        open_data("test://?size=24x32", HEADS, frame=(16, 16), fit=Fit.SKIP)
    assert caught.value.message == (
        "every frame of 'test://?size=24x32' is 24x32, which --fit skip leaves out"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "there is no file or folder 'nowhere'"),
        (
            "test://?size=24x32&live=1",
            "'test://?size=24x32&live=1' is live: there are no clean frames to compare with",
        ),
        ("test://?size=24x32&frames=0", "'test://?size=24x32&frames=0' has no end"),
        (
            "test://?size=12x12",
            "test://?size=12x12 is 12x12, which is smaller than the frame of 16x16",
        ),
    ],
)
def test_sources_that_cannot_be_evaluated(text: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_data(text, HEADS, frame=(16, 16))
    assert caught.value.message == message
