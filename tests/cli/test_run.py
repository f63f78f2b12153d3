from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeunet.cli import main, verbs
from tests.bundle.tiny import tiny_bundle
from tests.media.clips import cut, listing, picture, read_video, write_image, write_video

REPOSITORY = Path(__file__).resolve().parents[2]

Run = Callable[..., tuple[int, str, str]]

# The other verbs are tested elsewhere; these tests shall not depend on what they import.
ONLY_RUN = {"run": "run"}

PROGRAM = """
import sys
BLOCKED = {blocked!r}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in BLOCKED:
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Absent())
from edgeunet.cli import main, verbs
verbs.VERBS = {verbs!r}
code = main(sys.argv[1:])
loaded = set(BLOCKED) & set(sys.modules)
sys.exit(f'imported {{loaded}}' if loaded else code)
"""


def program(*arguments: str, blocked: tuple[str, ...] = ()) -> list[str]:
    code = PROGRAM.format(blocked=blocked, verbs=ONLY_RUN)
    return [sys.executable, "-c", code, *arguments]


def start(*arguments: str, blocked: tuple[str, ...] = (), **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        program(*arguments, blocked=blocked),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(tiny_bundle(tmp_path / "bundles").path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def run(bundle: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(verbs, "VERBS", ONLY_RUN)

    def call(*arguments: object) -> tuple[int, str, str]:
        words = [str(argument) for argument in arguments]
        if "--bundle" not in words:
            words += ["--bundle", bundle]
        code = main(["run", *words])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return call


def two_lines(err: str) -> tuple[str, str]:
    """Return the message and the hint; nothing else may have been written."""
    lines = err.splitlines()
    assert len(lines) == 2, err
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    return lines[0].removeprefix("error: "), lines[1].removeprefix("hint: ")


def test_a_run_prints_a_table(run: Run, tmp_path: Path, out: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 12)
    code, printed, err = run(clip, out / "out.mp4", "--noise", "25")
    assert (code, err) == (0, "")
    for text in ("clip.mp4 (48x64)", "out.mp4 (denoised)", "onnxruntime", "PSNR noisy / denoised"):
        assert text in printed
    assert len(read_video(out / "out.mp4")[0]) == 12


def test_json_is_one_document(run: Run, bundle: str) -> None:
    code, printed, err = run("test://?frames=5", "--noise", "25", "--seed", "4", "--json")
    assert (code, err) == (0, "")
    document = json.loads(printed)
    assert set(document) == {
        *("source", "sink", "bundle", "engine", "view", "frames", "skipped", "dropped"),
        *(
            "early",
            "reconnections",
            "damaged",
            "complete",
            "warnings",
            "size",
            "frame_rate",
            "fps",
            "latency_ms",
            "age_ms",
        ),
        "psnr_db",
    }
    assert (document["frames"], document["size"], document["frame_rate"]) == (5, "48x64", 25.0)
    assert document["complete"] is True
    assert set(document["latency_ms"]) == {"p50", "p95", "p99", "mean"}
    assert document["psnr_db"]["after"] > document["psnr_db"]["before"]
    assert json.loads(run("test://?frames=1", "--json")[1])["psnr_db"] is None


def test_strength_is_said_where_it_is_not_full(run: Run) -> None:
    words = ("test://?frames=2", "--noise", "25")
    code, printed, err = run(*words, "--strength", "0.25", "--json")
    assert (code, err) == (0, "")
    weak, full = json.loads(printed), json.loads(run(*words, "--strength", "1", "--json")[1])
    assert weak["strength"] == 0.25
    assert "strength" not in full
    assert weak["psnr_db"]["after"] < full["psnr_db"]["after"]
    assert re.search(r"strength +0\.25", run(*words, "--strength", "0.25")[1])
    assert "strength" not in run(*words)[1]


@pytest.mark.parametrize("strength", ["-0.5", "1.5", "nan"])
def test_no_strength(run: Run, strength: str) -> None:
    code, printed, err = run("test://", f"--strength={strength}")
    assert (code, printed) == (2, "")
    assert two_lines(err)[0] == f"{strength} is not a strength"


def test_a_cut_video_is_kept_as_far_as_it_goes(run: Run, tmp_path: Path, out: Path) -> None:
    clip = cut(write_video(tmp_path / "clip.avi", 60), 0.6)
    code, printed, err = run(clip, out / "out.mp4", "--json")
    document = json.loads(printed)
    assert code == 1
    assert document["complete"] is False
    assert document["frames"] == len(read_video(out / "out.mp4")[0]) > 20
    message, hint = two_lines(err)
    assert message.startswith(document["warnings"][0])
    assert "is cut off after 31 frames: at least " in message
    assert message.endswith(f"the {document['frames']} frames written are kept in {out}/out.mp4")
    assert hint.startswith("get the whole file")


def test_skipped_images_end_in_an_error_after_the_work(run: Run, tmp_path: Path, out: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for index in range(4):
        write_image(images / f"{index}.png", picture(index))
    (images / "2.png").write_bytes(b"broken")
    write_image(images / "3.png", picture(3, 32, 32))
    code, printed, err = run(images, f"{out}/", "--json")
    assert code == 1
    assert listing(out) == ["0.png", "1.png"]
    assert json.loads(printed)["skipped"] == 2
    assert err.splitlines() == [
        "warning: left out: 2.png is not a readable image",
        "warning: left out: 3.png is 32x32, not 48x64",
        f"error: 2 images of {images} left out (2.png is not a readable image); "
        "the other 2 were worked on",
        "hint: mend or remove what the warnings name, and run again",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["absent.mp4"], 1, "there is no file or folder 'absent.mp4'", "test://"),
        (["rstp://x"], 2, "there is no source rstp://", "did you mean 'rtsp'?"),
        (["test://?size=30x40"], 1, "is 30x40, tiny.bundle takes 48x64", "--size 30x40 --fp32"),
        (["test://", "out.xyz"], 2, "suffix '.xyz' is not one that", "video: .mp4"),
        (["test://", "--engine", "tensorrt"], 1, "has no TensorRT plans", "edgeunet build"),
        (["test://", "--engine", "onnx"], 2, "no engine 'onnx'", "did you mean 'onnxruntime'?"),
        (["test://", "--view", "label"], 2, "no view 'label'", "did you mean 'labels'?"),
        (["test://", "--frames", "0"], 2, "0 is not a number of frames", "--frames 1"),
        (["test://", "--noise", "999"], 2, "999 is not a noise level", "0 to 255"),
        (["test://", "--bundle", "absent"], 1, "no bundle folder 'absent'", "edgeunet export"),
        ([], 2, "Missing argument 'SOURCE'", "edgeunet run --help"),
    ],
)
def test_mistakes_end_in_two_lines(
    run: Run,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
    hint: str,
) -> None:
    monkeypatch.chdir(out)
    given, printed, err = run(*arguments)
    said, advised = two_lines(err)
    assert (given, printed) == (code, "")
    assert message in said
    assert hint in advised
    assert listing(out) == []


def test_a_text_file_that_calls_itself_a_video(run: Run, tmp_path: Path, out: Path) -> None:
    (tmp_path / "fake.mp4").write_text("hello world\n" * 100)
    code, _, err = run(tmp_path / "fake.mp4", out / "out.mp4")
    assert code == 1
    assert "is not a video that can be read" in two_lines(err)[0]
    assert listing(out) == []


def test_a_source_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 5)
    before = clip.read_bytes()
    code, _, err = run(clip, clip)
    assert code == 2
    assert two_lines(err) == (f"'{clip}' is the source itself", "name another file for the output")
    assert clip.read_bytes() == before


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(run: Run, out: Path) -> None:
    out.chmod(0o555)
    code, _, err = run("test://?frames=2", out / "out.mp4")
    out.chmod(0o755)
    assert code == 1
    assert "Permission denied" in two_lines(err)[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [("out.mp4", ()), ("out.avi", ()), ("out.mkv", ("--json-lines",)), ("out/", ("--json",))],
)
def test_a_disk_that_takes_no_more(
    bundle: str, out: Path, name: str, words: tuple[str, ...]
) -> None:
    """A limit on the size of files stands for a full disk: writing fails in the same silence."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    arguments = ("run", "test://?frames=40", f"{out}/{name}", "--noise", "60", "--bundle", bundle)
    process = start(*arguments, *words, preexec_fn=limit)
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 1
    message, _ = two_lines(err)
    if words:
        document = json.loads(printed)
        assert document["error"] == message
        assert document["sink"] == f"{out}/{name}"
        assert not document["complete"]
    else:
        assert printed == ""
    assert "could be written; nothing was kept" in message or "File too large" in message
    # The first frames of a video may fit.
    kept = listing(out)
    assert kept in ([], [f"out.part{Path(name).suffix}"])
    assert all(f", is kept in '{out / one}'" in message for one in kept)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_a_playable_video(bundle: str, out: Path, number: int, code: int) -> None:
    process = start("run", "test://?frames=0", f"{out}/out.mp4", "--json", "--bundle", bundle)
    deadline = time.monotonic() + 30
    while not listing(out) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(number)
    printed, err = process.communicate(timeout=30)
    assert process.returncode == code
    document = json.loads(printed)
    assert document["complete"] is False
    assert listing(out) == ["out.mp4"]
    assert len(read_video(out / "out.mp4")[0]) == document["frames"] > 0
    assert two_lines(err) == (
        f"interrupted: the {document['frames']} frames written are kept in {out}/out.mp4",
        "run the command again to start over",
    )


def test_a_device_needs_neither_torch_nor_onnx(bundle: str, tmp_path: Path, out: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 6)
    blocked = ("torch", "onnx", "onnx_ir", "onnxscript", "matplotlib", "safetensors")
    arguments = ("run", str(clip), f"{out}/out.mp4", "--view", "overlay", "--bundle", bundle)
    process = start(*arguments, blocked=blocked)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert len(read_video(out / "out.mp4")[0]) == 6


def test_without_opencv_there_is_the_pattern_and_a_clear_word(bundle: str, out: Path) -> None:
    process = start("run", "test://?frames=3", "--bundle", bundle, blocked=("cv2",))
    printed, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "tiny.bundle" in printed
    arguments = ("run", "test://?frames=3", f"{out}/out.mp4", "--bundle", bundle)
    process = start(*arguments, blocked=("cv2", "av"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert two_lines(err) == (
        "reading and writing frames needs the package 'opencv-python', which is not installed",
        'pip install "edgeunet[video]"',
    )
    assert listing(out) == []
