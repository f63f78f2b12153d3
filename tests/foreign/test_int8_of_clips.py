"""INT8 of networks that read several frames: ranges of clips, with the frames before each."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import edgeunet as api
from edgeunet.bundle import open_bundle
from edgeunet.calibration import load_calibration_set
from edgeunet.calibration.set_frames import clips
from edgeunet.convert.recalled_inputs import FramesBefore
from edgeunet.errors import UsageError
from edgeunet.specs import FRAME, Image, earlier_frame
from tests.cli.command import edgeunet
from tests.foreign.frames_networks import TwoFrames
from tests.foreign.test_several_frames import by_hand, clip, write

COUNT = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Consecutive frames in ``shots/``, a set of them, and a network of two frames."""
    from skimage import io

    folder = tmp_path_factory.mktemp("clips")
    (folder / "shots").mkdir()
    for number, frame in enumerate(shots()):
        io.imsave(folder / "shots" / f"{number}.png", frame[:, :, ::-1], check_contrast=False)
    words = ("--name", "moving", "--sigma", "0", "--out", folder / "sets")
    ran = edgeunet("calibrate", folder / "shots", *words, "--consecutive")
    assert ran.code == 0, ran.err
    torch.manual_seed(4)
    write(TwoFrames(), folder / "two.onnx", {"now": 3, "before": 3})
    return folder


def shots() -> list[Image]:
    """Frames, BGR, of which each is another picture, and brighter than the one before."""
    return [np.uint8(frame * ((n + 1) / COUNT)) for n, frame in enumerate(clip(COUNT))]


def test_a_member_comes_with_the_frames_before_it(folder: Path) -> None:
    calibration = load_calibration_set(str(folder / "sets" / "moving.toml"))
    frames = shots()
    numbers = [member.frame or 0 for member in calibration.members]
    assert len(numbers) == COUNT
    found = list(clips(calibration, None, 3))
    for number, member in zip(numbers, found, strict=True):
        np.testing.assert_array_equal(member.frame, frames[number])
        wanted = frames[max(number - 3, 0) : number]
        assert len(member.before) == len(wanted)
        for given, expected in zip(member.before, wanted, strict=True):
            np.testing.assert_array_equal(given, expected)
    inputs = FramesBefore(2)(0, found[numbers.index(1)])
    for age, index in ((0, 1), (1, 0), (2, 0)):
        np.testing.assert_array_equal(inputs[earlier_frame(age)][0], frames[index])


def test_a_picture_is_the_last_frame_of_a_clip_that_is_made_of_it(folder: Path) -> None:
    made = api.make_calibration_set(
        folder / "shots", "single", folder=folder / "sets", sigmas=(0.0,)
    )
    members = list(clips(load_calibration_set(str(made.path)), None, 1))
    assert not any(member.before for member in members)
    still, moving, first = (FramesBefore(1)(n, member) for n, member in enumerate(members[:3]))
    for clip_of_one in (still, first):
        np.testing.assert_array_equal(clip_of_one[earlier_frame(1)], clip_of_one[FRAME])
    moved = np.roll(moving[FRAME], (-1, -2), (1, 2))
    np.testing.assert_array_equal(moving[earlier_frame(1)], moved)


def test_eight_bits(folder: Path, tmp_path: Path) -> None:
    """In windows and whole the same; near to the file's own answer on frames of the clip."""
    words = ("--onnx", folder / "two.onnx", "--input", "before=earlier=1", "--int8")
    own = ("--calibration", folder / "sets" / "moving.toml")
    found = []
    for name, more in (("whole", ()), ("windows", ("--tile", "24x32"))):
        target = tmp_path / f"{name}.bundle"
        ran = edgeunet("export", *words, *own, *more, "--out", target)
        assert ran.code == 0, ran.err
        manifest = open_bundle(target).manifest
        assert manifest.quantization is not None
        assert not manifest.quantization.kept or "memory" not in ran.err
        stated = [entry.frame for entry in manifest.parity if entry.metric == "psnr_db"]
        assert "astronaut, third frame" in stated
        frames = shots()
        with api.open_bundle(target) as network:
            found.append([network.run(frame)["image"] for frame in frames])
        wanted = by_hand(folder / "two.onnx", frames[-2:])
        assert np.abs(found[-1][-1].astype(float) - wanted).mean() < 3
    np.testing.assert_array_equal(found[0], found[1])


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    words = ("--onnx", folder / "two.onnx", "--input", "before=earlier=1", "--int8")
    own = ("--calibration", folder / "sets" / "moving.toml")
    ran = edgeunet("export", *words, *own, "--max-drop", "0.1", "--out", tmp_path / "n.bundle")
    assert ran.failure[0].startswith("--max-drop is a loss of PSNR to a frame without noise, and t")
    with pytest.raises(UsageError, match="copies of chosen frames are not consecutive"):
        api.make_calibration_set(folder / "shots", "copied", copy=True, consecutive=True)
    shutil.copytree(folder / "shots", tmp_path / "shots")
    shutil.copytree(folder / "sets", tmp_path / "sets", ignore=shutil.ignore_patterns("ranges"))
    (tmp_path / "shots" / "9.png").unlink()
    gone = ("--calibration", tmp_path / "sets" / "moving.toml", "--out", tmp_path / "n.bundle")
    ran = edgeunet("export", *words, *gone)
    assert ran.failure[0].endswith("of calibration set 'moving': the folder has 9 pictures")
