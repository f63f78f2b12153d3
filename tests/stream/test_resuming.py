"""Runs that go on from the memory of an earlier run."""

from __future__ import annotations

import dataclasses
import threading
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeunet.bundle import Bundle
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.errors import BundleError, SinkError, UsageError
from edgeunet.models.network import build_network
from edgeunet.models.weights import save_weights
from edgeunet.run.memory_file import load_memory
from edgeunet.specs import Image, Precision
from edgeunet.stream import RunOptions, run_pipeline
from edgeunet.stream.delivery import SinkThread
from tests.bundle.tiny import tiny_bundle
from tests.cli.command import edgeunet
from tests.convert.test_remembering import remembering
from tests.media.clips import read_image, write_image

HEIGHT, WIDTH = 48, 64
CUT = 4
"""The clip shows another scene from this frame on, and the run is cut in two there."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle of a network that trusts its memory."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = remembering("fuse")
    network = build_network(recipe, seed=1)
    assert network.recurrence is not None
    network.recurrence.trust.strength.data.fill_(1.0)
    weights = folder / "mine.safetensors"
    save_weights(network, recipe, weights)
    order = ExportOrder(recipe, HEIGHT, WIDTH, Precision.FP32, weights)
    return draft_bundle(order, folder / "it.bundle")


def images(folder: Path, first: int = 0, last: int = 8) -> Path:
    """Write a part of a noisy clip with a cut, and return the folder."""
    generator = np.random.default_rng(0)
    scenes = np.repeat(np.repeat(generator.integers(0, 256, (2, 3, 4, 3)), 16, 1), 16, 2)
    clip = [scenes[int(n >= CUT)] + generator.normal(0, 10, (HEIGHT, WIDTH, 3)) for n in range(8)]
    folder.mkdir()
    for number in range(first, last):
        image = np.clip(np.rint(clip[number]), 0, 255).astype(np.uint8)
        write_image(folder / f"{number}.png", image)
    return folder


def answers(bundle: Bundle, source: Path, resume: Path | None, **more: object) -> list[Image]:
    """Run a folder of images, and return what was written."""
    out = source.with_name(f"{source.name}-out")
    options = RunOptions(
        source=str(source),
        bundle=bundle.path,
        sinks=(f"{out}/",),
        engine="onnxruntime",
        threads=1,
        resume=resume,
        **more,  # type: ignore[arg-type]
    )
    run_pipeline(options)
    return [read_image(path) for path in sorted(out.iterdir())]


@pytest.mark.parametrize("cut", [CUT, CUT - 1])
def test_a_run_in_two_parts_gives_the_bytes_of_one(whole: Bundle, tmp_path: Path, cut: int) -> None:
    memory = tmp_path / "memory.state"
    wanted = answers(whole, images(tmp_path / "all"), None)
    first = answers(whole, images(tmp_path / "first", 0, cut), memory)
    second = answers(whole, images(tmp_path / "second", cut), memory)
    assert len(wanted) == 8
    assert all(map(np.array_equal, [*first, *second], wanted))
    anew = answers(whole, images(tmp_path / "anew", cut), None)
    # The scene changes at CUT, so a run that is cut there starts anew in both cases.
    assert np.array_equal(anew[0], second[0]) == (cut == CUT)


def test_a_run_that_is_stopped_leaves_its_memory(whole: Bundle, tmp_path: Path) -> None:
    stop = threading.Event()
    memory = tmp_path / "memory"
    source = images(tmp_path / "all")
    options = RunOptions(source=str(source), bundle=whole.path, resume=memory, threads=1)

    def after(frames: int, total: int | None, rate: float) -> None:
        if frames == 3:
            stop.set()

    said: list[str] = []
    summary = run_pipeline(options, on_frame=after, on_note=said.append, stop=stop)
    assert summary.interrupted
    assert f"{memory} is not there yet: the run starts anew" in said
    kept, _ = load_memory(memory, whole)
    said.clear()
    answers(whole, images(tmp_path / "first", 0, summary.frames), tmp_path / "other")
    wanted, age_s = load_memory(tmp_path / "other", whole)
    assert 0 <= age_s < 60
    assert sorted(kept) == ["count", "fused", "previous", "scene"]
    assert all(np.array_equal(kept[name], wanted[name]) for name in wanted)


def test_a_failed_run_leaves_its_memory_and_its_own_error(
    whole: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: SinkThread, slot: object) -> None:
        raise SinkError("the disk is full", hint="free some")

    monkeypatch.setattr(SinkThread, "offer", full)
    memory = tmp_path / "memory"
    with pytest.raises(SinkError, match="the disk is full"):
        answers(whole, images(tmp_path / "all"), memory)
    assert load_memory(memory, whole)[0]["previous"].any()


def test_without_a_frame_an_earlier_memory_stays(whole: Bundle, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    source = images(tmp_path / "all")
    answers(whole, source, memory)
    before = memory.read_bytes()
    stop = threading.Event()
    stop.set()
    options = RunOptions(source=str(source), bundle=whole.path, resume=memory)
    with pytest.raises(Exception, match="interrupted"):
        run_pipeline(options, stop=stop)
    assert memory.read_bytes() == before


def test_what_is_no_memory_of_the_bundle_is_refused(whole: Bundle, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    source = images(tmp_path / "all", 0, 1)
    answers(whole, source, memory)
    data = memory.read_bytes()
    another = msgspec.structs.replace(whole.manifest, digest="0" * 64)
    with pytest.raises(BundleError, match="of another bundle: it.bundle, 48x64, SHA-256") as caught:
        load_memory(memory, dataclasses.replace(whole, manifest=another))
    assert caught.value.hint == "give --resume another file; one that is not there yet starts anew"
    with zipfile.ZipFile(tmp_path / "squeezed", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", bytes(1000))
    words = ("run", source, "--bundle", whole.path, "--resume", memory)
    for damaged in (
        b"",
        b"PK",
        data[: len(data) // 2],
        data.replace(b"about", b"abuot"),
        data.replace(b"previous", b"prevoius"),
        data.replace(b"previous.npy", b"previous.txt"),
        data[:2000] + bytes(64) + data[2064:],
        (tmp_path / "squeezed").read_bytes(),
    ):
        memory.write_bytes(damaged)
        refused = edgeunet(*words)
        assert refused.code == 1
        assert refused.failure[0] == f"{memory} holds no memory of a run, or is damaged"
        assert memory.read_bytes() == damaged
    memory.unlink()
    memory.mkdir()
    refused = edgeunet(*words)
    assert refused.code == 1
    assert "Is a directory" in refused.failure[0]


def test_what_cannot_go_on_is_refused(whole: Bundle, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    source = images(tmp_path / "all")
    tiny = tiny_bundle(tmp_path / "tiny")
    words = ("run", source, "--resume", memory, "--bundle")
    refused = edgeunet(*words, tiny.path)
    assert refused.code == 2
    assert refused.failure == (f"{tiny.path.name} remembers no frames", "leave --resume out")
    refused = edgeunet(*words, whole.path, "--temporal", "off")
    assert refused.code == 2
    assert refused.failure[0] == "--resume goes on from a memory, and --temporal off has none"
    refused = edgeunet(*words, whole.path, f"{tmp_path}/out/", "--jobs", "2")
    assert refused.failure[0] == "--resume is not for many files"
    refused = edgeunet("run", source, "--bundle", whole.path, "--resume", source / "0.png" / "m")
    assert refused.code == 1
    assert "Not a directory" in refused.failure[0]
    assert not memory.exists()
    with pytest.raises(BundleError, match="no memory of a run"):
        load_memory(source / "0.png", whole)
    with pytest.raises(UsageError, match="has none"):
        answers(whole, source, memory, temporal=False)
