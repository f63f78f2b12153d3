"""onnxruntime sends nothing to its maker, unless somebody wants that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from tests.bundle.tiny import tiny_graph

SWITCH = "ORT_DISABLE_TELEMETRY"
# Any of these lets the library keep still, and the first are set where tests often run.
CI = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_RUNNING_UNIT_TESTS", SWITCH)
SCRIPT = """
import os, sys
from pathlib import Path
from edgeunet.engine import open_session
open_session(Path(sys.argv[1]), "onnxruntime", threads=1)
print(len(os.listdir("/proc/self/task")), os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted on Linux")
def test_a_session_leaves_no_thread_and_no_file_in_the_home_folder(tmp_path: Path) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(tiny_graph(8, 12))
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in CI}
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(graph)],
        env=kept | places,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["1", "1"]
    assert list(home.rglob("*")) == []
