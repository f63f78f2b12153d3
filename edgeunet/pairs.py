"""Real pairs: a noisy image file, and a clean one of the same scene.

A folder of pairs has ``noisy/`` and ``clean/``; files with the same relative name are a pair. The
noisy image is one shot of a still scene, the clean image the mean of many. Evaluation and training
use the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import SourceError
from edgeunet.images.folder_walk import paths_below
from edgeunet.images.folders import files_with, has_both
from edgeunet.names import compared_forms, shown
from edgeunet.photographs import Photograph, read_photograph
from edgeunet.units import format_size

NOISY, CLEAN = "noisy", "clean"

# Side in pixels of the blocks; noise is estimated in the quietest quarter of them.
_BLOCK = 8
_QUIET_SHARE = 0.25
# In 62 pairs of two cameras the noisy image's estimate is 1.2 times the clean one's, or more.
_SWAPPED_RATIO = 1.1
_NAMED = 5


@dataclass(frozen=True)
class Pair:
    """A noisy and a clean file. name: their common relative name, with forward slashes."""

    name: str
    noisy: Path
    clean: Path


@dataclass(frozen=True)
class Alone:
    """A file without a partner.

    side: ``noisy`` or ``clean``, the folder that it is in.
    name: see ``Pair``.
    like_it: a file in the other folder that differs only in its suffix, or None.
    """

    side: str
    name: str
    like_it: str | None = None

    @property
    def message(self) -> str:
        return f"{self.side}/{self.name} has no partner in {self.other}/"

    @property
    def other(self) -> str:
        return CLEAN if self.side == NOISY else NOISY


@dataclass(frozen=True)
class Pairing:
    """The pairs and the files without a partner in a folder, sorted by name."""

    pairs: tuple[Pair, ...]
    alone: tuple[Alone, ...]


def has_pairs(folder: Path) -> bool:
    """Return whether a folder has ``noisy/`` and ``clean/``.

    Raises SourceError for a folder that has only the first, or both with other capitals.
    """
    return has_both(folder, NOISY, CLEAN)


def find_pairs(
    folder: Path, suffixes: Collection[str], *, notice: Callable[[str], None]
) -> Pairing:
    """Pair the files below ``noisy/`` and ``clean/`` by their relative names.

    suffixes: of the files that count, in lower case, such as ``.png``.
    notice: is given one line about pictures of other kinds, for each side.
    Raises SourceError when there is no file that counts on one side.
    """
    found: dict[str, dict[str, Path]] = {}
    for side in (NOISY, CLEAN):
        root = folder / side
        paths = files_with(suffixes, paths_below(root), root, notice=notice)
        names = {path.relative_to(root).as_posix(): path for path in paths}
        forms = compared_forms(names)
        found[side] = {forms[name]: path for name, path in names.items()}
        if not paths:
            raise SourceError(
                f"there is nothing to pair in {str(root)!r}",
                hint=f"{NOISY}/ and {CLEAN}/ hold files of the same names; "
                f"supported: {', '.join(sorted(suffixes))}",
            )
    noisy, clean = found[NOISY], found[CLEAN]
    pairs = tuple(Pair(name, noisy[name], path) for name, path in clean.items() if name in noisy)
    return Pairing(pairs, (*_alone(NOISY, noisy, clean), *_alone(CLEAN, clean, noisy)))


def _alone(side: str, own: Collection[str], other: Collection[str]) -> list[Alone]:
    by_stem = {name.rpartition(".")[0]: name for name in other}
    return [
        Alone(side, name, by_stem.get(name.rpartition(".")[0])) for name in own if name not in other
    ]


def check_partners(pairing: Pairing) -> None:
    """Raise SourceError, with the name of the first one, if a file has no partner."""
    if not pairing.alone:
        return
    first, *others = pairing.alone
    message = first.message
    if others:
        message += f", nor {'has 1 more file' if len(others) == 1 else f'have {len(others)} more'}"
    hint = f"{NOISY}/ and {CLEAN}/ hold files of the same names, suffix included"
    if first.like_it is not None:
        hint = f"{first.other}/ has {first.like_it}: {hint}"
    raise SourceError(message, hint=hint)


def read_pair(pair: Pair, times: int = 1) -> tuple[Photograph, Photograph]:
    """Return (noisy, clean), each (H, W, 3) uint8 RGB.

    times: how many times the noisy image's rows and columns the clean one has.
    Raises SourceError when one cannot be read, and when their sizes are others.
    """
    noisy, clean = _read(NOISY, pair.noisy, pair.name), _read(CLEAN, pair.clean, pair.name)
    check_sizes(pair, noisy.shape[:2], clean.shape[:2], times)
    return noisy, clean


def check_sizes(pair: Pair, noisy: Sequence[int], clean: Sequence[int], times: int = 1) -> None:
    """Raise SourceError when the clean size, (height, width), is not ``times`` the noisy one."""
    if tuple(side * times for side in noisy) != tuple(clean):
        hint = "the two of a pair show the same pixels: crop them alike; nothing is resized"
        if times > 1:
            hint = (
                f"the network's image has {times} times the rows and columns of the frame: "
                f"{NOISY}/ holds the frames, {CLEAN}/ the images of {times} times their size"
            )
        raise SourceError(
            f"{NOISY}/{pair.name} is {format_size(*noisy)}, "
            f"{CLEAN}/{pair.name} is {format_size(*clean)}",
            hint=hint,
        )


def _read(side: str, path: Path, name: str) -> Photograph:
    try:
        return read_photograph(path)
    except SourceError as error:
        # The message begins with the file's name, which both files of a pair have.
        what = error.message.removeprefix(shown(path.name))
        raise SourceError(
            f"{side}/{shown(name)}{what}", hint="replace it, or remove both files of the pair"
        ) from error


def look_swapped(noisy: Photograph, clean: Photograph) -> bool:
    """Return whether the clean image, (H, W, 3) uint8, is noisier than the noisy one."""
    return noise_deviation(clean) > _SWAPPED_RATIO * noise_deviation(noisy)


def noise_deviation(image: Photograph) -> float:
    """Estimate the standard deviation of an image's fine noise, in 8-bit units.

    image: (H, W, 3) uint8. Immerkaer's mask (Computer Vision and Image Understanding 64, 1996),
        which cancels edges and slopes, is applied to the mean of the channels. The result is the
        lower quartile over blocks of the root mean square, because texture passes the mask as well.
        A camera's noise is smooth, so the estimate is too low; it only compares two images of one
        scene. It is 0 for an image smaller than 3x3.
    """
    if min(image.shape[:2]) < 3:
        return 0.0
    grey = image.mean(axis=2, dtype=np.float32)
    filtered = _second_difference(_second_difference(grey).T) / 6
    side = min(_BLOCK, *filtered.shape)
    rows, columns = (length // side for length in filtered.shape)
    blocks = filtered[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return float(np.quantile(np.sqrt((blocks**2).mean(axis=(1, 3))), _QUIET_SHARE))


def _second_difference(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return plane[:-2] - 2 * plane[1:-1] + plane[2:]


def swapped_in_words(names: Sequence[str]) -> str:
    """Return the warning about pairs with these names, which look swapped."""
    named = ", ".join(names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    look = "pair looks" if len(names) == 1 else "pairs look"
    return f"{len(names)} {look} swapped, {CLEAN}/ is noisier than {NOISY}/: {named}{more}"
