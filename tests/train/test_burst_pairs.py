"""Bursts: how they are read, what is held out, and what schedule they get."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from skimage import io

from edgeunet.errors import RecipeError, SourceError
from edgeunet.photographs import Photograph
from edgeunet.recipes import load_recipe
from edgeunet.train import burst_pairs
from edgeunet.train.burst_pairs import (
    FEWEST_SHOTS,
    LEARNING_RATE,
    MOST_SHOTS,
    STEPS,
    Burst,
    evenly_spaced,
    hold_out_bursts,
    load_bursts,
    with_bursts,
)
from tests.train.toys import TABLE, toy_recipe


def shots(count: int, height: int = 24, width: int = 32, seed: int = 0) -> list[Photograph]:
    """Shots of a grey wall in noise."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(120, 10, (count, height, width, 3))
    return list(noise.clip(0, 255).astype(np.uint8))


def write(folder: Path, pictures: list[Photograph]) -> Path:
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        io.imsave(folder / f"{index:02}.png", picture, check_contrast=False)
    return folder


class Reader:
    """Plays a clip from memory."""

    def __init__(self, pictures: list[Photograph]) -> None:
        self._pictures = iter(pictures)

    def read(self) -> Photograph | None:
        return next(self._pictures, None)

    def said(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None: ...


def load(folder: Path, crop: int = 16) -> tuple[list[Burst], list[str]]:
    said: list[str] = []
    return load_bursts([folder], crop, notice=said.append), said


def test_a_sub_folder_per_scene(tmp_path: Path) -> None:
    for index, name in enumerate(("a", "b")):
        write(tmp_path / name, shots(4 + index, seed=index))
    bursts, said = load(tmp_path)
    assert [burst.name for burst in bursts] == ["a", "b"]
    assert [len(burst.shots) for burst in bursts] == [4, 5]
    assert np.array_equal(bursts[1].shots, np.stack(shots(5, seed=1)))
    assert said == []


def test_of_a_long_clip_shots_are_kept_evenly_spaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wall.mp4").touch()
    frames = shots(63)
    monkeypatch.setattr(burst_pairs, "open_clip", lambda _: Reader(frames))
    (burst,), said = load(tmp_path)
    assert np.array_equal(burst.shots, np.stack(frames)[np.linspace(0, 62, 32).round().astype(int)])
    assert said == ["wall.mp4: 32 of its 63 shots are used, evenly spaced"]


def test_what_is_kept_is_bounded_in_number_and_bytes() -> None:
    assert evenly_spaced(5, 100) == [0, 1, 2, 3, 4]
    kept = evenly_spaced(1000, 100)
    assert (len(kept), kept[0], kept[-1]) == (MOST_SHOTS, 0, 999)
    assert len(evenly_spaced(1000, 36 * 10**6)) == 7
    assert len(evenly_spaced(1000, 10**9)) == FEWEST_SHOTS


def test_few_shots(tmp_path: Path) -> None:
    write(tmp_path / "desk", shots(3))
    with pytest.raises(SourceError) as caught:
        load(tmp_path)
    assert caught.value.message == f"{str(tmp_path / 'desk')!r} has 3 shots"
    assert "at least 4 shots" in caught.value.hint


def test_shots_of_different_sizes(tmp_path: Path) -> None:
    write(tmp_path / "desk", [*shots(3), *shots(1, 24, 40)])
    with pytest.raises(SourceError, match=r"shot 4 of 'desk', 03.png, is 24x40, the first one"):
        load(tmp_path)


def test_shots_that_are_too_small(tmp_path: Path) -> None:
    write(tmp_path / "desk", shots(4, 24, 20))
    with pytest.raises(SourceError, match="'desk' are too small: 24x20") as caught:
        load(tmp_path)
    assert "16 rows and 22 columns: a quarter is held out" in caught.value.hint


def test_images_that_are_in_no_scene(tmp_path: Path) -> None:
    write(tmp_path / "shots", shots(4))
    with pytest.raises(SourceError, match=r"00.png lies directly in ") as caught:
        load(tmp_path / "shots")
    assert "sub-folder" in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="there are no scenes in "):
        load(tmp_path / "empty")
    with pytest.raises(SourceError, match="there is no folder "):
        load(tmp_path / "nowhere")


def test_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "wall.mp4").write_bytes(b"no clip")
    with pytest.raises(SourceError, match=r"wall\.mp4"):
        load(tmp_path)


def test_a_shot_that_moved_is_named_as_the_file_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = shots(63)
    # Kept are numbers 1, 3, 5, ..., 63; this one is the third of them.
    frames[4][:, 16:] //= 2
    (tmp_path / "wall.mp4").touch()
    monkeypatch.setattr(burst_pairs, "open_clip", lambda _: Reader(frames))
    with pytest.raises(SourceError, match=r"shot 5 of 'wall.mp4' does not fit the others"):
        load(tmp_path)


def numbered(name: str, count: int = 5) -> Burst:
    """A burst whose shot n is grey n * 10 + its column."""
    columns = np.arange(32, dtype=np.uint8)[None, None, :, None]
    levels = (np.arange(count, dtype=np.uint8) * 10)[:, None, None, None]
    return Burst(name, np.broadcast_to(columns + levels, (count, 24, 32, 3)).copy())


def test_of_few_scenes_a_quarter_is_held_out_and_the_shot_is_not_in_its_mean() -> None:
    (training,), (held,) = hold_out_bursts([numbered("a")])
    assert training.shots.shape == (5, 24, 24, 3)
    assert training.shots[0].max() < 24, "no column that is validated on is trained on"
    assert held.noisy is not None
    assert held.noisy[0, :, 0].tolist() == [20 + column for column in range(24, 32)]
    # Shots 0, 1, 3 and 4; with shot 2 the mean of unequal steps would be another.
    unequal = numbered("b")
    unequal.shots[2] += 90
    _, (held,) = hold_out_bursts([unequal])
    assert held.image[0, :, 0].tolist() == [20 + column for column in range(24, 32)]


def test_of_five_scenes_one_is_held_out_whole() -> None:
    bursts = [numbered(name) for name in "abcdefg"]
    training, held = hold_out_bursts(bursts)
    assert [burst.name for burst in training] == ["b", "c", "d", "e", "g"]
    assert [sample.image.shape for sample in held] == [(24, 32, 3)] * 2
    large = [Burst("a", np.zeros((4, 400, 330, 3), np.uint8))] * 5
    assert hold_out_bursts(large)[1][0].image.shape == (320, 320, 3)


def test_the_schedule_of_a_short_fine_tune() -> None:
    recipe = load_recipe("unetmm")
    alone = with_bursts(recipe, None, beside_images=False).train
    beside = with_bursts(recipe, 50, beside_images=True).train
    assert recipe.train is not None
    assert alone is not None
    assert beside is not None
    rate = min(LEARNING_RATE, recipe.train.learning_rate)
    assert (alone.steps, alone.learning_rate, alone.bursts_share) == (STEPS, rate, 1)
    assert (beside.steps, beside.bursts_share) == (50, 0.5)
    assert alone.crop == recipe.train.crop
    planned = toy_recipe(table=msgspec.structs.replace(TABLE, bursts_share=0.3))
    assert with_bursts(planned, None, beside_images=True) == planned


def test_a_recipe_that_does_not_denoise() -> None:
    recipe = load_recipe("joint")
    labels = msgspec.structs.replace(recipe, pathways=recipe.pathways[1:])
    with pytest.raises(RecipeError, match="no denoise output"):
        with_bursts(labels, None, beside_images=False)
