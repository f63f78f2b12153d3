"""Decoded frames as BGR, by the colour matrix and the range that they name.

Files and network streams convert their frames here. Colours that are stored at half the size are
spread as FFmpeg spreads them: bicubic, and where height and width are even and samples have 8 bits,
by repeating them. Those of an interlaced frame belong to its fields (ITU-T H.262, 6.1.1.8), so each
field has its own spread to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeunet.errors import SourceError
from edgeunet.media import pyav
from edgeunet.media.clip_facts import UNSAID
from edgeunet.names import shown
from edgeunet.specs import Image

# Codes of ITU-T H.273 that swscale converts rightly. 0 is RGB.
_MATRICES = {0, 1, UNSAID, 4, 5, 6, 7, 9}
_BT601, _BT2020 = 5, 9
_BICUBIC = "BICUBIC"


class FrameColours:
    """Converts frames of one source.

    name: of the source, for the message. It has no password in it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._converter = pyav.converter()

    def bgr(self, frame: Any) -> Image:
        """Return PyAV's VideoFrame as (H, W, 3) uint8 BGR. More than 8 bits are rounded to 8.

        Raises SourceError for a matrix that is not converted rightly.
        """
        matrix, is_rgb = int(frame.colorspace), frame.format.is_rgb
        unknown = matrix not in _MATRICES or (matrix == _BT2020 and not pyav.knows_bt2020())
        if unknown and not is_rgb:
            raise SourceError(
                f"the colours of {shown(self._name)!r} are coded by matrix {matrix} of ITU-T "
                "H.273, which is not converted rightly here",
                hint="convert it first: ffmpeg -i IN -vf scale=out_color_matrix=bt709 OUT",
            )
        # What does not name its matrix is BT.601, as for FFmpeg and OpenCV.
        named = _BT601 if matrix in (UNSAID, 0, 6) else matrix
        source = {} if is_rgb else {"src_colorspace": named}
        converted = self._converter.reformat(
            frame,
            format="bgr24",
            interpolation=_BICUBIC,
            src_color_range=int(frame.color_range),
            **source,
        )
        plane = converted.planes[0]
        height, width = converted.height, converted.width
        rows: Image = np.frombuffer(plane, np.uint8)[: height * plane.line_size].reshape(height, -1)
        return rows[:, : 3 * width].reshape(height, width, 3)
