"""Readers that are given damaged files: whole files to start from, and what a reader may do.

A reader may return or raise an ``EdgeUnetError`` whose message and hint are one line each. Anything
else is a fault: ``Fault`` names it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec
from hypothesis import strategies as st

from edgeunet.errors import EdgeUnetError
from edgeunet.recipes import folder

if TYPE_CHECKING:
    from edgeunet.models.network import Network

Read = Callable[[Path], object]

LONGEST_SECONDS = 10.0
"""Of processor time for one file."""


@dataclass(frozen=True)
class Reader:
    """One reader.

    file: the name that an input is written under; ``read`` gets its path.
    seeds: makes whole files, as bytes.
    mend: makes a damaged file pass the checksum that would end the reading at once.
    """

    file: str
    seeds: Callable[[], list[bytes]]
    read: Read
    mend: Callable[[bytes], bytes] = lambda data: data

    def ending(self, data: bytes, root: Path) -> tuple[str | None, bool]:
        """Read one input. Return what is wrong with how that ended, and whether it was read.

        root: a folder to write it in. Nothing is wrong with a refusal in two lines.
        """
        path = root / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.mend(data))
        begun = time.process_time()
        fault, was_read = _ending(self.read, path)
        seconds = time.process_time() - begun
        if fault is None and seconds > LONGEST_SECONDS:
            fault = f"slow: {seconds:.0f} s"
        return fault, was_read


def _ending(read: Read, path: Path) -> tuple[str | None, bool]:
    try:
        read(path)
    except EdgeUnetError as error:
        for text in (error.message, error.hint):
            if not text.strip():
                return f"empty message: {type(error).__name__}", False
        # The command line puts a message on one line and names odd bytes by their number.
        " ".join(error.message.split()).encode("utf-8", "backslashreplace")
        return None, False
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "edgeunet" in frame.filename] or frames[-1:]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].name}"
        return f"{type(error).__name__} in {where}: {str(error)[:120]}", False
    return None, True


@functools.cache
def _images() -> list[bytes]:
    from tests.images.file_kinds import kinds

    return list(dict.fromkeys(kind.data for kind in kinds() if kind.data))


@functools.cache
def _labels() -> list[bytes]:
    from tests.images.verb_table import label_files

    return [data for _, data, _ in label_files() if data]


def _read_image(path: Path) -> object:
    from edgeunet.images.reader import read_rgb

    return read_rgb(path)


def _read_by_opencv(path: Path) -> object:
    from edgeunet.images.opencv_file import read_rgb

    return read_rgb(path.read_bytes(), path.name, lambda: None)


def _read_labels(path: Path) -> object:
    from edgeunet.label_maps import read_labels
    from edgeunet.recipes import load_recipe

    classes = next(way.labels for way in load_recipe("joint").pathways if way.labels)
    return read_labels(path, classes, (32, 48), path.name)


@functools.cache
def _graphs() -> list[bytes]:
    from tests.bundle.tiny import tiny_graph
    from tests.graph import test_onnx_file as files
    from tests.graph.onnx_models import model_of, value
    from tests.graph.test_open_axes import resized_by_shape

    made = [
        resized_by_shape(), files.sequence(), files.sparse_weights(), files.texts(),
        files.calls_itself(), files.sparse_constant(), files.not_fitting(),
        model_of([value("x", ["n", 3, "h", "w"])]),
    ]  # fmt: skip
    return [tiny_graph(32, 48), *(model.SerializeToString() for model in made)]


def _read_graph(path: Path) -> object:
    from edgeunet.analysis.memory_report import analyse
    from edgeunet.graph.onnx_file import read_onnx
    from edgeunet.graph.summary import view_of_model

    return analyse(view_of_model(read_onnx(path, (32, 48))[0]))


@functools.cache
def _recipes() -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder("export").glob("*.toml"))]


def _read_recipe(path: Path) -> object:
    from edgeunet.recipes import read_recipe

    return read_recipe(path)


@functools.cache
def _profiles() -> list[bytes]:
    from edgeunet.noise_profile.profile import write_profile
    from edgeunet.noise_profile.shots import StaticShots
    from tests.noise_profile.scenes import ramp, shots

    static = StaticShots()
    for image in shots(ramp(64, 96), 3):
        static.add(image, "shot")
    with tempfile.TemporaryDirectory() as root:
        path = Path(root) / "profile.toml"
        write_profile(static.profile("a clip.mkv"), path)
        return [path.read_bytes()]


def _read_profile(path: Path) -> object:
    from edgeunet.noise_profile.profile import read_profile

    return read_profile(path)


@functools.cache
def _sets() -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder("calibration").glob("*.toml"))]


def _read_set(path: Path) -> object:
    from edgeunet.calibration.sets import read_set

    return read_set(path)


@functools.cache
def _manifests() -> list[bytes]:
    from tests.bundle.tiny import tiny_bundle

    with tempfile.TemporaryDirectory() as root:
        return [(tiny_bundle(Path(root)).path / "manifest.json").read_bytes()]


def _sealed_manifest(data: bytes) -> bytes:
    from edgeunet.bundle.manifest import digest_of

    try:
        document = json.loads(data)
        document["digest"] = digest_of(data)
        return json.dumps(document).encode()
    except Exception:
        return data


def _read_manifest(path: Path) -> object:
    from edgeunet.bundle import open_bundle

    return open_bundle(path.parent)


@functools.cache
def _ranges() -> list[bytes]:
    files = sorted((folder("calibration") / "ranges").glob("*.json"), key=os.path.getsize)
    return [path.read_bytes() for path in files[:2]]


def _sealed_ranges(data: bytes) -> bytes:
    from edgeunet.calibration import ranges

    try:
        found = msgspec.json.decode(data, type=ranges.Ranges)
        digest = ranges._digest(found)
        return msgspec.json.encode(msgspec.structs.replace(found, digest=digest))
    except Exception:
        return data


def _read_ranges(path: Path) -> object:
    from edgeunet.calibration.ranges import Ranges, read_ranges

    content = next(iter(_ranges()))
    return read_ranges(path, msgspec.json.decode(content, type=Ranges).key)


@functools.cache
def _weights() -> list[bytes]:
    from edgeunet.models import build_network
    from edgeunet.models.weights import save_weights
    from edgeunet.recipes import load_recipe

    recipe = load_recipe("unetmm").with_width(2)
    with tempfile.TemporaryDirectory() as root:
        path = Path(root) / "w.safetensors"
        save_weights(build_network(recipe, seed=0), recipe, path)
        return [path.read_bytes()]


def _read_weights(path: Path) -> object:
    from edgeunet.models.weights import load_weights

    load_weights(_small_network(), path)
    return None


@functools.cache
def _small_network() -> Network:
    from edgeunet.models import build_network
    from edgeunet.recipes import load_recipe

    return build_network(load_recipe("unetmm").with_width(2), seed=0)


@functools.cache
def _clips() -> list[bytes]:
    from tests.media.clips import write_video

    with tempfile.TemporaryDirectory() as root:
        return [
            write_video(Path(root) / f"clip{suffix}", 5).read_bytes() for suffix in (".mp4", ".mkv")
        ]


def _read_clip(path: Path) -> object:
    from edgeunet.api import frames

    return sum(1 for _ in frames(path, limit=64))


READERS: dict[str, Reader] = {
    "image": Reader("a.png", _images, _read_image),
    "image by OpenCV": Reader("a.png", _images, _read_by_opencv),
    "labels": Reader("a.png", _labels, _read_labels),
    "ONNX": Reader("a.onnx", _graphs, _read_graph),
    "recipe": Reader("a.toml", _recipes, _read_recipe),
    "noise profile": Reader("a.toml", _profiles, _read_profile),
    "calibration set": Reader("photographs.toml", _sets, _read_set),
    "manifest": Reader("a.bundle/manifest.json", _manifests, _read_manifest, _sealed_manifest),
    "ranges": Reader("a.json", _ranges, _read_ranges, _sealed_ranges),
    "weights": Reader("a.safetensors", _weights, _read_weights),
    "video": Reader("a.mp4", _clips, _read_clip),
}


_TOKENS = (
    b"", b"\0", b"\xff", b"-1", b"0", b"1e999", b"nan", b"inf", b"999999999999999999999", b"[]",
    b"{}", b'""', b"null", b"\xed\xa0\x80", b"\n", b'"', b"[" * 2000, b"true", b"1", b"-0.5",
    b'"a"',
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0",
)  # fmt: skip


_VALUE = re.compile(rb'-?\d[\d.e+-]*|"[^"]{0,80}"|true|false|null')


def damaged(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Draw a file that differs from a whole one in up to eight places, or that is cut.

    hypothesis chooses the generator's seed only: choosing every byte itself takes it 20 ms a file.
    """
    return st.randoms(use_true_random=True).map(lambda random: damaged_by(random, seeds))


def damaged_by(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Make the next damaged file of a generator."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        # Half of the places near the beginning, where the sizes are.
        end = random.choice((64, max(1, len(data))))
        at = random.randint(0, min(end, max(0, len(data) - 1)))
        kind = random.choice(("byte", "byte", "bit", "value", "token", "cut", "drop", "copy"))
        if kind == "byte" and data:
            data[at] = random.randint(0, 255)
        elif kind == "bit" and data:
            data[at] ^= 1 << random.randint(0, 7)
        elif kind == "value" and (found := _VALUE.search(data, at)):
            # In text: another value in the place of one, so that what reads it goes on.
            data[found.start() : found.end()] = random.choice(_TOKENS)
        elif kind == "token":
            token = random.choice(_TOKENS)
            data[at : at + random.choice((0, len(token)))] = token
        elif kind == "cut":
            del data[max(1, at) :]
        elif kind == "drop":
            del data[at : at + random.randint(1, 16)]
        else:
            where = random.randint(0, max(0, len(data) - 1))
            data[where:where] = data[at : at + random.randint(1, 64)]
    return bytes(data)
