"""Small files of every kind that a verb reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from torch import nn

from edgeunet.recipes import folder as shipped_folder
from tests.bundle.tiny import tiny_bundle
from tests.foreign.exported import write_onnx
from tests.images.image_writers import by_opencv
from tests.media.clips import write_frames
from tests.noise_profile.scenes import ramp, shots


def make_inputs(there: Path) -> None:
    """Write a bundle, images, shots, clips, an ONNX file, recipes, and a run of training."""
    (there / "in").mkdir(parents=True)
    (there / "shots").mkdir()
    tiny_bundle(there, 32, 48)
    random, block = np.random.default_rng(0), np.ones((8, 8, 1), np.uint8)
    for number in range(6):
        coarse = random.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        content = by_opencv(np.kron(coarse, block), ".png")
        (there / "in" / f"{number}.png").write_bytes(content)
    for number, shot in enumerate(shots(ramp(64, 96), 3)):
        (there / "shots" / f"{number}.png").write_bytes(by_opencv(shot, ".png"))
    (there / "clips").mkdir()
    for number in range(2):
        frames = [np.kron(random.integers(0, 256, (4, 6, 3), np.uint8), block) for _ in range(8)]
        write_frames(there / "clips" / f"{number}.mkv", frames)
    write_onnx(
        nn.Conv2d(3, 3, kernel_size=3, padding=1), there / "net.onnx", (32, 48), dynamic=True
    )
    (there / "run.toml").write_text("threads = 1\n")
    (there / "service.toml").write_text(
        'bundle = "tiny.bundle"\nsource = "in"\nsinks = ["recordings/"]\n'
    )
    for recipe, base, blocks, clips in (
        ("mine", "unetmm-awgn", "[1]", ""),
        ("frames", "unetmm-video", "[1, 1, 1]", "[train.clips]\nframes = [2, 2]\ngate_steps = 1\n"),
    ):
        text = (shipped_folder("export") / f"{base}.toml").read_text().partition("[train]")[0]
        text = text.replace(f'name = "{base}"', f'name = "{recipe}"')
        text = text.replace("width = 16", "width = 4").replace("[1, 1, 1, 1]", blocks)
        text = f"{text}[train]\nsteps = 3\nbatch = 2\ncrop = 16\n{clips}"
        (there / f"{recipe}.toml").write_text(text)
    begun = ("train", str(there / "mine.toml"), "--data", str(there / "in"))
    subprocess.run(
        [sys.executable, "-m", "edgeunet", *begun, "--out", str(there / "run")], check=True
    )
