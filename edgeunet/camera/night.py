"""A fixed camera for demonstrations: a small sensor in a dark street, at high gain."""

from __future__ import annotations

import math

import numpy as np

from edgeunet.camera import colour
from edgeunet.camera.chain import MARGIN, Shot
from edgeunet.noise_models import read_variance

_GAIN = 6e-3
"""Variance per signal of 0..1: about 170 electrons fill a pixel at this gain."""

_STOPS_UNDER = 1.0
"""Less light than full scale by so many stops, made good digitally: shutters must stay short."""


def night_shot(height: int, width: int) -> Shot:
    """Return a shot whose image is (height, width), both even, plus a margin at every side.

    Every value is in the ranges of ``CameraTable``. The noise reduction is weak and leaves coloured
    grain of some pixels. The file is JPEG of quality 90 with halved colours.
    """
    size = (height + 2 * MARGIN, width + 2 * MARGIN)
    read = read_variance(_GAIN)
    cameras = colour.known_cameras()
    return Shot(
        size=size,
        sensor_size=size,
        pattern="RGGB",
        demosaic="malvar",
        matrix=colour.camera_matrix(np.full(cameras, 1 / cameras)),
        # Of lamps: red is plentiful, blue is scarce.
        balance=np.array([1.5, 1.0, 2.2]),
        tone=0.3,
        exposure=2.0**-_STOPS_UNDER,
        push=2.0**_STOPS_UNDER,
        gain=_GAIN,
        read=read,
        row=0.3 * math.sqrt(read),
        bits=10,
        luma_smoothing=0.8,
        chroma_smoothing=2.0,
        wide_share=0.6,
        smooths_scene=False,
        sharpening=0.4,
        sharpening_sigma=1.0,
        halves_colours=True,
        quality=90,
        subsampling="4:2:0",
        rate_factor=None,
        lens=0.7,
    )
