"""Quantize a network to INT8 with frames of your own.

    python examples/04_int8_with_own_frames.py [IMAGES] [FOLDER]

IMAGES is a folder of photographs; without it, some that scikit-image ships are taken. FOLDER is
where the calibration set and the bundle are written. Needs the extras ``export`` and ``video``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import imageio.v3 as imageio
from skimage import data

import edgeunet

out = Path(sys.argv[2] if len(sys.argv) > 2 else "example")
with tempfile.TemporaryDirectory() as scratch:
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
    if len(sys.argv) < 2:
        for name in ("astronaut", "coffee", "chelsea", "rocket"):
            imageio.imwrite(images / f"{name}.png", getattr(data, name)())
    made = edgeunet.make_calibration_set(
        images, "own", folder=out, count=8, size=(128, 160), copy=True
    )
print(f"chose {len(made.calibration.members)} of {made.distinct} different frames")

bundle = edgeunet.export(
    "unetmm",
    size=(128, 160),
    width=8,
    precision="int8",
    calibration=made.path,
    out=out / "int8.bundle",
)
entry = bundle.manifest.quantization
if entry is not None:
    inside, every = entry.convolutions
    print(f"{inside} of {every} convolutions compute in 8 bits, ranges by {entry.calibrator}")
