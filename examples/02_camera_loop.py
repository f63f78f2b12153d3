"""Run a bundle on a camera, in a loop of your own.

    python examples/02_camera_loop.py BUNDLE [SOURCE] [FRAMES]

SOURCE is a camera (``0``, ``csi://0``), an address (``rtsp://...``), a file, or ``test://`` for a
moving pattern. Needs the extras ``cpu`` and ``video``; no torch.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import edgeunet

path = sys.argv[1]
source = sys.argv[2] if len(sys.argv) > 2 else "test://"
count = int(sys.argv[3]) if len(sys.argv) > 3 else 50

with edgeunet.open_bundle(path) as network:
    height, width = network.size
    print(f"{network.engine} takes frames of {height}x{width}")
    # One array for every frame's answer, instead of a new one each time.
    denoised = np.empty((height, width, 3), np.uint8)
    start_s = time.perf_counter()
    done = 0
    for frame in edgeunet.frames(source, size=network.size, limit=count):
        network.run(frame, out={"denoised": denoised})
        done += 1
        # Your own work with the answer goes here.
    per_second = done / (time.perf_counter() - start_s)
    print(f"{done} frames, {per_second:.1f} per second")
    print(f"mean brightness of the last one: {denoised.mean():.1f} of 255")
