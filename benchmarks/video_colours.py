"""Do colours of videos come nearer to the picture where the file is believed?

    python -m benchmarks.video_colours

Photographs are turned to planes by the formulas of ITU-R BT.601, with colours at half the size: on
every second column or between two, of whole frames or of fields. The planes are written without
loss into files that say so, and into files that say the other, and read by the class that every
verb uses. ``results/video_colours.csv`` has the mean PSNR of what is read over the pictures.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.helpers.record import provenance, write_csv
from edgeunet.cli.console import note, print_table
from edgeunet.media.sources.video_file import VideoSource
from edgeunet.metrics import psnr_db
from edgeunet.photographs import shipped_photographs
from tests.media.colour_planes import Plane, by_field, halved, planes_of, write_planes

NAME = "video_colours"
_SIDE, _MOVED = 256, 12
_FIELDS, _FRAME = "of a field", "of the frame"
_LEFT, _BETWEEN = "on every second column", "between two columns"
OPTIONS = {
    _FIELDS: {"flags": "+ilme+ildct", "x264-params": "tff=1"},
    _FRAME: {},
    _LEFT: {"x264-params": "chromaloc=0"},
    _BETWEEN: {"x264-params": "chromaloc=1"},
}


def main() -> None:
    rows: list[dict[str, object]] = []
    pictures = [
        photograph[:_SIDE, :_SIDE].astype(np.float64)
        for photograph in shipped_photographs().values()
    ]
    with tempfile.TemporaryDirectory() as folder:
        for pixels, places in (("yuv420p", (_FIELDS, _FRAME)), ("yuv420p10le", (_LEFT, _BETWEEN))):
            for lying in places:
                for said in places:
                    path = Path(folder) / "a.mp4"
                    found = [_read_again(path, pixels, one, lying, said) for one in pictures]
                    rows.append(
                        {
                            "bits": 10 if "10" in pixels else 8,
                            "colours_lie": lying,
                            "file_says": said,
                            "psnr_db": f"{mean(found):.2f}",
                            "pictures": len(found),
                        }
                    )
    for row, other in (rows[0:2], rows[3:1:-1], rows[4:6], rows[7:5:-1]):
        if float(str(row["psnr_db"])) < float(str(other["psnr_db"])):
            note(f"{row['colours_lie']}: the file is believed, and that is worse")
    print_table(NAME, tuple(rows[0]), [tuple(map(str, row.values())) for row in rows])
    note(f"wrote {write_csv(NAME, rows, provenance(('av',)))}")


def _read_again(path: Path, pixels: str, picture: Plane, lying: str, said: str) -> float:
    """Return the PSNR of a picture after it was written and read."""
    if pixels == "yuv420p":  # the second field comes later, so the scene has moved
        picture = picture.copy()
        picture[1::2] = np.roll(picture, _MOVED, axis=1)[1::2]
    luma, *chroma = planes_of(picture)
    small = [
        by_field(plane) if lying == _FIELDS else halved(plane, left=lying == _LEFT)
        for plane in chroma
    ]
    planes = [np.clip(plane, 0, 255) for plane in (luma, *small)]
    options = {"qp": "0", **OPTIONS[said]}
    write_planes(path, planes, codec="libx264", options=options, pixels=pixels)
    source = VideoSource(str(path), path)
    frame = source.read()
    source.close()
    assert frame is not None
    return psnr_db(frame.image[:, :, ::-1], picture, peak=255)


if __name__ == "__main__":
    main()
