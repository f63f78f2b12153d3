"""Generate the calibration set that ships with edgeunet."""

from __future__ import annotations

import numpy as np

from edgeunet.calibration.set_frames import sealed
from edgeunet.calibration.sets import SCHEMA_VERSION, CalibrationSet, Member, text_of
from edgeunet.photographs import Photograph, shipped_photographs

# rocket is left out: it is a JPEG, which libraries decode
# differently, and a photograph that no range was measured on is needed to judge by.
_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
_SIDE = 256
_GRID = 16
_SIGMAS = (0.0, 15.0, 25.0, 50.0)

_LICENCES = {"astronaut": "public domain", "chelsea": "CC0", "coffee": "CC0"}


def generate() -> str:
    """Return the text of ``calibration/photographs.toml``.

    Of every photograph, it has the darkest, the median and the brightest crop on a grid, each at
    every noise level.
    """
    shipped = shipped_photographs()
    crops = [
        (name, *corner, sigma)
        for name in _PHOTOGRAPHS
        for corner in _by_brightness(shipped[name])
        for sigma in _SIGMAS
    ]
    draft = CalibrationSet(
        schema=SCHEMA_VERSION,
        name="photographs",
        title="Dark, middling and bright crops of photographs, clean to very noisy",
        licence="Photographs that scikit-image ships: public domain or CC0",
        height=_SIDE,
        width=_SIDE,
        members=tuple(
            Member(
                photograph=name,
                top=top,
                left=left,
                sigma=sigma,
                seed=seed,
                licence=_LICENCES[name],
                sha256="",
            )
            for seed, (name, top, left, sigma) in enumerate(crops)
        ),
    )
    comment = "Made by edgeunet.calibration.generate(), see README.md; do not edit."
    return text_of(sealed(draft), comment)


def _by_brightness(photograph: Photograph) -> tuple[tuple[int, int], ...]:
    """Return the corners (top, left) of the darkest, the median and the brightest crop."""
    rows = range(0, photograph.shape[0] - _SIDE + 1, _GRID)
    columns = range(0, photograph.shape[1] - _SIDE + 1, _GRID)
    ranked = sorted(
        (int(photograph[top : top + _SIDE, left : left + _SIDE].sum(dtype=np.int64)), top, left)
        for top in rows
        for left in columns
    )
    chosen = (ranked[0], ranked[len(ranked) // 2], ranked[-1])
    return tuple((top, left) for _, top, left in chosen)
