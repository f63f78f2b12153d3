"""Bursts: several shots of a static scene, for training without clean images.

Two shots of one scene differ only in their noise, so one can be the target of the other (Lehtinen
et al., ICML 2018, "Noise2Noise"). Every fifth scene is held out. Of fewer than five scenes, the
right quarter of each is held out. In held-out parts, one shot is denoised and compared with the
mean of the others, which does not contain its noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import RecipeError, SourceError
from edgeunet.images.folders import files_with
from edgeunet.media.clip_reader import open_clip
from edgeunet.photographs import Photograph, read_photograph
from edgeunet.recipes import Recipe
from edgeunet.specs import Task
from edgeunet.suffixes import IMAGE_SUFFIXES
from edgeunet.train.samples import Sample
from edgeunet.train.scene_places import places_in
from edgeunet.train.stillness import check_still, shared_noise
from edgeunet.units import format_size

FEWEST_SHOTS = 4
MOST_SHOTS = 32
MOST_BYTES = 256 * 2**20
"""Largest size of one scene's shots in memory; FEWEST_SHOTS are always kept."""

STEPS = 2000
LEARNING_RATE = 3e-4
BESIDE_IMAGES = 0.5
"""Share of crops from bursts if there are clean images as well."""

_EVERY = 5
_SIDE = 320

# Smallest deviation of neighbouring shots, relative to that of distant ones.
_INDEPENDENT = 0.9


@dataclass(frozen=True, eq=False)
class Burst:
    """Shots of one static scene, (S, H, W, 3) uint8 RGB, with S at least FEWEST_SHOTS."""

    name: str
    shots: NDArray[np.uint8]


def load_bursts(
    folders: Sequence[Path], crop: int, *, notice: Callable[[str], None]
) -> list[Burst]:
    """Read every scene below the folders: each is a clip, or a sub-folder of images.

    crop: side of the largest square that is cut, in pixels. Of a longer burst MOST_SHOTS shots are
        kept, evenly spaced, or as many as fit in MOST_BYTES. Raises SourceError for a folder
        without scenes, for a file that cannot be read, and for a burst with too few shots, or with
        shots that are too small, of different sizes or of different scenes.
    """
    bursts = [_load_scene(place, crop, notice) for folder in folders for place in _scenes(folder)]
    if bursts and len(bursts) < _EVERY:
        # Checked here, so that a long run does not fail later.
        for burst in bursts:
            _check_size(burst, crop, held_out_columns=True)
    return bursts


def hold_out_bursts(bursts: Sequence[Burst]) -> tuple[list[Burst], list[Sample]]:
    """Return (bursts to train on, samples to validate on), as the module describes.

    A validation sample is at most 320 pixels high and wide. Its ``noisy`` is the middle shot, its
    ``image`` the mean of all others.
    """
    if len(bursts) >= _EVERY:
        training = [burst for index, burst in enumerate(bursts) if index % _EVERY]
        return training, [_against_others(burst.shots) for burst in bursts[::_EVERY]]
    training, held_out = [], []
    for burst in bursts:
        border = _border(burst.shots.shape[2])
        training.append(Burst(burst.name, burst.shots[:, :, :border]))
        held_out.append(_against_others(burst.shots[:, :, border:]))
    return training, held_out


def with_bursts(recipe: Recipe, steps: int | None, *, beside_images: bool) -> Recipe:
    """Return the recipe with the schedule of a short fine-tune on bursts.

    steps: number of steps; default: STEPS. The learning rate starts at LEARNING_RATE.
    beside_images: take half of the crops from bursts, else all.
    If the recipe's [train] has ``bursts_share``, only ``steps`` is replaced.
    Raises RecipeError for a recipe without a denoise output.
    """
    table = recipe.train
    if table is None:
        return recipe
    if all(pathway.head is not Task.DENOISE for pathway in recipe.pathways):
        raise RecipeError(
            f"recipe {recipe.name!r} cannot be trained on bursts: it has no denoise output",
            hint="leave --bursts out",
        )
    if table.bursts_share is not None:
        table = msgspec.structs.replace(table, steps=steps or table.steps)
    else:
        rate = min(table.learning_rate, LEARNING_RATE)
        table = msgspec.structs.replace(
            table,
            bursts_share=BESIDE_IMAGES if beside_images else 1.0,
            steps=steps or STEPS,
            learning_rate=rate,
            final_learning_rate=min(table.final_learning_rate, rate),
        )
    return msgspec.structs.replace(recipe, train=table)


def evenly_spaced(count: int, shot_bytes: int) -> list[int]:
    """Return the numbers, from 0, of the shots that are kept of ``count`` shots."""
    most = max(FEWEST_SHOTS, min(MOST_SHOTS, MOST_BYTES // shot_bytes))
    if count <= most:
        return list(range(count))
    return [round(number) for number in np.linspace(0, count - 1, most)]


def _scenes(folder: Path) -> list[Path]:
    return places_in(
        folder,
        "scenes",
        hint="give a folder with a clip, or a sub-folder of images, per scene",
        hint_of_loose="put the shots of each scene into a sub-folder of their own, or into a clip",
    )


def _load_scene(place: Path, crop: int, notice: Callable[[str], None]) -> Burst:
    if place.is_dir():
        read: Callable[[Sequence[int]], list[Photograph]]
        paths = files_with(IMAGE_SUFFIXES, sorted(place.iterdir()), place, notice=notice)
        count, read = len(paths), _ImageShots(paths)
    else:
        count, read = _frame_count(place, notice), _ClipShots(place)
    if count < FEWEST_SHOTS:
        raise SourceError(
            f"{str(place)!r} has {count} shot{'' if count == 1 else 's'}",
            hint=f"a burst needs at least {FEWEST_SHOTS} shots of one scene, better 8 or more",
        )
    first = read([0])[0]
    kept = evenly_spaced(count, first.nbytes)
    if len(kept) < count:
        notice(f"{place.name}: {len(kept)} of its {count} shots are used, evenly spaced")
    burst = Burst(place.name, np.stack(read(kept)))
    _check_size(burst, crop)
    numbers = [number + 1 for number in kept]
    check_still(burst.name, burst.shots, numbers)
    share = shared_noise(burst.shots)
    if share < _INDEPENDENT:
        notice(
            f"{place.name}: neighbouring shots share noise (they differ {share:.2f} times as much "
            "as distant ones), so that less of it is learned: code the clip with less compression, "
            "or take single images"
        )
    return burst


class _ImageShots:
    """Reads shots that are image files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __call__(self, numbers: Sequence[int]) -> list[Photograph]:
        shots: list[Photograph] = []
        for number in numbers:
            shot = read_photograph(self._paths[number])
            if shots and shot.shape != shots[0].shape:
                sizes = [format_size(*s.shape[:2]) for s in (shot, shots[0])]
                folder = self._paths[number].parent.name
                raise SourceError(
                    f"shot {number + 1} of {folder!r}, {self._paths[number].name}, is {sizes[0]}, "
                    f"the first one {sizes[1]}",
                    hint="all shots of a scene must have one size",
                )
            shots.append(shot)
        return shots


class _ClipShots:
    """Reads shots that are frames of a clip."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, numbers: Sequence[int]) -> list[Photograph]:
        wanted = set(numbers)
        shots: list[Photograph] = []
        clip = open_clip(self._path)
        try:
            for number in range(max(numbers) + 1):
                shot = clip.read()
                if shot is None:
                    raise SourceError(
                        f"{self._path.name} ends earlier when it is read again",
                        hint="the file is damaged: record or copy it anew",
                    )
                if number in wanted:
                    shots.append(shot)
        finally:
            clip.close()
        return shots


def _frame_count(path: Path, notice: Callable[[str], None]) -> int:
    """Return the number of frames of a clip by reading it; containers only estimate it."""
    clip, count = open_clip(path), 0
    try:
        while clip.read() is not None:
            count += 1
        for line in clip.said():
            notice(line)
    finally:
        clip.close()
    return count


def _border(width: int) -> int:
    """Return the first column of the held-out part of a scene."""
    return width - width // 4


def _check_size(burst: Burst, crop: int, *, held_out_columns: bool = False) -> None:
    height, width = burst.shots.shape[1:3]
    usable = _border(width) if held_out_columns else width
    if min(height, usable) < crop:
        wanted = f"at least {crop} pixels on both sides"
        if held_out_columns:
            wanted = f"at least {crop} rows and {-(-4 * crop // 3)} columns: a quarter is held out"
        raise SourceError(
            f"the shots of {burst.name!r} are too small: {format_size(height, width)}",
            hint=f"{wanted}; or use a smaller crop in the recipe's [train]",
        )


def _against_others(shots: NDArray[np.uint8]) -> Sample:
    shots = shots[:, :_SIDE, :_SIDE]
    seen = len(shots) // 2
    others = np.delete(shots, seen, axis=0).mean(axis=0, dtype=np.float32)
    return Sample(np.rint(others).astype(np.uint8), noisy=np.ascontiguousarray(shots[seen]))
