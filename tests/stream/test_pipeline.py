from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.errors import EngineError, SinkError, SourceError, UsageError
from edgeunet.media.frames import Frame
from edgeunet.media.sinks.video import VideoSink
from edgeunet.media.sources.pattern import PatternSource
from edgeunet.metrics import psnr_db
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image, Task
from edgeunet.stream import RunOptions, RunSummary, opening, run_pipeline, slots
from edgeunet.stream.opening import StoppedWhileOpening
from tests.bundle.tiny import tiny_bundle, windowed_bundle
from tests.media.clips import (
    listing,
    picture,
    read_image,
    read_video,
    write_image,
    write_video,
)

REPOSITORY = Path(__file__).resolve().parents[2]
STREET = REPOSITORY.parent / "shared" / "data" / "clips" / "car-detection.mp4"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundles")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def run(
    bundle: Bundle, source: Path | str, sink: Path | str = "none", **more: object
) -> RunSummary:
    options = RunOptions(source=str(source), bundle=bundle.path, sinks=(str(sink),), **more)  # type: ignore[arg-type]
    return run_pipeline(options)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_video_keeps_its_frames_size_and_rate(
    tmp_path: Path, bundle: Bundle, out: Path, suffix: str
) -> None:
    clip = write_video(tmp_path / f"clip{suffix}", 30)
    summary = run(bundle, clip, out / f"out{suffix}")
    frames, rate = read_video(out / f"out{suffix}")
    assert len(frames) == summary.frames == 30
    assert frames[0].shape == (48, 64, 3)
    assert rate == summary.frame_rate == 12.5
    assert summary.complete
    assert summary.warnings == ()
    assert summary.engine == "onnxruntime"
    assert summary.latency_ms is not None
    assert summary.latency_ms.p50 <= summary.latency_ms.p99
    assert listing(out) == [f"out{suffix}"]


def test_what_is_written_is_what_the_network_says(
    bundle: Bundle, tmp_path: Path, out: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for index in range(3):
        write_image(images / f"shot{index}.png", picture(index))
    run(bundle, images, f"{out}/")
    executor = Executor(bundle)
    for index in range(3):
        expected = executor.run(picture(index))["denoised"][0]
        assert np.array_equal(read_image(out / f"shot{index}.png"), expected)


def test_noise_is_measured_and_repeatable(bundle: Bundle, out: Path) -> None:
    source = "test://?size=48x64&frames=6"
    one = run(bundle, source, out / "one.mkv", noise_sigma=25.0, seed=3)
    two = run(bundle, source, out / "two.mkv", noise_sigma=25.0, seed=3)
    assert one.quality == two.quality
    assert one.quality is not None
    assert one.quality.after is not None
    assert 19 < one.quality.before < 22
    assert one.quality.after > one.quality.before + 3
    first, second = read_video(out / "one.mkv")[0], read_video(out / "two.mkv")[0]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_noise_without_a_denoiser_is_measured_before_only(tmp_path: Path) -> None:
    labels_only = tiny_bundle(tmp_path, tasks=(Task.SEGMENT,))
    summary = run(labels_only, "test://?frames=2", noise_sigma=25.0)
    assert summary.quality is not None
    assert summary.quality.after is None
    assert summary.view == "overlay"


def test_full_strength_makes_no_blender(
    bundle: Bundle, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(bundle, "test://?size=48x64&frames=2", out / "before.mkv", noise_sigma=25.0)

    def never(*arguments: object) -> None:
        raise AssertionError("nothing is blended at full strength")

    monkeypatch.setattr(slots, "Blender", never)
    monkeypatch.setattr("edgeunet.media.opencv.blend", never)
    source = "test://?size=48x64&frames=2"
    summary = run(bundle, source, out / "after.mkv", noise_sigma=25.0, strength=1.0)
    assert summary.strength == 1
    before, after = read_video(out / "before.mkv")[0], read_video(out / "after.mkv")[0]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("view", ["denoised", "side-by-side", "overlay"])
def test_strength_is_a_share_of_the_denoising(tmp_path: Path, out: Path, view: str) -> None:
    denoiser = tiny_bundle(tmp_path / "bundles", tasks=(Task.DENOISE,))
    write_image(tmp_path / "shot.png", picture(3))
    answer = Executor(denoiser).run(picture(3))["denoised"][0].astype(float)
    for strength in (0.0, 0.3, 1.0):
        target = out / f"{strength}.png"
        run(denoiser, tmp_path / "shot.png", target, strength=strength, view=view)
        # A caption and a separator are in the way at the bottom and in the middle.
        written = read_image(target)[:20, -62:].astype(float)
        wanted = picture(3) + strength * (answer - picture(3))
        assert np.abs(written - wanted[:20, -62:]).max() <= 0.5 + 1e-4


def test_psnr_is_that_of_what_is_written(bundle: Bundle, out: Path) -> None:
    source = "test://?size=48x64&frames=3"
    figures = [
        run(bundle, source, noise_sigma=25.0, strength=strength).quality
        for strength in (0.0, 0.5, 1.0)
    ]
    none, half, full = (figure.after for figure in figures if figure is not None)
    assert none == figures[0].before  # type: ignore[union-attr]
    assert none is not None
    assert half is not None
    assert full is not None
    assert none < half < full
    run(bundle, source, out / "clean.mkv", strength=0.0)
    run(bundle, source, out / "half.mkv", noise_sigma=25.0, strength=0.5)
    clean, written = read_video(out / "clean.mkv")[0], read_video(out / "half.mkv")[0]
    found = [psnr_db(a, b, peak=255) for a, b in zip(written, clean, strict=True)]
    assert half == pytest.approx(np.mean(found), abs=1e-3)


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan"), float("inf")])
def test_impossible_strengths_are_refused(bundle: Bundle, out: Path, strength: float) -> None:
    with pytest.raises(UsageError, match="is not a strength") as caught:
        run(bundle, "test://", out / "out.mp4", strength=strength)
    assert caught.value.message == f"{strength:g} is not a strength"
    assert caught.value.hint == (
        "use a number from 0, the frame itself, to 1, the network's answer"
    )
    assert listing(out) == []


def test_strength_without_a_denoised_output_is_refused(tmp_path: Path, out: Path) -> None:
    labels_only = tiny_bundle(tmp_path, tasks=(Task.SEGMENT,))
    with pytest.raises(UsageError, match="tiny has no denoised output") as caught:
        run(labels_only, "test://", out / "out.mp4", strength=0.5)
    assert caught.value.hint == "leave --strength out, or run a bundle that denoises"
    assert listing(out) == []
    assert run(labels_only, "test://?frames=1", strength=1.0).frames == 1


def test_a_run_with_a_frame_limit_is_complete(bundle: Bundle, out: Path) -> None:
    summary = run(bundle, "test://?frames=0", out / "out.mp4", frame_limit=7)
    assert summary.frames == len(read_video(out / "out.mp4")[0]) == 7
    assert summary.complete
    run(bundle, "test://?frames=0", out / "one.png", frame_limit=1)
    assert read_image(out / "one.png").shape == (48, 64, 3)


def test_side_by_side_doubles_the_width(bundle: Bundle, out: Path) -> None:
    run(bundle, "test://?frames=2", out / "out.mp4", view="side-by-side")
    assert read_video(out / "out.mp4")[0][0].shape == (48, 128, 3)


def test_another_size_is_refused_before_anything_is_written(bundle: Bundle, out: Path) -> None:
    with pytest.raises(SourceError, match=r"is 32x40, tiny.bundle takes 48x64") as caught:
        run(bundle, "test://?size=32x40", out / "out.mp4")
    assert caught.value.hint.endswith("edgeunet export --model tiny --size 32x40 --fp32")
    assert listing(out) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"frame_limit": 0}, "0 is not a number of frames"),
        ({"noise_sigma": -1.0}, "-1 is not a noise level"),
        ({"view": "nothing"}, "there is no view 'nothing'"),
        ({"threads": 0}, "0 is not a number of threads"),
        ({"threads": 100_000}, "100000 threads are far more than this machine"),
        ({"engine": "cuda"}, "there is no engine 'cuda'"),
    ],
)
def test_impossible_options_are_refused(
    bundle: Bundle, out: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(bundle, "test://", out / "out.mp4", **more)
    assert listing(out) == []


def test_a_stop_keeps_what_was_written(bundle: Bundle, out: Path) -> None:
    stop = threading.Event()

    def on_frame(done: int, total: int | None, rate: float) -> None:
        assert total is None
        if done == 5:
            stop.set()

    options = RunOptions("test://?frames=0", bundle.path, (str(out / "out.mp4"),))
    summary = run_pipeline(options, on_frame=on_frame, stop=stop)
    assert summary.interrupted
    assert not summary.complete
    assert summary.frames == len(read_video(out / "out.mp4")[0]) == 5


def test_a_stop_before_the_first_frame_leaves_nothing(bundle: Bundle, out: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedWhileOpening, match="interrupted before the first frame"):
        run_pipeline(RunOptions("test://", bundle.path, (str(out / "o.mp4"),)), stop=stop)
    assert listing(out) == []


@pytest.mark.parametrize("where", ["engine", "sink"])
def test_a_raw_interrupt_keeps_what_was_written(
    bundle: Bundle, out: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    owner, method = (Executor, "run") if where == "engine" else (VideoSink, "write")
    original = getattr(owner, method)

    def interrupt(self: object, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(owner, method, interrupt)
    summary = run(bundle, "test://?frames=0", out / "out.mp4")
    assert summary.interrupted
    assert len(read_video(out / "out.mp4")[0]) == 3
    assert listing(out) == ["out.mp4"]


def test_a_failing_engine_keeps_the_frames_before_it(
    bundle: Bundle, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Executor.run
    calls = 0

    def fail(self: Executor, image: np.ndarray, into: Mapping[str, Array]) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise EngineError("out of memory", hint="buy more")
        return original(self, image, into)

    monkeypatch.setattr(Executor, "run", fail)
    with pytest.raises(EngineError) as caught:
        run(bundle, "test://?frames=9", out / "out.mp4")
    assert caught.value.message == f"out of memory; the 3 frames written are kept in {out}/out.mp4"
    assert len(read_video(out / "out.mp4")[0]) == 3
    calls = 3
    with pytest.raises(EngineError, match=r"^out of memory$"):
        run(bundle, "test://?frames=9", out / "none.mp4")
    assert listing(out) == ["out.mp4"]


def test_a_failing_sink_leaves_nothing(
    bundle: Bundle, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: VideoSink, image: Image, frame: Frame) -> bool:
        if frame.index == 3:
            raise SinkError("the disk is full", hint="free some space")
        return write(self, image, frame)

    write = VideoSink.write
    monkeypatch.setattr(VideoSink, "write", fail)
    with pytest.raises(SinkError, match=r"^the disk is full$"):
        run(bundle, "test://?frames=9", out / "out.mp4")
    assert listing(out) == []


def test_a_viewer_may_close_the_window(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeunet.media.sinks import NoSink

    class Closing(NoSink):
        def write(self, image: object, frame: object) -> bool:
            return False

    monkeypatch.setattr(opening, "open_sink", lambda *_: Closing())
    summary = run(bundle, "test://?frames=99", "window://")
    assert (summary.complete, summary.interrupted) == (False, False)
    assert [(sink.written, sink.closed) for sink in summary.sinks] == [(1, True)]
    assert summary.frames < 9


def test_a_camera_that_comes_back_starts_anew(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    read, answer = PatternSource.read, Executor.run

    def with_losses(self: PatternSource) -> Frame | None:
        frame = read(self)
        return frame and dataclasses.replace(frame, reconnections=frame.index // 3)

    def noted(self: Executor, image: Image, into: Mapping[str, Array]) -> Mapping[str, Array]:
        seen.append("frame")
        return answer(self, image, into)

    monkeypatch.setattr(PatternSource, "read", with_losses)
    monkeypatch.setattr(Executor, "run", noted)
    monkeypatch.setattr(Executor, "restart", lambda self: seen.append("anew"))
    run(bundle, "test://?frames=7")
    assert seen == [*["frame"] * 3, "anew", *["frame"] * 3, "anew", "frame"]


def test_many_skipped_images_are_not_all_listed(bundle: Bundle, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write_image(images / "a.png", picture(0))
    for index in range(8):
        (images / f"b{index}.png").write_bytes(b"broken")
    summary = run(bundle, images)
    assert (summary.frames, len(summary.skipped), summary.complete) == (1, 8, False)
    assert summary.warnings[0] == "left out: b0.png is not a readable image"
    assert summary.warnings[-1] == "left out: 3 more"
    assert len(summary.warnings) == 6


def test_a_live_source_reports_what_it_dropped(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    original = Executor.run

    def slow(self: Executor, image: np.ndarray, into: Mapping[str, Array]) -> object:
        time.sleep(0.03)
        return original(self, image, into)

    monkeypatch.setattr(Executor, "run", slow)
    summary = run(bundle, "test://?frames=20&fps=200&live=1")
    assert summary.dropped > 3
    assert summary.frames + summary.dropped + summary.early == 20
    assert summary.complete
    assert summary.warnings == (
        f"{summary.dropped} of {20 - summary.early} frames came faster than they could be worked "
        "on and were dropped",
    )


@pytest.mark.parametrize(("live", "large"), [(0, False), (1, False), (0, True)])
def test_a_camera_is_rehearsed_and_a_file_if_that_is_quick(
    live: int, large: bool, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsed: list[float] = []
    monkeypatch.setattr(Executor, "rehearse", lambda self: rehearsed.append(self.rehearsal_share))
    made = windowed_bundle(tmp_path) if large else bundle
    assert run(made, f"test://?frames=1&live={live}").frames == 1
    assert rehearsed == ([pytest.approx(1 / 12)] if large else [1.0] * live)


@pytest.mark.skipif(not STREET.is_file(), reason=f"there is no {STREET.name} beside the checkout")
def test_a_street_clip_comes_out_with_all_its_frames(tmp_path: Path, out: Path) -> None:
    large = tiny_bundle(tmp_path / "large", 432, 768)
    summary = run(large, STREET, out / "street.mp4")
    frames, rate = read_video(out / "street.mp4")
    assert (len(frames), rate) == (377, 12.5)
    assert {frame.shape for frame in frames} == {(432, 768, 3)}
    assert summary.complete
