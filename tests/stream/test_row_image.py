"""An image that is larger than the frame goes to PNG files row by row, as it would go whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgeunet as api
from edgeunet.bundle import open_bundle
from edgeunet.errors import SinkError
from edgeunet.images.reader import read_rgb
from edgeunet.media.sinks.row_pictures import RowPicture
from edgeunet.run.executor import Executor
from edgeunet.specs import Image
from tests.cli.command import edgeunet

SIZE = (48, 64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    from tests.foreign.plain_networks import ESPCN

    torch.manual_seed(4)
    target = tmp_path_factory.mktemp("rows") / "times3.bundle"
    api.export(ESPCN(3), size=SIZE, windows=(24, 32), out=target)
    return target


def pictures(count: int) -> list[Image]:
    generator = np.random.default_rng(2)
    return [generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(count)]


class Taken:
    """What came, in its order."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.parts: list[Image] = []

    def __call__(self, start: int, rows: Image) -> None:
        self.starts.append(start)
        self.parts.append(rows.copy())


def test_rows_are_those_of_the_whole_image(bundle: Path) -> None:
    frames = pictures(2)
    with api.open_bundle(bundle) as network:
        whole = [network.run(frame)["image"] for frame in frames]
    executor = Executor(open_bundle(bundle), in_rows="image")
    try:
        assert executor.gives_rows
        for frame, wanted in zip(frames, whole, strict=True):
            taken = Taken()

            assert executor.run_in_rows(frame, taken) == {}
            assert taken.starts == [0, *np.cumsum([len(part) for part in taken.parts])[:-1]]
            assert max(len(part) for part in taken.parts) < 3 * SIZE[0] // 2
            assert np.array_equal(np.concatenate(taken.parts), wanted)
    finally:
        executor.close()


def test_a_folder_of_pictures(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    frames = pictures(3)
    for number, frame in enumerate(frames):
        write_png(tmp_path / "in" / f"{number}.png", frame)
    ran = edgeunet("run", tmp_path / "in", f"{tmp_path}/out/", "--bundle", bundle)
    assert ran.code == 0, ran.err
    one = tmp_path / "one.png"
    assert edgeunet("run", tmp_path / "in" / "0.png", one, "--bundle", bundle).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]
    with api.open_bundle(bundle) as network:
        for number, frame in enumerate(frames):
            wanted = network.run(frame)["image"][:, :, ::-1]
            assert np.array_equal(read_rgb(tmp_path / "out" / f"{number}.png"), wanted)
            if number == 0:
                assert np.array_equal(read_rgb(one), wanted)


def write_png(path: Path, image: Image) -> None:
    picture = RowPicture(path, *image.shape[:2])
    picture.add(0, image[:5])
    picture.add(5, image[5:])
    picture.keep()
    assert np.array_equal(read_rgb(path)[:, :, ::-1], image)


def test_a_picture_that_lacks_rows_leaves_nothing(tmp_path: Path) -> None:
    picture = RowPicture(tmp_path / "part.png", 10, 4)
    picture.add(0, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="row 6 came where 4 is next"):
        picture.add(6, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SinkError, match="4 of 10 rows came"):
        picture.keep()
    assert list(tmp_path.iterdir()) == []


def test_what_needs_the_image_whole_gets_it_whole(bundle: Path, tmp_path: Path) -> None:
    """A video's encoder does; and two workers do not make rows in order."""
    executor = Executor(open_bundle(bundle), workers=2, in_rows="image")
    try:
        assert not executor.gives_rows
        assert executor.run(pictures(1)[0])["image"].shape == (1, 3 * SIZE[0], 3 * SIZE[1], 3)
    finally:
        executor.close()
    write_png(tmp_path / "0.png", pictures(1)[0])
    for sink in ("beside.mp4", "one.jpg"):
        ran = edgeunet("run", tmp_path / "0.png", tmp_path / sink, "--bundle", bundle)
        assert ran.code == 0, ran.err
