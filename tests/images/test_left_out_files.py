"""No verb passes over a picture of a kind that it does not read without a word."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeunet import frames
from edgeunet.calibration.inputs import open_input
from edgeunet.errors import SourceError
from edgeunet.evaluate.backends import Head
from edgeunet.evaluate.named_set import open_data
from edgeunet.media.sources import open_source
from edgeunet.noise_profile.scan import scan
from edgeunet.specs import Task
from edgeunet.train.burst_pairs import load_bursts
from edgeunet.train.clip_folders import load_clips
from edgeunet.train.sample_folders import load_samples
from tests.images.image_writers import by_opencv, picture
from tests.train.toys import toy_recipe

OTHERS = ("a.heic", "b.AVIF", "c.mp4", "d.CR2")
PASSED_OVER = ("._e.heic", "notes.txt", "image-bits.json")


def fill(folder: Path, images: int = 1, *, others: tuple[str, ...] = OTHERS) -> Path:
    folder.mkdir(parents=True)
    for number in range(images):
        (folder / f"{number}.png").write_bytes(by_opencv(picture(), ".png"))
    for name in (*others, *PASSED_OVER):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic")
    return folder


def of_source(text: str) -> list[str]:
    source = open_source(text)
    while source.read() is not None:
        pass
    return list(source.report().warnings)


def of_eval(folder: Path, *tasks: Task) -> list[str]:
    pathways = toy_recipe("joint").pathways
    heads = [Head.of(p.output, p.head, p.labels) for p in pathways if p.head in tasks]
    return open_data(str(folder), heads, frame=None).left_out


def of_train(folder: Path, recipe: str = "unetmm") -> list[str]:
    told: list[str] = []
    load_samples([folder], toy_recipe(recipe), notice=told.append)
    return told


def of_places(load: Callable[..., object], folder: Path, *more: int) -> list[str]:
    told: list[str] = []
    load([folder], *more, notice=told.append)
    return told


def of_frames(folder: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(list(frames(folder))) == 1
    return [str(one.message) for one in caught]


def still(folder: Path) -> Path:
    """Fill a folder with shots of one scene in noise."""
    fill(folder)
    random = np.random.default_rng(0)
    for number in range(4):
        shot = random.normal(120, 9, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(shot).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("run", lambda root: of_source(str(fill(root / "in")))),
        ("glob", lambda root: of_source(f"{fill(root / 'in')}/*")),
        ("frames", lambda root: of_frames(fill(root / "in"))),
        ("eval", lambda root: of_eval(fill(root / "in"), Task.DENOISE)),
        ("calibrate", lambda root: open_input(str(fill(root / "in")), None, None).left_out),
        ("calibrate glob", lambda root: open_input(f"{fill(root / 'in')}/*", None, None).left_out),
        ("train", lambda root: of_train(fill(root / "in"))),
        ("bursts", lambda root: of_places(load_bursts, still(root / "in" / "one").parent, 16)),
        ("clips", lambda root: of_places(load_clips, fill(root / "in" / "one", 3).parent)),
        ("noise", lambda root: list(scan(str(still(root / "in"))).warnings)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pictures_of_other_kinds_are_named(
    verb: str, said: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    (line,) = [line for line in said(tmp_path) if "not read" in line]
    where = "" if "glob" in verb else f" in {str(tmp_path / 'in')!r}"
    if verb in ("bursts", "clips"):
        where = f" in {str(tmp_path / 'in' / 'one')!r}"
    told = f"4 files{where} are of kinds that are not read there: {', '.join(OTHERS)}"
    assert line == told


@pytest.mark.parametrize("verb", ["eval", "train"])
def test_labels_and_partners_of_other_kinds_are_named(verb: str, tmp_path: Path) -> None:
    fill(tmp_path / "l" / "images", others=())
    fill(tmp_path / "l" / "labels", 0, others=("b.jpg",))
    Image.new("L", picture().shape[1::-1]).save(tmp_path / "l" / "labels" / "0.png")
    fill(tmp_path / "p" / "clean", others=("1.heic",))
    shutil.copytree(tmp_path / "p" / "clean", tmp_path / "p" / "noisy")
    of_labels, of_pairs = (
        (of_eval(tmp_path / "l", Task.SEGMENT), of_eval(tmp_path / "p", Task.DENOISE))
        if verb == "eval"
        else (of_train(tmp_path / "l", "joint"), of_train(tmp_path / "p"))
    )
    ending = "is of a kind that is not read there"
    assert of_labels == [f"b.jpg in {str(tmp_path / 'l' / 'labels')!r} {ending}"]
    assert of_pairs == [
        f"1.heic in {str(tmp_path / 'p' / side)!r} {ending}" for side in ("noisy", "clean")
    ]


def test_a_folder_of_nothing_but_other_kinds(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 0, others=tuple(f"{n}.heic" for n in range(11)))
    for text in (str(folder), f"{folder}/*"):
        with pytest.raises(SourceError, match=r"0.heic, 1.heic, 2.heic, 3.heic, 4.heic and 6 more"):
            open_source(text)
    with pytest.raises(SourceError, match=r"there are no images in .*0.heic, 1.heic"):
        of_train(folder)


def test_one_file_of_another_kind_is_refused_by_what_it_is(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 0)
    with pytest.raises(SourceError, match="a.heic is a HEIC file"):
        open_source(str(folder / "a.heic"))
    with pytest.raises(SourceError, match="a.heic is a HEIC file"):
        open_input(str(folder / "a.heic"), None, None)
