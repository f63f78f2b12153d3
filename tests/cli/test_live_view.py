"""What a terminal shows of a run while it goes on."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from edgeunet.cli.live_view import figures_of
from edgeunet.stream.activity import Hang
from edgeunet.stream.delivery import SinkReport
from edgeunet.stream.meter import Latency
from edgeunet.stream.run_summary import RunStatus
from edgeunet.units import MIB
from tests.bundle.tiny import tiny_bundle

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_part_has_its_figures() -> None:
    status = RunStatus(
        running_s=10.0,
        frames=200,
        total=None,
        frames_per_second=20.04,
        fresh_s=0.1,
        latency_ms=Latency(10.0, 12.0, 15.26, 10.5),
        age_ms=Latency(11.0, 13.0, 16.0, 12.0),
        dropped=7,
        reconnections=1,
        sinks=(
            SinkReport("a.mkv", 190, 10, False, False, ""),
            SinkReport("window://", 3, 0, True, False, "the window is gone"),
        ),
        hangs=(Hang("the network", 31.2),),
        resident_bytes=150 * MIB,
    )
    assert figures_of(status) == [
        ("now", "20.0 frames/s"),
        ("network", "p50 10.0  p95 12.0  p99 15.3 ms"),
        ("age", "p50 11.0  p95 13.0  p99 16.0 ms"),
        ("camera", "7 dropped, 1 reconnections"),
        ("a.mkv", "190 frames, 10 missed"),
        ("window://", "3 frames, ended: the window is gone"),
        ("memory", "150.0 MiB"),
        ("warning", "the network hangs: it has worked on one frame for 31 s"),
    ]


def test_a_terminal_shows_the_view_and_the_result_comes_after_it(tmp_path: Path) -> None:
    """Stderr is a terminal, stdout a pipe: the result is not mixed with the view."""
    leader, terminal = pty.openpty()
    words = ["test://?size=48x64&frames=30&fps=20&live=1", "--bundle", tiny_bundle(tmp_path).path]
    with subprocess.Popen(
        [sys.executable, "-m", "edgeunet", "run", *map(str, words), "--json"],
        cwd=REPOSITORY,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    ) as process:
        os.close(terminal)
        seen = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            seen += part
        os.close(leader)
        assert process.stdout is not None
        result = process.stdout.read()
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert "frames/s" in text
    assert re.search(r"network +p50 [\d.]+  p95 [\d.]+  p99 [\d.]+ ms", text)
    assert re.search(r"memory +\d+\.\d MiB", text)
    assert result.startswith("{")
    assert result.endswith("}\n")
