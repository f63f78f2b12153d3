"""Signals, closed terminals and hangs, as a person or systemd meets them: real processes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.bundle.tiny import tiny_bundle
from tests.cli.command import edgeunet
from tests.cli.test_run import start, two_lines
from tests.media.clips import listing, read_video
from tests.media.odd_servers import cut_pictures, serving

REPOSITORY = Path(__file__).resolve().parents[2]

# A camera whose opening never returns, as OpenCV's does on a pipeline that lacks an element.
HANGING = """
import sys, time
from edgeunet.media import sources
def hang(name, rest, size, live):
    print("opening", flush=True)
    time.sleep(60)
sources.SCHEMES["rtsp"] = hang
from edgeunet.cli import main
sys.argv = ["edgeunet", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(tiny_bundle(tmp_path / "bundles").path)


def wait_for_file(folder: Path) -> None:
    deadline_s = time.monotonic() + 60
    while not listing(folder) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    time.sleep(0.3)


def opening(script: str, source: str, out: Path, bundle: str) -> subprocess.Popen[str]:
    """Start a run that prints a line while it opens, and return it once the line is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, "run", source, f"{out}/o.mp4", "--bundle", bundle],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "opening\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_opening_ends_it_at_once(
    bundle: str, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    process = opening(HANGING, "rtsp://x", out, bundle)
    started_s = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    took_s = time.monotonic() - started_s
    assert process.returncode == code
    assert two_lines(err) == (
        "interrupted before the first frame",
        "run the command again to start over",
    )
    assert took_s < 1
    assert listing(out) == []


SLOW_SINK = """
import sys, time
from edgeunet.stream import opening
original = opening.open_sink
def slow(*arguments):
    sink = original(*arguments)
    print("opening", flush=True)
    time.sleep(0.6)
    return sink
opening.open_sink = slow
from edgeunet.cli import main
sys.argv = ["edgeunet", *sys.argv[1:]]
sys.exit(main())
"""


def test_two_signals_while_opening_leave_no_file(bundle: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    process = opening(SLOW_SINK, "test://", out, bundle)
    process.terminate()
    time.sleep(0.2)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert two_lines(err)[0] == "interrupted"
    assert listing(out) == []


def test_a_signal_while_a_lost_camera_is_awaited(bundle: str, tmp_path: Path) -> None:
    """The camera broke off, and what took its place accepts connections and never answers."""
    out = tmp_path / "out.mkv"
    connections: list[bytes] = []
    again = threading.Event()

    def answer(request: bytes) -> bytes | None:
        connections.append(request)
        if len(connections) == 1:
            return cut_pictures(request)
        again.set()
        return None

    with serving(answer) as port:
        process = start("run", f"http://127.0.0.1:{port}/cam", str(out), "--bundle", bundle)
        assert again.wait(60)
        started_s = time.monotonic()
        process.terminate()
        _, err = process.communicate(timeout=30)
        took_s = time.monotonic() - started_s
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert took_s < 4
    assert len(read_video(out)[0]) > 0


def test_a_closed_terminal_ends_no_recording(bundle: str, tmp_path: Path) -> None:
    """ssh is gone: its terminal answers with errors, and SIGHUP comes. The file is wanted still."""
    out = tmp_path / "out"
    out.mkdir()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edgeunet", "run", "test://?frames=0", f"{out}/out.mkv"),
            *("--bundle", bundle),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    wait_for_file(out)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.7)
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 143
    assert listing(out) == ["out.mkv"]
    assert len(read_video(out / "out.mkv")[0]) > 0


def test_without_a_sink_a_closed_terminal_ends_the_run(bundle: str) -> None:
    process = start("run", "test://?frames=0", "--json-lines", "--status", "1", "--bundle", bundle)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 129
    assert json.loads(printed.splitlines()[-1])["event"] == "end"


def test_json_lines_tell_how_a_run_stands(bundle: str) -> None:
    process = start(
        *("run", "test://?frames=55&fps=25&live=1", "none", "--json-lines", "--status", "1"),
        *("--bundle", bundle),
    )
    printed, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    lines = [json.loads(line) for line in printed.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "status"
    assert events[-1] == "end"
    status = lines[0]
    assert 0.9 <= status["running_s"] <= 5
    assert status["frames"] > 5
    assert status["total"] == 55
    assert status["fresh_s"] is not None
    assert status["hangs"] == []
    assert set(status["age_ms"]) == {"p50", "p95", "p99", "mean"}
    assert lines[-1]["frames"] + lines[-1]["dropped"] + lines[-1]["early"] == 55


def test_a_status_line_without_a_terminal(bundle: str) -> None:
    process = start("run", "test://?frames=40&fps=25&live=1", "--status", "1", "--bundle", bundle)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert " of 40 frames, " in err.splitlines()[0]
    assert "network p50 " in err.splitlines()[0]


def test_nobody_reads_the_json_lines(bundle: str, tmp_path: Path) -> None:
    """The reader of stdout is gone; the recording goes on to its end."""
    out = tmp_path / "out.mkv"
    done = subprocess.run(
        [
            "bash",
            "-c",
            '"$@" | true; exit "${PIPESTATUS[0]}"',
            "bash",
            *(sys.executable, "-m", "edgeunet", "run", "test://?frames=60&fps=25&live=1", str(out)),
            *("--json-lines", "--status", "1", "--bundle", bundle),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert len(read_video(out)[0]) > 20


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--json", "--json-lines"], "--json and --json-lines exclude each other", "give one"),
        (["--status", "0"], "0 is not a time between status lines", "--status with seconds"),
    ],
)
def test_options_that_cannot_be(bundle: str, arguments: list[str], message: str, hint: str) -> None:
    ran = edgeunet("run", "test://", "--bundle", bundle, *arguments)
    assert ran.code == 2
    assert ran.failure[0] == message
    assert hint in ran.failure[1]
