from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeunet.bundle import Bundle, write_bundle
from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import BundleError, EdgeUnetError, EngineError, SourceError
from edgeunet.recipes import load_recipe
from edgeunet.run.executor import Executor
from edgeunet.run.source_size import check_size
from edgeunet.specs import Array, Image, Precision, Task
from edgeunet.units import MIB
from tests.bundle.tiny import (
    tiny_bundle,
    tiny_graph,
    tiny_manifest,
    windowed_bundle,
    windowed_files,
    windowed_manifest,
)
from tests.media.clips import picture
from tests.run.comparing import answers


def box_mean(image: np.ndarray) -> np.ndarray:
    padded = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    counts = np.pad(np.ones(image.shape[:2]), 1)
    height, width = image.shape[:2]
    windows = [(row, column) for row in range(3) for column in range(3)]
    total = sum(padded[r : r + height, c : c + width] for r, c in windows)
    count = sum(counts[r : r + height, c : c + width] for r, c in windows)
    return np.asarray(total / np.asarray(count)[..., None])


def test_outputs_are_what_the_graph_computes(tmp_path: Path) -> None:
    tasks = (Task.DENOISE, Task.SEGMENT, Task.CLASSIFY)
    executor = Executor(tiny_bundle(tmp_path, tasks=tasks))
    image = picture(3)
    outputs = executor.run(image)
    expected = box_mean(image)
    assert np.abs(outputs["denoised"][0] - expected).max() <= 0.51
    assert np.mean(outputs["labels"][0] == expected.argmax(axis=2)) > 0.99
    assert outputs["scores"].sum() == pytest.approx(1.0, abs=1e-5)
    executor.close()


def test_a_frame_costs_no_allocation(tmp_path: Path) -> None:
    executor = Executor(tiny_bundle(tmp_path, 256, 256), threads=1)
    image = picture(1, 256, 256)
    first = executor.run(image)["denoised"]
    tracemalloc.start()
    second = executor.run(image)["denoised"]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert second is first
    assert peak_bytes < image.nbytes / 10
    executor.close()


def blurred_twice(tmp_path: Path, image: np.ndarray) -> np.ndarray:
    """The whole frame through the same graph, two times."""
    height, width = image.shape[:2]
    once = Executor(tiny_bundle(tmp_path, height, width, (Task.DENOISE,)))
    step = once.run(image)["denoised"][0].copy()
    return np.array(once.run(step)["denoised"])


def test_stages_hand_their_tensors_on(tmp_path: Path) -> None:
    image = picture(3)
    twice = Executor(windowed_bundle(tmp_path))
    assert np.array_equal(twice.run(image)["denoised"], blurred_twice(tmp_path, image))


def test_outputs_end_at_the_frame_and_its_padding_stays_zero(tmp_path: Path) -> None:
    executor = Executor(windowed_bundle(tmp_path, 45, 61))
    for seed in (1, 2):
        image = picture(seed, 45, 61)
        padded = np.zeros((48, 64, 3), np.uint8)
        padded[:45, :61] = image
        denoised = executor.run(image)["denoised"]
        assert denoised.shape == (1, 45, 61, 3)
        assert np.array_equal(denoised, blurred_twice(tmp_path, padded)[:, :45, :61])


def test_a_windowed_frame_costs_no_allocation(tmp_path: Path) -> None:
    executor = Executor(windowed_bundle(tmp_path, 256, 256, (64, 64)), threads=1)
    image = picture(1, 256, 256)
    first = executor.run(image)["denoised"]
    peaks = []
    for _ in range(4):
        tracemalloc.start()
        assert executor.run(image)["denoised"] is first
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < image.nbytes / 10
    executor.close()


def test_a_stage_without_its_input_is_refused(tmp_path: Path) -> None:
    manifest = windowed_manifest(48, 64, (16, 24))
    manifest = msgspec.structs.replace(manifest, stages=manifest.stages[1:])
    bundle = write_bundle(tmp_path / "x.bundle", manifest, windowed_files(manifest))
    with pytest.raises(BundleError, match="no earlier stage makes 'soft' for 'twice'"):
        Executor(bundle)


def opening(tmp_path: Path, manifest: Manifest) -> EdgeUnetError:
    bundle = write_bundle(tmp_path / "x.bundle", manifest, {"graph.onnx": tiny_graph(48, 64)})
    with pytest.raises(EdgeUnetError) as caught:
        Executor(bundle)
    return caught.value


def test_a_manifest_that_does_not_match_its_graph_is_refused(tmp_path: Path) -> None:
    manifest = tiny_manifest(48, 64)
    stage = manifest.stages[0]
    frame = msgspec.structs.replace(stage.inputs[0], dtype="int8")
    stage = msgspec.structs.replace(stage, inputs=(frame,))
    error = opening(tmp_path, msgspec.structs.replace(manifest, stages=(stage,)))
    assert error.message == (
        "x.bundle cannot be run: the graph of stage 'frame' is not what the manifest describes"
    )
    assert error.hint == "export it again: edgeunet export --help"
    assert opening(tmp_path, tiny_manifest(32, 32)).message == (
        "graph.onnx: 'denoised' was given as (1, 32, 32, 3) uint8"
    )


def test_an_output_that_no_stage_makes_is_refused(tmp_path: Path) -> None:
    manifest = tiny_manifest(48, 64)
    ghost = msgspec.structs.replace(manifest.outputs[0], name="ghost")
    manifest = msgspec.structs.replace(manifest, outputs=(*manifest.outputs, ghost))
    assert opening(tmp_path, manifest).message == (
        "x.bundle cannot be run: no stage makes the output 'ghost'"
    )


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    executor = Executor(tiny_bundle(tmp_path))
    with pytest.raises(SourceError, match=r"a frame is 32x32, tiny.bundle takes 48x64"):
        executor.run(picture(0, 32, 32))


def test_one_frame_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tiny_bundle(tmp_path)
    executor = Executor(bundle, threads=1)
    begun, go_on = threading.Event(), threading.Event()
    run = executor._space.run

    def slow(image: Image) -> Mapping[str, Array]:
        begun.set()
        assert go_on.wait(10)
        return {name: array.copy() for name, array in run(image).items()}

    monkeypatch.setattr(executor._space, "run", slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(executor.run, picture(1))
        assert begun.wait(10)
        with pytest.raises(EngineError) as refused:
            executor.run(picture(2))
        closing = threads.submit(executor.close)
        go_on.set()
        answer = first.result()["denoised"]
        closing.result()
    assert refused.value.message == "tiny.bundle is running a frame in another thread"
    assert refused.value.hint.startswith("give every thread an executor of its own")
    assert np.array_equal(answer, answers(bundle, "onnxruntime", (1,))[0]["denoised"])
    with pytest.raises(EngineError, match="tiny.bundle was closed"):
        executor.run(picture(1))


def test_a_frame_that_fails_leaves_the_next_one_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Executor(tiny_bundle(tmp_path), threads=1)

    def failing(image: Image) -> Mapping[str, Array]:
        raise EngineError("no", hint="")

    with monkeypatch.context() as broken, pytest.raises(EngineError, match="no"):
        broken.setattr(executor._space, "run", failing)
        executor.run(picture(1))
    assert set(executor.run(picture(1))) == {"denoised", "labels"}
    executor.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rehearsal_leaves_nothing(workers: int, tmp_path: Path) -> None:
    """It runs both stages once for every worker, and the next frame is a first one."""
    bundle = windowed_bundle(tmp_path)
    executor = Executor(bundle, threads=2, workers=workers)
    executor.rehearse()
    windows = executor._runs
    assert windows > 4
    assert executor.rehearsal_share == pytest.approx(2 * workers / windows)
    found = executor.run(picture(1))["denoised"]
    assert np.array_equal(found, answers(bundle, "onnxruntime", (1,))[0]["denoised"])
    executor.close()
    executor.rehearse()


def test_a_rehearsal_that_takes_too_much_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    executor = Executor(tiny_bundle(tmp_path), threads=1, on_note=notes.append)
    assert executor.rehearsal_share == 1
    executor.rehearse()
    assert notes == []
    executor.predicted_bytes = 4 * MIB
    held: list[Array] = []
    ran = executor._rehearsed[0]

    def takes_too_much() -> object:
        held.append(np.ones(6 * MIB, np.uint8))
        return ran()

    monkeypatch.setattr(executor, "_rehearsed", [takes_too_much])
    executor.rehearse()
    executor.close()
    (note,) = notes
    assert note.startswith("memory: the engine took 6.")
    assert "MiB, 4.0 MiB were predicted; edgeunet memory BUNDLE --measure says" in note


def test_the_hint_is_the_export_that_fits(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path)
    check_size(bundle, "clip.mp4", 48, 64)
    with pytest.raises(SourceError) as caught:
        check_size(bundle, "clip.mp4", 432, 768)
    assert caught.value.message == "'clip.mp4' is 432x768, tiny.bundle takes 48x64"
    assert caught.value.hint == (
        "make a bundle of its size: edgeunet export --model tiny --size 432x768 --fp32"
    )
    manifest = msgspec.structs.replace(
        bundle.manifest, precision=Precision.INT8, calibration="street"
    )
    with pytest.raises(SourceError) as caught:
        check_size(Bundle(bundle.path, manifest), "clip.mp4", 432, 768)
    assert caught.value.hint.endswith("--size 432x768 --int8 --calibration street")


def test_the_hint_names_a_width_that_is_not_the_shipped_one(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path)

    def hint_at(width: int) -> str:
        recipe = load_recipe("unetmm").with_width(width)
        manifest = msgspec.structs.replace(bundle.manifest, recipe=recipe)
        with pytest.raises(SourceError) as caught:
            check_size(Bundle(bundle.path, manifest), "clip.mp4", 432, 768)
        return caught.value.hint

    assert hint_at(24).endswith("--model unetmm --size 432x768 --width 24 --fp32")
    assert hint_at(16).endswith("--model unetmm --size 432x768 --fp32")


def test_no_export_is_suggested_that_would_be_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        check_size(tiny_bundle(tmp_path), "icon.png", 8, 640)
    assert caught.value.hint == "give a source of 16 pixels or more on each side"
