"""Video files that are damaged, cut off, or none: told apart, and read as far as they go."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeunet.errors import SourceError
from edgeunet.media.sources import open_source
from edgeunet.media.whole_files import cut_off
from edgeunet.stream import RunOptions, run_pipeline
from tests.bundle.tiny import tiny_bundle
from tests.media.clips import cut, index_to_front
from tests.media.test_video_times import copy
from tests.media.video_cases import packet_times, spoil, steady, write_clip

_MPEG4: dict[str, Any] = {
    "codec": "mpeg4",
    "options": {"qmin": "2", "qmax": "4"},
    "time_base": Fraction(1, 25),
}
_MJPEG: dict[str, Any] = {
    "codec": "mjpeg",
    "pixels": "yuvj420p",
    "options": {},
    "time_base": Fraction(1, 25),
}
KINDS: dict[str, dict[str, Any]] = {
    ".mp4": {},
    ".mkv": {},
    ".avi": _MJPEG,
    ".ts": {},
    ".flv": {},
    ".wmv": {**_MPEG4, "codec": "msmpeg4"},
}


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_that_is_cut_off_is_told_from_a_whole_one(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", steady(60), **KINDS[suffix]).path
    if suffix == ".mp4":
        index_to_front(path)
    assert cut_off(path) == ""
    images, report = copy(path, tmp_path / "out.avi")
    assert (len(images), report.complete) == (60, True)
    # A third of the small .wmv is padding.
    images, report = copy(cut(path, 0.613 if suffix != ".wmv" else 0.3), tmp_path / "out.avi")
    assert 5 < len(images) < 58
    assert report.damaged == 0
    assert not report.complete
    assert re.fullmatch(
        f"{path} is cut off after {len(images)} frames: (at least .* are missing at its end"
        "|it ends in the middle of a packet)",
        report.broken_off,
    )


def test_a_fragmented_file_is_judged_by_its_fragments(tmp_path: Path) -> None:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    prepare = _every_tenth_is_a_key
    path = write_clip(tmp_path / "clip.mp4", steady(60), container=flags, prepare=prepare).path
    assert cut_off(path) == ""
    data = path.read_bytes()
    last = data.rindex(b"moof") - 4
    path.write_bytes(data[:last])
    assert cut_off(path) == ""
    assert copy(path, tmp_path / "out.avi")[1].complete
    size = int.from_bytes(data[last : last + 4], "big")
    path.write_bytes(data[: last + size])
    assert cut_off(path) == "the data of its last fragment are missing"


def _every_tenth_is_a_key(container: Any, stream: Any) -> None:
    stream.codec_context.gop_size = 10


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", steady(20), **_MJPEG).path
    times = packet_times(path)
    images, report = copy(spoil(path, (4, 9, 10)), tmp_path / "out.mkv")
    assert len(images) == 17
    assert (report.damaged, report.complete, report.ended, report.broken_off) == (
        3,
        False,
        True,
        "",
    )
    assert report.left_out() == ("3 damaged packets were skipped, the first at 0.16 s",)
    kept = [time for number, time in enumerate(times) if number not in (4, 9, 10)]
    assert packet_times(tmp_path / "out.mkv") == pytest.approx(kept, abs=0.001)


def test_a_damaged_h264_file_goes_on_to_its_end(tmp_path: Path) -> None:
    prepare = _every_tenth_is_a_key
    path = write_clip(tmp_path / "clip.mp4", steady(40), prepare=prepare).path
    images, report = copy(spoil(path, (12, 24), header=0), tmp_path / "out.mp4")
    assert len(images) == 38
    assert (report.damaged, report.ended, report.broken_off) == (2, True, "")
    kept = [number / 25 for number in range(40) if number not in (12, 24)]
    assert packet_times(tmp_path / "out.mp4") == pytest.approx(kept, abs=0.001)


def test_damage_before_the_first_frame_is_only_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", steady(20), **_MJPEG).path
    images, report = copy(spoil(path, (0, 1)), tmp_path / "out.mkv")
    assert len(images) == 18
    assert report.complete
    assert report.warnings == (f"the first 2 packets of {path} cannot be decoded and are left out",)


@pytest.mark.parametrize("kind", ["sound", "cover", "no frame"])
def test_a_file_without_moving_pictures_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as output:
        if kind == "no frame":
            stream: Any = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            output.start_encoding()
        else:
            voice: Any = output.add_stream("aac", rate=48_000)
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            voice.codec_context.layout = "mono"
            frame.sample_rate = 48_000
            if kind == "cover":
                cover: Any = output.add_stream("mjpeg", rate=1)
                cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
                cover.disposition = av.stream.Disposition.attached_pic
                output.mux(cover.encode(av.VideoFrame(64, 48, "yuvj420p")))
                output.mux(cover.encode(None))
            output.mux(voice.encode(frame))
            output.mux(voice.encode(None))
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    what = "no moving picture" if kind == "no frame" else "sound only"
    assert caught.value.message == f"'{path}' holds {what}"
    assert caught.value.hint == "name a file with a video in it"


_WRITER = """
import sys
import numpy as np
from edgeunet.media.frames import Frame, StreamShape
from edgeunet.media.sinks import open_sink
from edgeunet.media.sources import open_source
sink = open_sink(sys.argv[1], StreamShape(48, 64, 25.0, None), open_source("test://?size=48x64"))
random = np.random.default_rng(0)
for index in range(250):
    image = random.integers(0, 256, (48, 64, 3), np.uint8)
    sink.write(image, Frame(index, index / 25, image))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_was_written_plays_after_a_kill(tmp_path: Path, suffix: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / f"out{suffix}")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"written\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    (left,) = tmp_path.iterdir()
    images, _ = copy(left, tmp_path / "again.avi")
    # Of ten seconds, at most the last two are lost.
    assert len(images) >= 200
    # The next run into the same file gives it a name; what plays not at all goes, and the file of
    # another target, whose name only begins like it, stays.
    (tmp_path / f".out-abcdefgh.partial{suffix}").write_bytes(b"nothing of it plays")
    other = tmp_path / f".out-x-abcdefgh.partial{suffix}"
    other.write_bytes(b"of out-x")
    notes: list[str] = []
    bundle = tiny_bundle(tmp_path / "bundles").path
    out = tmp_path / f"out{suffix}"
    options = RunOptions("test://?size=48x64&frames=2", bundle, (str(out),))
    run_pipeline(options, on_note=notes.append)
    recovered = tmp_path / f"out-recovered-1{suffix}"
    assert notes[-1] == f"what a killed run had written of {out} is in {recovered}"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == suffix) == sorted(
        [other.name, out.name, recovered.name]
    )
    assert len(copy(recovered, tmp_path / "again.avi")[0]) == len(images)
