"""Export a network for one frame size, and denoise a photograph with it.

    python examples/01_export_and_run.py [FOLDER]

FOLDER is where the bundle is written. Needs the extras ``export`` and ``cpu``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from skimage.data import astronaut

import edgeunet

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
bundle = edgeunet.export("unetmm", size=(256, 256), width=8, out=folder / "small.bundle")
for figure in bundle.manifest.parity[:3]:
    print(f"compared with torch on {figure.frame}: {figure.metric} {figure.value}")

clean = astronaut()[:256, :256]
noise = np.random.default_rng(0).normal(0, 25, clean.shape)
noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
with edgeunet.open_bundle(bundle.path) as network:
    denoised = network.run(noisy, colours="rgb")["denoised"]


def psnr_db(image: np.ndarray) -> float:
    """Return how near an image is to the clean one."""
    return float(10 * np.log10(255**2 / np.mean((image.astype(float) - clean) ** 2)))


print(f"noisy {psnr_db(noisy):.2f} dB, denoised {psnr_db(denoised):.2f} dB")
