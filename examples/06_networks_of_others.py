"""Bring a segmenter and a super-resolution network of your own, from torch to a stream.

    python examples/06_networks_of_others.py [FOLDER]

The two networks here are small and untrained, so that the script shows each step in seconds; load
your own weights where ``eval`` is called. FOLDER gets ONNX files, bundles and videos. Needs the
extras ``export`` and ``video``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import edgeunet

out = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
out.mkdir(parents=True, exist_ok=True)


class Segmenter(nn.Module):
    """A U-Net of one level: (N, 3, H, W) RGB to scores of five classes."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, 2, 1)
        self.up, self.head = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(16, 5, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = torch.relu(self.encode(x))
        deep = torch.relu(self.up(torch.relu(self.down(skip))))
        large = functional.interpolate(deep, scale_factor=2.0, mode="bilinear")
        scores: torch.Tensor = self.head(torch.cat([skip, large], dim=1))
        return scores


class Enlarger(nn.Module):
    """Twice as many rows and columns: (N, 3, H, W) to (N, 3, 2H, 2W) RGB."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = nn.Conv2d(3, 16, 5, padding=2), nn.Conv2d(16, 12, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        detail = functional.pixel_shuffle(self.last(torch.relu(self.body(x))), 2)
        return detail + functional.interpolate(x, scale_factor=2.0, mode="nearest")


torch.manual_seed(0)
for name, network in (("street", Segmenter()), ("large", Enlarger())):
    torch.onnx.export(
        network.eval(),
        (torch.rand(1, 3, 120, 160),),
        out / f"{name}.onnx",
        dynamo=True,
        dynamic_shapes=({2: "height", 3: "width"},),
        verbose=False,
    )

street = edgeunet.export(
    out / "street.onnx",
    size=(240, 320),
    inputs={"x": "rgb,0..1,mean=0.485,0.456,0.406,std=0.229,0.224,0.225"},
    windows="auto",
    out=out / "street.bundle",
)
large = edgeunet.export(out / "large.onnx", size=(120, 160), out=out / "large.bundle")
for bundle in (street, large):
    contract = bundle.manifest.foreign
    if contract is not None:
        print(f"{contract.file}: {contract.inputs[0]} gives {contract.pathways[0]}")

for bundle, video, view in ((street, "labels.mp4", "overlay"), (large, "large.mp4", "denoised")):
    command = ("edgeunet", "run", "test://", out / video, "--bundle", bundle.path, "--view", view)
    subprocess.run([sys.executable, "-m", *map(str, command), "--frames", "8"], check=True)
    print(f"wrote {out / video}")
