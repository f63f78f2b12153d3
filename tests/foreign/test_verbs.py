"""Every verb that takes a bundle takes one of a foreign network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgeunet.media import opencv
from tests.cli.command import edgeunet
from tests.foreign.exported import with_random_statistics, write_onnx
from tests.foreign.plain_networks import ESPCN, DnCNN, UNet
from tests.media.clips import write_frames

SIZE = (32, 48)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "segmenter": lambda: with_random_statistics(UNet()),
    "times2": lambda: ESPCN(2),
    "grey": lambda: with_random_statistics(DnCNN(1)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a clip, and a bundle of every network."""
    torch.manual_seed(8)
    folder = tmp_path_factory.mktemp("verbs")
    generator = np.random.default_rng(8)
    frames = [generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(3)]
    (folder / "pictures").mkdir()
    for number, frame in enumerate(frames):
        path = folder / "pictures" / f"{number}.png"
        path.write_bytes(opencv.encode_image(frame, ".png"))
    write_frames(folder / "clip.mp4", frames)
    for name, make in NETWORKS.items():
        file = folder / f"{name}.onnx"
        channels = 1 if name == "grey" else 3
        write_onnx(make(), file, SIZE, channels=channels, dynamo=False, opset=17)
        ran = edgeunet("export", "--onnx", file, "--out", folder / f"{name}.bundle")
        assert ran.code == 0, ran.err
    return folder


@pytest.mark.parametrize("name", NETWORKS)
def test_run(name: str, folder: Path, tmp_path: Path) -> None:
    bundle = ("--bundle", folder / f"{name}.bundle")
    scale = 2 if name == "times2" else 1
    for source, sink in (
        (folder / "pictures" / "0.png", tmp_path / "one.png"),
        (folder / "pictures", f"{tmp_path}/many/"),
        (folder / "clip.mp4", tmp_path / "clip.mp4"),
    ):
        ran = edgeunet("run", source, sink, *bundle)
        assert ran.code == 0, ran.err
    beside = tmp_path / "beside.png"
    ran = edgeunet("run", folder / "pictures" / "0.png", beside, *bundle, "--view", "side-by-side")
    assert ran.code == 0, ran.err
    for path, width in ((tmp_path / "one.png", 1), (tmp_path / "many" / "2.png", 1), (beside, 2)):
        with path.open("rb") as file:
            header = file.read(24)
        sides = int.from_bytes(header[20:24], "big"), int.from_bytes(header[16:20], "big")
        assert sides == (SIZE[0] * scale, SIZE[1] * scale * width)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_other_verbs(name: str, folder: Path, tmp_path: Path) -> None:
    bundle = folder / f"{name}.bundle"
    for words in (
        ("memory", bundle),
        ("triton", bundle, tmp_path / "models"),
        ("build", bundle, "--trtexec", "--for-version", "10.3"),
    ):
        ran = edgeunet(*words)
        assert ran.code == 0, ran.err
    ran = edgeunet("eval", bundle, folder / "pictures")
    if name == "times2":
        assert ran.failure[0].startswith("the network's image has 2 times the rows and columns")
    else:
        assert ran.code == 0, ran.err
