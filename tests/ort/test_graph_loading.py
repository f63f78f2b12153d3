"""Graphs in folders whose names are no UTF-8 load and run, as those in others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from edgeunet.engine import open_session
from edgeunet.ort.frame_runner import runner_of
from edgeunet.ort.plain_session import open_plain
from edgeunet.specs import FRAME
from tests.bundle.tiny import tiny_graph


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such names and reads them")
def test_every_way_loads_a_graph_whose_name_is_no_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"l\xdf [b]")
    folder.mkdir()
    path = folder / "graph.onnx"
    path.write_bytes(tiny_graph(8, 12))
    frame = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    session = open_session(path)
    (answer, *_) = (session.run({FRAME: frame[None]})[name] for name in ("denoised",))
    session.close()
    np.testing.assert_array_equal(answer, runner_of(path, ["denoised"])(frame)[0])
    np.testing.assert_array_equal(answer, open_plain(path)({FRAME: frame[None]})["denoised"])
