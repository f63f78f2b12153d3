"""The benchmark of reading and writing beside a network, with few small frames."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("av")

from benchmarks import coding_share
from tests.media.clips import read_video


def test_every_figure_is_there(tmp_path: Path) -> None:
    row = coding_share.measured("small", 48, 64, "clip.mp4", "out.mp4", 1.0, tmp_path, 15, 1)
    assert float(str(row["network_ms"])) >= 1
    # Of so few frames the times are noise; what was run is not.
    assert row["frames"] == len(read_video(tmp_path / "out.mp4")[0]) == 15
    assert row["priority"] in ("usual", "real-time")
