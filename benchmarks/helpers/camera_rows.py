"""Rows of ``camera.py``: one per image, and what is computed from them per set of images."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import msgspec

from benchmarks.helpers.record import provenance, read_csv, write_csv
from edgeunet.evaluate.interval import estimate
from edgeunet.evaluate.protocol import NoiseKind

REAL, NONE, WHITE = str(NoiseKind.CAMERA), "none", str(NoiseKind.FLOAT)
"""What an image was given with: a camera's noise; none, in 8 bits; white noise in floats."""

ALL, FEW = "all", "every sixth"
FEW_STEP, FEW_COUNT = 6, 10

NOISY = "noisy"
NLM, BM3D = "fastNlMeans", "BM3D"
FP32_BUNDLE, INT8_BUNDLE = "bundle fp32", "bundle int8"

_Row = TypeVar("_Row", "ImageRow", "SummaryRow")

TOOLS = ("opencv-python", "bm3d", "scikit-image")


@dataclass(frozen=True)
class Grid:
    """The strengths that a method is tried at. word: what its strength is called."""

    word: str
    strengths: tuple[int, ...]

    @property
    def settings(self) -> tuple[str, ...]:
        return tuple(f"{self.word} {strength}" for strength in self.strengths)


GRIDS = {NLM: Grid("h", (3, 4, 5)), BM3D: Grid("sigma", (4, 6, 8, 10, 12, 14, 16))}


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One image through one method.

    method: a network's name and width, or another method's name. form: what computed it.
    setting: of a method that has one, such as ``h 5``. noise: see REAL. sigma: of white noise, in
    8-bit units. camera: that took a real pair. PSNR in dB, ``inf`` for equal images. facts:
    device, versions and date.
    """

    method: str
    form: str = ""
    setting: str = ""
    weights: str = ""
    weights_sha256: str = ""
    data: str
    noise: str
    sigma: float | None = None
    image: str
    camera: str = ""
    psnr_noisy_db: float
    psnr_db: float
    ssim_noisy: float
    ssim: float
    facts: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        """What was measured, with these very weights."""
        return (*self.subject, self.setting, self.weights_sha256, *self.level, self.image)

    @property
    def subject(self) -> tuple[str, str]:
        return self.method, self.form

    @property
    def level(self) -> tuple[str, str, float | None]:
        return self.data, self.noise, self.sigma

    @property
    def gain_db(self) -> float | None:
        """What the method gains over the noisy image; None where there was no noise."""
        return None if math.isinf(self.psnr_noisy_db) else self.psnr_db - self.psnr_noisy_db


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one set of images: means, and the image that gains least.

    best: whether it is the setting with the highest mean PSNR. gain_half_width_db: half of the
    95 % interval of the mean gain. int8_loss_db: of an INT8 bundle, to the FP32 bundle of the
    same weights on the same images.
    """

    data: str
    noise: str
    sigma: float | None = None
    subset: str
    images: int
    method: str
    form: str = ""
    setting: str = ""
    best: bool
    psnr_noisy_db: float
    psnr_db: float
    gain_db: float | None = None
    gain_half_width_db: float | None = None
    worst_gain_db: float | None = None
    worst_image: str = ""
    ssim_noisy: float
    ssim: float
    int8_loss_db: float | None = None
    int8_loss_half_width_db: float | None = None
    weights: str = ""
    weights_sha256: str = ""
    facts: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def level(self) -> tuple[str, str, float | None]:
        return self.data, self.noise, self.sigma


def read_images(path: Path) -> list[ImageRow]:
    """Return the rows of a file, none when it is not there."""
    return [_read(row, ImageRow) for row in read_csv(path)] if path.is_file() else []


def read_summary(path: Path) -> list[SummaryRow]:
    return [_read(row, SummaryRow) for row in read_csv(path)]


def write_rows(path: Path, rows: Sequence[ImageRow | SummaryRow]) -> Path:
    return write_csv(path, [_written(row) for row in rows], {})


def few(names: Iterable[str]) -> list[str]:
    """Return the images that slow methods are measured on."""
    return sorted(names)[::FEW_STEP][:FEW_COUNT]


def best_setting(rows: Sequence[ImageRow], images: frozenset[str]) -> str:
    """Return the setting with the highest mean PSNR over all of ``images``.

    rows: of one method at one level. Raises ValueError when there are none, or a setting lacks an
    image: the run was stopped, and the best setting of half a grid is nobody's best.
    """
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.image in images:
            values[row.setting][row.image] = row.psnr_db
    if not values or any(found.keys() != images for found in values.values()):
        raise ValueError("not every setting was measured on every image")
    return max(values, key=lambda setting: fmean(values[setting].values()))


def summarise(rows: Sequence[ImageRow]) -> list[SummaryRow]:
    """Return rows per level and subset; in each, methods in the order they were measured in.

    The noisy images themselves, which are a method, say which images a level has. A method that
    was not measured on a whole subset has no row there. The best setting is chosen over the
    largest subset that has the method, at the level of real noise for clean photographs too; in
    other subsets it alone is listed.
    """
    found: list[SummaryRow] = []
    for level in dict.fromkeys(row.level for row in rows):
        here = [row for row in rows if row.level == level]
        every = {row.image: row.camera for row in here if row.method == NOISY}
        subsets = _subsets(every, level[1])
        judged = (level[0], REAL, None) if level[1] == NONE else level
        deciding = _by((row for row in rows if row.level == judged), lambda row: row.subject)
        for subset, images in subsets.items():
            for subject, group in _by(here, lambda row: row.subject).items():
                choice = _choice(deciding.get(subject, []), subsets)
                if choice is not None:
                    found += _of_subject(group, subset, images, choice, here)
    return found


def _subsets(every: Mapping[str, str], noise: str) -> dict[str, frozenset[str]]:
    """Return name -> images. every: image -> camera."""
    if noise != REAL:
        return {ALL: frozenset(every)}
    cameras = {
        camera: frozenset(image for image, by in every.items() if by == camera)
        for camera in sorted(set(every.values()))
    }
    return {ALL: frozenset(every), **cameras, FEW: frozenset(few(every))}


def _choice(
    rows: Sequence[ImageRow], subsets: Mapping[str, frozenset[str]]
) -> tuple[str, str] | None:
    """Return a method's best setting and the subset that it is best on.

    None where there are no rows, or its grid was not finished.
    """
    some = subsets.get(FEW, frozenset())
    subset = FEW if all(row.image in some for row in rows) else ALL
    wanted = {
        setting for row in rows if row.method in GRIDS for setting in GRIDS[row.method].settings
    }
    if not wanted <= {row.setting for row in rows}:
        return None
    try:
        return best_setting(rows, subsets.get(subset, frozenset())), subset
    except ValueError:
        return None


def _of_subject(
    group: Sequence[ImageRow],
    subset: str,
    images: frozenset[str],
    choice: tuple[str, str],
    level: Sequence[ImageRow],
) -> list[SummaryRow]:
    """Return the rows of one method and form in one subset, one per setting that is listed.

    choice: what ``_choice`` found. level: the rows of all methods, where an INT8 bundle finds its
    FP32 one.
    """
    best, chosen_on = choice
    listed = []
    for setting, mine in _by(group, lambda row: row.setting).items():
        chosen = [row for row in mine if row.image in images]
        whole = {row.image for row in chosen} == images
        if whole and (subset == chosen_on or setting == best):
            listed.append(_summary(chosen, subset, level, best=setting == best))
    return listed


def _summary(
    rows: Sequence[ImageRow], subset: str, level: Sequence[ImageRow], *, best: bool
) -> SummaryRow:
    last = rows[-1]
    gains = {row.image: row.gain_db for row in rows if row.gain_db is not None}
    gain = estimate(list(gains.values()))
    worst = min(gains, key=lambda image: gains[image], default="")
    loss = estimate(_int8_losses(rows, level))
    return SummaryRow(
        data=last.data,
        noise=last.noise,
        sigma=last.sigma,
        subset=subset,
        images=len(rows),
        method=last.method,
        form=last.form,
        setting=last.setting,
        best=best,
        psnr_noisy_db=round(fmean(row.psnr_noisy_db for row in rows), 3),
        psnr_db=round(fmean(row.psnr_db for row in rows), 3),
        gain_db=None if gain is None else round(gain.mean, 3),
        gain_half_width_db=_half_width(None if gain is None else gain.half_width),
        worst_gain_db=round(gains[worst], 3) if gains else None,
        worst_image=worst,
        ssim_noisy=round(fmean(row.ssim_noisy for row in rows), 4),
        ssim=round(fmean(row.ssim for row in rows), 4),
        int8_loss_db=None if loss is None else round(loss.mean, 3),
        int8_loss_half_width_db=_half_width(None if loss is None else loss.half_width),
        weights=last.weights,
        weights_sha256=last.weights_sha256,
        facts=last.facts,
    )


def _int8_losses(rows: Sequence[ImageRow], level: Sequence[ImageRow]) -> list[float]:
    """Return what an INT8 bundle loses on each image; nothing for other forms."""
    if rows[0].form != INT8_BUNDLE:
        return []
    floats = {
        row.image: row.psnr_db
        for row in level
        if row.subject == (rows[0].method, FP32_BUNDLE)
        and row.weights_sha256 == rows[0].weights_sha256
    }
    return [floats[row.image] - row.psnr_db for row in rows if row.image in floats]


def _half_width(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _by(
    rows: Iterable[ImageRow], key: Callable[[ImageRow], object]
) -> dict[object, list[ImageRow]]:
    found: dict[object, list[ImageRow]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _read(row: Mapping[str, object], kind: type[_Row]) -> _Row:
    facts = {name: str(row[name]) for name in provenance(TOOLS) if name in row}
    own = {name: value for name, value in row.items() if value != "" and name not in facts}
    return msgspec.convert({**own, "facts": facts}, kind, strict=False)


def _written(row: ImageRow | SummaryRow) -> dict[str, object]:
    own = msgspec.structs.asdict(row)
    facts = own.pop("facts")
    return {**{name: "" if value is None else value for name, value in own.items()}, **facts}
