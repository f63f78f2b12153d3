"""Every number of a schedule has limits, and what is beyond them is named."""

from __future__ import annotations

import math
from typing import Any, get_type_hints

import msgspec
import numpy as np
import pytest

from edgeunet.schedules import CameraTable, ClipsTable, TrainTable, schedule_problems

RANGES = {
    "reduction": (1 / 64, 1),
    "gain": (1e-9, 1),
    "lens": (0, 64),
    "exposure": (-16, 0),
    "row": (0, 100),
    "bits": (1, 16),
    "red_gain": (1 / 64, 64),
    "blue_gain": (1 / 64, 64),
    "tone": (0, 1),
    "resize": (0.25, 4),
    "luma_smoothing": (0, 64),
    "chroma_smoothing": (0, 64),
    "wide_share": (0, 1),
    "sharpening": (0, 100),
    "jpeg": (1, 100),
    "h264": (0, 51),
}
SHARES = ("share", "resize_share", "smooths_scene", "halves_colours", "jpeg_share", "h264_share")


def problems(camera: CameraTable) -> list[str]:
    return list(schedule_problems(TrainTable(steps=1, camera=camera), ["denoised"], 16))


def test_every_field_of_a_camera_is_held_to_limits() -> None:
    assert {*RANGES, *SHARES, "demosaic"} == set(get_type_hints(CameraTable))
    assert problems(CameraTable()) == []


@pytest.mark.parametrize("name", RANGES)
def test_a_range_rises_between_its_limits(name: str) -> None:
    least, most = RANGES[name]
    for good in ((least, most), (least, least), (most, most)):
        assert problems(msgspec.structs.replace(CameraTable(), **{name: good})) == []
    below, above = math.nextafter(least, -math.inf), math.nextafter(most, math.inf)
    for bad in (
        *((below, most), (least, above), (most, least)),
        *((math.nan, most), (least, math.nan), (-math.inf, most), (least, math.inf)),
    ):
        assert problems(msgspec.structs.replace(CameraTable(), **{name: bad})) == [
            f"[train.camera] {name} must be two numbers, rising, from {least:g} to {most:g}"
        ]


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_from_0_to_1(name: str) -> None:
    nothing = CameraTable(jpeg_share=0, h264_share=0)
    for good in (0.0, 1.0):
        assert problems(msgspec.structs.replace(nothing, **{name: good})) == []
    for bad in (-0.1, 1.1, math.nan, math.inf):
        found = problems(msgspec.structs.replace(nothing, **{name: bad}))
        assert found[0] == f"[train.camera] {name} must be from 0 to 1"


def test_no_shot_is_coded_twice() -> None:
    assert problems(CameraTable(jpeg_share=0.7, h264_share=0.3)) == []
    assert problems(CameraTable(jpeg_share=0.7, h264_share=0.4)) == [
        "[train.camera] jpeg_share and h264_share must not be more than 1 together"
    ]


def test_a_camera_demosaics_somehow() -> None:
    assert problems(CameraTable(demosaic=())) == [
        "[train.camera] demosaic must name at least one kind"
    ]


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("name", RANGES)
def test_a_camera_at_its_limits_takes_a_picture(name: str, end: int) -> None:
    pytest.importorskip("colour_demosaicing", reason="edgeunet[train] has it")
    pytest.importorskip("av", reason="edgeunet[train] codes H.264 with it")
    from edgeunet.train.crops import Crops
    from edgeunet.train.samples import Sample

    limit = RANGES[name][end]
    camera = msgspec.structs.replace(
        CameraTable(share=1, resize_share=1, jpeg_share=float(name != "h264")),
        **{name: (limit, limit)},
    )
    camera = msgspec.structs.replace(camera, h264_share=1 - camera.jpeg_share)
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    batch = Crops([Sample(image)], TrainTable(steps=1, batch=3, crop=16, camera=camera)).batch(0)
    assert np.isfinite(batch.noisy).all()
    assert np.isfinite(batch.clean).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": (1, 4)}, "frames must be two numbers, rising, from 2 to 100"),
        ({"frames": (5, 4)}, "frames must be two numbers, rising, from 2 to 100"),
        ({"gate_steps": -1}, "gate_steps must be at least 0"),
        ({"gate_learning_rate": 0.0}, "gate_learning_rate must be a number above 0"),
        ({"flicker_weight": -0.1}, "flicker_weight must be a number from 0"),
        ({"cuts": math.nan}, "cuts must be from 0 to 1"),
        ({"still": 0.6, "pans": 0.5}, "still, pans and passing must not be more than 1 together"),
    ],
)
def test_clips_are_held_to_limits(changed: dict[str, Any], message: str) -> None:
    table = TrainTable(steps=1, clips=msgspec.structs.replace(ClipsTable(), **changed))
    assert list(schedule_problems(table, ["denoised"], 16)) == [f"[train.clips] {message}"]


def test_clips_grow_from_the_first_number_of_frames_to_the_last() -> None:
    clips = ClipsTable(frames=(3, 10))
    counts = [clips.frames_at(step, 80) for step in range(80)]
    assert counts[:11] == [3] * 10 + [4]
    assert counts[-1] == 10
    assert counts == sorted(counts)
