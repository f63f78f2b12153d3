"""Networks that read several frames: the executor keeps the last ones, and repeats the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import edgeunet as api
from edgeunet.bundle import open_bundle
from edgeunet.convert.network_graph import quiet_exporter
from edgeunet.specs import Array, Image
from tests.cli.command import edgeunet
from tests.foreign.frames_networks import FastDVDnet, TwoFrames, VideoOnAnAxis, WithLevel

SIZE = (32, 48)
SIGMA = 25 / 255


def write(
    network: nn.Module, path: Path, channels: dict[str, int] | dict[str, tuple[int, int]]
) -> Path:
    """channels: of every input; (frames, channels) where frames have an axis of their own."""
    sides = [count if isinstance(count, tuple) else (count,) for count in channels.values()]
    pictures = tuple(torch.rand(1, *count, *SIZE) for count in sides)
    with quiet_exporter(), torch.no_grad():
        torch.onnx.export(
            network.eval(),
            pictures,
            path,
            dynamo=False,
            opset_version=17,
            input_names=list(channels),
            output_names=["y"],
        )
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("files")
    return {
        "axis": write(VideoOnAnAxis(), folder / "axis.onnx", {"x": (3, 3)}),
        "level": write(WithLevel(), folder / "level.onnx", {"x": 4}),
        "leveled": write(WithLevel(7), folder / "leveled.onnx", {"x": 7}),
        "five": write(FastDVDnet(), folder / "five.onnx", {"x": 15, "noise": 1}),
        "two": write(TwoFrames(), folder / "two.onnx", {"now": 3, "before": 3}),
    }


def clip(count: int) -> list[Image]:
    generator = np.random.default_rng(6)
    return [generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(count)]


def planes(frame: Image) -> Array:
    found: Array = frame[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    return found


def by_hand(path: Path, frames: Sequence[Image]) -> Image:
    """The file's own answer for frames in a row, oldest first, with RGB of 0..1."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if path.stem == "five":
        noise = np.full((1, 1, *SIZE), SIGMA, np.float32)
        feeds = {"x": np.concatenate([planes(f) for f in frames], axis=1), "noise": noise}
    elif path.stem == "axis":
        feeds = {"x": np.stack([planes(f) for f in frames], axis=1)}
    elif path.stem.startswith("level"):
        noise = np.full((1, 1, *SIZE), SIGMA, np.float32)
        feeds = {"x": np.concatenate([*(planes(f) for f in frames), noise], axis=1)}
    else:
        feeds = {"now": planes(frames[1]), "before": planes(frames[0])}
    pixels = np.clip(np.rint(session.run(None, feeds)[0] * 255), 0, 255).astype(np.uint8)
    image: Image = pixels[0].transpose(1, 2, 0)[:, :, ::-1]
    return image


WORDS = {
    "five": ("--input", "x=frames=5", "--input", "noise=fill=25/255"),
    "two": ("--input", "before=earlier=1"),
    "axis": ("--input", "x=frames=3"),
    "level": ("--input", "x=level=25/255"),
    "leveled": ("--input", "x=frames=2,level=25/255"),
}


@pytest.mark.parametrize(
    ("name", "count", "windows"),
    [
        ("five", 5, ()),
        ("five", 5, ("--tile", "32x40")),
        ("two", 2, ()),
        ("axis", 3, ("--tile", "24x32")),
        ("leveled", 2, ()),
    ],
)
def test_a_clip(
    files: dict[str, Path], tmp_path: Path, name: str, count: int, windows: tuple[str, ...]
) -> None:
    target = tmp_path / "net.bundle"
    ran = edgeunet("export", "--onnx", files[name], *WORDS[name], *windows, "--out", target)
    assert ran.code == 0, ran.err
    assert f"reads the {count} newest frames; before the first one of a clip it" in ran.err
    manifest = open_bundle(target).manifest
    assert len(manifest.states) == count - 1
    assert any(stage.window for stage in manifest.stages) == bool(windows)
    frames = clip(count + 2)
    with api.open_bundle(target) as network:
        for _ in range(2):
            for number, frame in enumerate(frames):
                answer = network.run(frame)["image"]
                read = [frames[max(number - age, 0)] for age in range(count - 1, -1, -1)]
                difference = np.abs(answer.astype(int) - by_hand(files[name], read))
                assert difference.max() <= 1
                assert (difference != 0).mean() < 1e-2
            network.restart()


def test_a_channel_of_one_number(files: dict[str, Path], tmp_path: Path) -> None:
    """A strength of noise beside the colours, in windows and at another size than the file's."""
    target = tmp_path / "net.bundle"
    options = ("--tile", "24x32", "--out", target)
    ran = edgeunet("export", "--onnx", files["level"], *WORDS["level"], *options)
    assert ran.code == 0, ran.err
    assert "frame, 32x48 BGR, and a channel of 0.0980392" in ran.out
    (frame,) = clip(1)
    with api.open_bundle(target) as network:
        answer = network.run(frame)["image"]
    difference = np.abs(answer.astype(int) - by_hand(files["level"], [frame]))
    assert difference.max() <= 1
    assert (difference != 0).mean() < 1e-2
    larger = ("--size", "40x56", "--out", tmp_path / "larger.bundle")
    assert edgeunet("export", "--onnx", files["level"], *WORDS["level"], *larger).code == 0


def test_frames_on_an_axis_at_another_size(files: dict[str, Path], tmp_path: Path) -> None:
    larger = ("--size", "40x56", "--out", tmp_path / "larger.bundle")
    ran = edgeunet("export", "--onnx", files["axis"], *WORDS["axis"], *larger)
    assert ran.code == 0, ran.err
    assert "at 32x48" in ran.out


def test_the_contract_says_which_frames(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "five.bundle"
    bundle = api.export(
        files["five"], inputs={"x": "bgr,frames=5,-1..1", "noise": "fill=0.1"}, out=target
    )
    assert bundle.manifest.foreign is not None
    assert [str(entry) for entry in bundle.manifest.foreign.inputs] == [
        "nchw,bgr,-1..1,frames=5",
        "fill=0.1",
    ]
    assert len(bundle.manifest.parity) == 18
    ran = edgeunet("triton", target, tmp_path / "models")
    assert ran.failure[0].startswith("five remembers frames, and Triton's requests know")


def test_an_earlier_frame_is_like_the_frame_unless_said(files: dict[str, Path]) -> None:
    from edgeunet.foreign.contract_text import read_contract
    from edgeunet.foreign.network_file import NetworkFile

    def found(*inputs: str) -> list[str]:
        file = NetworkFile.read(files["two"], read_contract(inputs, ()))
        return [str(entry) for entry in file.inputs]

    now = "nchw,bgr,0..255"
    assert found("now=bgr,0..255", "before=earlier=1") == [now, f"{now},earlier=1"]
    own = "nchw,rgb,-1..1,earlier=1"
    assert found("now=bgr,0..255", "before=earlier=1,rgb,-1..1") == [now, own]
    assert found("now=earlier=1") == ["nchw,rgb,0..1,earlier=1", "nchw,rgb,0..1"]


@pytest.mark.parametrize(
    ("name", "words", "message", "hint"),
    [
        ("two", (), "two.onnx takes several pictures, 'now' and 'before'", "before=earlier=1"),
        ("five", (), "five.onnx has 2 inputs, and nothing says what 'x' (1, 15,", "x=frames=5"),
        (
            "two",
            ("before=earlier=2",),
            "two.onnx is to read the frame 2 before, and no input is the one 1 before",
            "count from the frame",
        ),
        (
            "two",
            ("now=frames=2",),
            "--input now=frames=2: it is (1, 3, 32, 48) float",
            "2 frames have 2 or 6 channels",
        ),
        ("axis", (), "axis.onnx takes 3 pictures at once: its input is 'x' (1, 3, 3,", "frames=3"),
        ("level", (), "level.onnx takes one channel more than a picture has: its i", "x=level=N"),
        ("two", ("now=level=1",), "--input now=level=1: it is (1, 3, 32, 48)", "2 or 4"),
        ("two", ("now=level=1,fill=1",), "--input now: level contradicts fill", "one channel mo"),
        ("two", ("now=fill=1,frames=2",), "--input now: fill, frames and earlier contra", "fill=N"),
        ("two", ("now=frames=1",), "--input now: 'frames=1' is not known", "known: nchw"),
        ("five", ("x=frames=5", "noise=earlier=1,rgb"), "--input noise=rgb contradicts", "use gra"),
    ],
)
def test_what_contradicts_the_file(
    files: dict[str, Path],
    tmp_path: Path,
    name: str,
    words: tuple[str, ...],
    message: str,
    hint: str,
) -> None:
    options = [part for word in words for part in ("--input", word)]
    target = tmp_path / "refused.bundle"
    ran = edgeunet("export", "--onnx", files[name], *options, "--out", target)
    assert ran.failure[0].startswith(message)
    assert hint in ran.failure[1]
    assert not target.exists()
