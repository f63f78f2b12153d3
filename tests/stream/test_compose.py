from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import UsageError
from edgeunet.label_colours import colour_table
from edgeunet.specs import Array, ClassLabel, Task
from edgeunet.stream.compose import Composer, View, choose_view
from edgeunet.stream.strength import Blender
from tests.bundle.tiny import tiny_manifest
from tests.media.clips import picture

EVERYTHING = (Task.DENOISE, Task.SEGMENT, Task.CLASSIFY)


def outputs() -> dict[str, Array]:
    labels = np.zeros((1, 48, 64), np.uint8)
    labels[0, :, 32:] = 2
    return {
        "denoised": picture(9)[np.newaxis],
        "labels": labels,
        "scores": np.array([[0.1, 0.7, 0.2]], np.float32),
    }


def composed(view: View, tasks: tuple[Task, ...] = EVERYTHING[:2]) -> np.ndarray:
    return Composer(tiny_manifest(48, 64, tasks), view).image(picture(1), outputs())


def test_views_are_chosen_by_what_the_bundle_has() -> None:
    assert choose_view(None, tiny_manifest(8, 8)) is View.DENOISED
    assert choose_view(None, tiny_manifest(8, 8, (Task.SEGMENT,))) is View.OVERLAY
    assert choose_view("side-by-side", tiny_manifest(8, 8)) is View.SIDE_BY_SIDE
    with pytest.raises(UsageError, match="there is no view 'overlya'") as unknown:
        choose_view("overlya", tiny_manifest(8, 8))
    assert unknown.value.hint == (
        "did you mean 'overlay'? known: denoised, labels, overlay, side-by-side"
    )
    with pytest.raises(UsageError, match="no segment output, so there is no view 'labels'") as none:
        choose_view("labels", tiny_manifest(8, 8, (Task.DENOISE,)))
    assert none.value.hint == "its views: denoised, overlay, side-by-side"


def test_denoised_is_the_networks_own_output() -> None:
    assert np.array_equal(composed(View.DENOISED), picture(9))


def test_labels_have_the_colours_of_their_classes() -> None:
    image = composed(View.LABELS)
    assert image[0, 0].tolist() == [250, 0, 0]  # blue, in BGR
    assert image[0, 63].tolist() == [0, 0, 250]


def test_overlay_is_half_of_each() -> None:
    image = composed(View.OVERLAY)
    assert image.shape == (48, 64, 3)
    assert image[5, 7].tolist() == (picture(9)[5, 7] // 2 + np.array([125, 0, 0])).tolist()
    over_input = composed(View.OVERLAY, (Task.SEGMENT,))
    assert over_input[5, 7].tolist() == (picture(1)[5, 7] // 2 + np.array([125, 0, 0])).tolist()


def test_a_class_is_written_into_the_picture_and_not_into_the_frame() -> None:
    frame = picture(1)
    manifest = tiny_manifest(48, 64, (Task.CLASSIFY,))
    image = Composer(manifest, View.OVERLAY).image(frame, outputs())
    assert np.array_equal(frame, picture(1))
    assert not np.array_equal(image, frame)
    assert np.array_equal(image[:20], frame[:20])


def test_side_by_side_is_twice_as_wide() -> None:
    composer = Composer(tiny_manifest(48, 64), View.SIDE_BY_SIDE)
    assert (composer.height, composer.width) == (48, 128)
    image = composer.image(picture(1), outputs())
    assert np.array_equal(image[:20, :64], picture(1)[:20])
    assert np.array_equal(image[:20, 66:], picture(9)[:20, 2:])


def test_classes_without_colours_get_different_ones() -> None:
    table = colour_table([ClassLabel("a", (0, 0, 0)), ClassLabel("b", (0, 0, 0))])
    assert len({tuple(row) for row in table[:32].tolist()}) == 32
    named = colour_table([ClassLabel("road", (0, 0, 0)), ClassLabel("car", (10, 20, 30))])
    assert named[:2].tolist() == [[0, 0, 0], [30, 20, 10]]


def enlarging_manifest() -> Manifest:
    manifest = tiny_manifest(48, 64, EVERYTHING[:2])
    image, labels = manifest.outputs
    large = msgspec.structs.replace(image, shape=(1, 96, 128, 3))
    return msgspec.structs.replace(manifest, outputs=(large, labels))


@pytest.mark.parametrize("view", View)
def test_a_larger_image_keeps_its_size_beside_the_frame(view: View) -> None:
    composer = Composer(enlarging_manifest(), view)
    large = picture(9).repeat(2, axis=0).repeat(2, axis=1)
    image = composer.image(picture(1), {**outputs(), "denoised": large[np.newaxis]})
    assert image.shape[:2] == (composer.height, composer.width)
    if view is View.DENOISED:
        assert np.array_equal(image, large)
    elif view is View.LABELS:
        assert image.shape == (48, 64, 3)
    elif view is View.OVERLAY:
        assert np.array_equal(image[::2, ::2], composed(view))
    else:
        assert image.shape == (96, 256, 3)
        assert np.array_equal(image[:60, 140:], large[:60, 12:])
        assert np.array_equal(image[:60:2, :128:2], picture(1)[:30])


def test_a_strength_needs_an_image_of_the_frames_size() -> None:
    with pytest.raises(UsageError, match="has no denoised output of the frame's size"):
        Blender(0.5, enlarging_manifest())
