"""Every demosaicing gives three colours of what has one, in the pattern that it was seen in."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

pytest.importorskip("colour_demosaicing", reason="edgeunet[train] has it")

from edgeunet.camera.demosaicing import demosaic
from edgeunet.camera.sensor import PATTERNS, mosaic
from edgeunet.schedules import DemosaicKind

KINDS: tuple[DemosaicKind, ...] = get_args(DemosaicKind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_smooth_colours_come_back(kind: DemosaicKind, pattern: str) -> None:
    rows, columns = np.mgrid[0:32, 0:40].astype(np.float32)
    image = np.stack([0.2 + rows / 64, 0.7 - columns / 80, 0.1 + columns / 60], axis=2)
    found = demosaic(mosaic(image, pattern), pattern, kind)
    assert found.shape == image.shape
    assert found.dtype == np.float32
    assert np.abs(found - image)[6:-6, 6:-6].max() < 0.01


# Menon's refines what was seen, too.
@pytest.mark.parametrize("kind", ["bilinear", "malvar"])
def test_what_was_seen_stays(kind: DemosaicKind) -> None:
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    seen = mosaic(image, "GRBG")
    again = mosaic(demosaic(seen, "GRBG", kind), "GRBG")
    np.testing.assert_allclose(again[2:-2, 2:-2], seen[2:-2, 2:-2], atol=1e-6)
