"""Batches of clips: the same for the same step, new noise per frame, and all kinds of scenes."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.schedules import CameraTable, ClipsTable, TrainTable
from edgeunet.train.clip_crops import ClipCrops
from edgeunet.train.clip_folders import Clip, hold_out_clips
from edgeunet.train.crops import VOID
from tests.train.toys import labelled_samples, toy_photographs, toy_samples

SIZES = ((40, 48), (48, 40), (44, 60))
TABLE = TrainTable(steps=20, batch=4, crop=16, sigma=(20.0, 20.0), seed=5, clips=ClipsTable())
REAL = ClipsTable(still=0.0, pans=0.0, passing=0.0, cuts=0.0, strides=0.0, gate_steps=4)


def clips(number: int = 3, frames: int = 12) -> list[Clip]:
    """Pictures that move one column to the left in each frame."""
    return [
        Clip(str(index), [np.roll(picture, -step, axis=1) for step in range(frames)])
        for index, picture in enumerate(toy_photographs(SIZES * (number // 3 + 1))[:number])
    ]


def crops(plan: ClipsTable = REAL, table: TrainTable = TABLE, *, process: int = 0) -> ClipCrops:
    samples = labelled_samples(SIZES)
    return ClipCrops(clips(), samples, table, plan, process=process)


def test_a_batch_depends_on_seed_step_and_process_only() -> None:
    one, other = crops(ClipsTable()), crops(ClipsTable())
    other.batch(0)
    for step in (0, 7, 19):
        first, second = one.batch(step), other.batch(step)
        assert np.array_equal(first.noisy, second.noisy)
        assert np.array_equal(first.clean, second.clean)
    assert not np.array_equal(crops(process=1).batch(3).noisy, crops().batch(3).noisy)
    reseeded = msgspec.structs.replace(TABLE, seed=6)
    assert not np.array_equal(crops(table=reseeded).batch(3).noisy, crops().batch(3).noisy)


def test_clips_grow_while_their_number_shrinks() -> None:
    made = crops()
    shapes = [(made.batch(step).frames, len(made.batch(step).clean)) for step in range(20)]
    assert shapes[:3] == [(3, 12)] * 3
    assert shapes[-1] == (10, 10)
    assert [frames for frames, _ in shapes] == sorted(frames for frames, _ in shapes)


def test_noise_is_new_in_every_frame_and_as_strong() -> None:
    batch = crops().batch(0)
    noise = ((batch.noisy - batch.clean) * 255).reshape(-1, batch.frames, 3 * 16 * 16)
    for clip in noise:
        assert clip.std(axis=1) == pytest.approx(20, rel=0.15)
        for one in range(batch.frames - 1):
            assert abs(np.corrcoef(clip[one], clip[one + 1])[0, 1]) < 0.2


def test_real_clips_move() -> None:
    batch = crops().batch(1)
    clean = batch.clean.reshape(-1, batch.frames, 3, 16, 16)
    assert all(not np.array_equal(clip[0], clip[1]) for clip in clean)


def test_the_share_of_photographs_with_labels() -> None:
    samples = [*toy_samples([(40, 48)] * 9), *labelled_samples([(40, 48)])]
    still = msgspec.structs.replace(REAL, still=1.0)
    for share, expected in ((None, 0.1), (0.75, 0.75), (1.0, 1.0)):
        table = msgspec.structs.replace(TABLE, batch=32, labelled_share=share)
        made = ClipCrops(clips(), samples, table, still)
        first_labels = np.concatenate(
            [batch.labels[:: batch.frames] for batch in map(made.batch, range(20))]
        )
        labelled = (first_labels != VOID).any(axis=(1, 2))
        assert float(labelled.mean()) == pytest.approx(expected, abs=0.06)


def test_still_clips_stay_with_their_labels() -> None:
    batch = crops(msgspec.structs.replace(REAL, still=1.0)).batch(0)
    clean = batch.clean.reshape(-1, batch.frames, 3, 16, 16)
    labels = batch.labels.reshape(-1, batch.frames, 16, 16)
    for index in range(1, batch.frames):
        assert np.array_equal(clean[:, 0], clean[:, index])
        assert np.array_equal(labels[:, 0], labels[:, index])
    assert (labels != VOID).any()


def test_panned_clips_are_one_picture_that_moves_slowly() -> None:
    batch = crops(msgspec.structs.replace(REAL, pans=1.0)).batch(19)
    for clip in batch.clean.reshape(-1, batch.frames, 3, 16, 16):
        for before, now in itertools.pairwise(clip):
            shifts = [
                np.abs(np.roll(before, (down, right), (1, 2)) - now)[:, 2:-2, 2:-2].max()
                for down in range(-2, 3)
                for right in range(-2, 3)
            ]
            assert min(shifts) < 1e-6


def test_something_passes_in_front_of_what_stays() -> None:
    batch = crops(msgspec.structs.replace(REAL, passing=1.0)).batch(0)
    clean = batch.clean.reshape(-1, batch.frames, 3, 16, 16)
    changed = np.abs(clean[:, 1:] - clean[:, :-1]).max(axis=2) > 0
    assert 0 < changed.mean() < 0.9


def test_a_cut_changes_the_scene_once() -> None:
    plan = msgspec.structs.replace(REAL, still=1.0, cuts=1.0)
    batch = crops(plan).batch(0)
    clean = batch.clean.reshape(-1, batch.frames, 3, 16, 16)
    changes = [sum(not np.array_equal(a, b) for a, b in itertools.pairwise(clip)) for clip in clean]
    assert max(changes) == 1
    assert sum(changes) >= len(changes) - 1  # both scenes may be the same


def test_a_camera_keeps_its_settings_and_draws_new_noise() -> None:
    table = msgspec.structs.replace(TABLE, camera=CameraTable(share=1.0, gain=(1e-2, 2e-2)))
    plan = msgspec.structs.replace(REAL, still=1.0)
    big = [Clip("big", [np.tile(picture, (2, 2, 1)) for picture in clips()[0].frames])]
    batch = ClipCrops(big, [], table, plan).batch(0)
    clean = batch.clean.reshape(-1, batch.frames, 3, 16, 16)
    noisy = batch.noisy.reshape(-1, batch.frames, 3, 16, 16)
    assert np.array_equal(clean[:, 0], clean[:, 1])
    assert not np.array_equal(noisy[:, 0], noisy[:, 1])


def test_clips_that_are_too_small_are_refused() -> None:
    small = [Clip("small", [picture[:20, :20] for picture in clips()[0].frames])]
    with pytest.raises(SourceError, match="no clip to train on is at least 32 pixels") as caught:
        ClipCrops(small, [], TABLE, REAL)
    assert "smaller crop" in caught.value.hint


def test_every_sixth_clip_is_held_out_from_the_third_on() -> None:
    training, held_out = hold_out_clips(clips(12))
    assert [clip.name for clip in held_out] == ["2", "8"]
    assert len(training) == 10
    assert hold_out_clips(clips(2))[1] == []
