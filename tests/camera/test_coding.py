"""What coding leaves: JPEG against Pillow itself, H.264 by what must hold of it."""

from __future__ import annotations

import io

import numpy as np
import pytest

pytest.importorskip("av", reason="edgeunet[train] codes H.264 with it")
pytest.importorskip("PIL", reason="edgeunet[export] has it")

from PIL import Image

from edgeunet.camera.coding import h264_coded
from edgeunet.metrics import psnr_db
from edgeunet.photographs import jpeg_coded, shipped_photographs

PHOTOGRAPH = shipped_photographs()["chelsea"][:96, :128]


@pytest.mark.parametrize(("quality", "subsampling"), [(80, "4:2:0"), (95, "4:4:4")])
def test_jpeg_is_pillows(quality: int, subsampling: str) -> None:
    file = io.BytesIO()
    picture = Image.fromarray(PHOTOGRAPH)
    picture.save(file, "JPEG", quality=quality, subsampling=subsampling)
    wanted = np.asarray(Image.open(file))
    assert np.array_equal(jpeg_coded(PHOTOGRAPH, quality, subsampling), wanted)
    assert 30 < psnr_db(wanted, PHOTOGRAPH, peak=255) < 60


def test_h264_loses_more_at_a_larger_rate_factor() -> None:
    frames = [np.roll(PHOTOGRAPH, 2 * shift, axis=1) for shift in range(3)]
    losses = []
    for rate_factor in (16, 28, 40):
        coded = h264_coded(frames, rate_factor)
        assert [frame.shape for frame in coded] == [PHOTOGRAPH.shape] * 3
        losses.append(
            np.mean([psnr_db(a, b, peak=255) for a, b in zip(coded, frames, strict=True)])
        )
    assert losses[0] > losses[1] > losses[2] > 20
