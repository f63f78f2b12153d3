"""Batches through a camera: what they depend on, and that a second process makes the same."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

pytest.importorskip("colour_demosaicing", reason="edgeunet[train] has it")
pytest.importorskip("av", reason="edgeunet[train] codes H.264 with it")

from edgeunet.photographs import shipped_photographs
from edgeunet.schedules import CameraTable, GrowthTable
from edgeunet.train.crops import Batch, Crops
from edgeunet.train.loading import batches
from edgeunet.train.samples import Sample
from tests.train.toys import TABLE

CAMERA = CameraTable(share=0.7, resize_share=0.5, jpeg_share=0.6, h264_share=0.3)
CAMERAS = msgspec.structs.replace(
    TABLE, batch=4, crop=32, camera=CAMERA, growth=(GrowthTable(start=0.3, crop=41, batch=3),)
)


def samples(*, labelled: bool = False) -> list[Sample]:
    found = []
    for number, photograph in enumerate(shipped_photographs().values()):
        image = np.ascontiguousarray(photograph[100:260, 100:290])
        labels = (image[:, :, 0] // 32).astype(np.uint8) if labelled else None
        found.append(Sample(image, labels, number if labelled else None))
    return found


def equal(one: Batch, other: Batch) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("clean", "noisy", "labels", "numbers")
    )


@pytest.mark.parametrize("labelled", [False, True])
def test_a_batch_depends_on_seed_step_and_process_only(labelled: bool) -> None:
    first, second = (Crops(samples(labelled=labelled), CAMERAS) for _ in range(2))
    second.batch(1)  # what was drawn before must not matter
    for step in (5, 0):
        assert equal(first.batch(step), second.batch(step))
    assert not equal(first.batch(0), first.batch(1))
    others = (
        Crops(samples(labelled=labelled), msgspec.structs.replace(CAMERAS, seed=4)),
        Crops(samples(labelled=labelled), CAMERAS, process=1),
    )
    assert not any(equal(first.batch(0), other.batch(0)) for other in others)


def test_batches_of_a_second_process_are_the_same() -> None:
    crops = Crops(samples(), CAMERAS)
    ahead = list(batches(crops, range(6), ahead=True))
    assert len(ahead) == 6
    assert [batch.clean.shape[-1] for batch in ahead] == [32] * 4 + [41] * 2
    for step, batch in enumerate(ahead):
        assert equal(batch, crops.batch(step))


def test_labels_stay_at_their_pixels() -> None:
    """Labels are the scene's red in steps, so those of a clean crop follow its brightness."""
    whole = msgspec.structs.replace(
        CAMERAS,
        batch=16,
        camera=msgspec.structs.replace(
            CAMERA, share=1.0, tone=(0.0, 0.0), lens=(0.0, 0.0), smooths_scene=0.0
        ),
    )
    batch = Crops(samples(labelled=True), whole).batch(0)
    # Where labels hardly change, their steps are coarser than the scene.
    varied = [
        np.corrcoef(red.ravel(), labels.ravel())[0, 1]
        for red, labels in zip(batch.clean[:, 0], batch.labels, strict=True)
        if labels.std() > 1
    ]
    assert len(varied) >= 3
    assert min(varied) > 0.8


def test_every_crop_through_the_camera_is_in_bytes_and_noisy() -> None:
    whole = msgspec.structs.replace(
        CAMERAS, batch=16, camera=msgspec.structs.replace(CAMERA, share=1.0)
    )
    batch = Crops(samples(), whole).batch(0)
    levels = batch.noisy.astype(float) * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert (np.abs(batch.noisy - batch.clean).mean(axis=(1, 2, 3)) > 1e-3).all()
