"""Make a calibration set from pictures: choose frames, add noise, hash and write them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from edgeunet.calibration import (
    FEWEST_MEMBERS,
    SCHEMA_VERSION,
    CalibrationSet,
    Member,
    text_of,
)
from edgeunet.calibration.frame_choice import Candidate, Pool, choose, describe
from edgeunet.calibration.inputs import Input, Picture, open_input
from edgeunet.calibration.set_frames import sealed
from edgeunet.calibration.set_order import SetOrder, check_order
from edgeunet.errors import SourceError, UsageError
from edgeunet.files import check_writable, replacing_file, replacing_folder
from edgeunet.images.stated_bits import stating_bits
from edgeunet.names import is_inside, is_utf8, shown
from edgeunet.units import format_size

FRAMES = 64
_POOL_RATIO = 4
_SMALLEST_SIDE = 16
_NOT_STATED = "not stated"
_COMMENT = "Made by edgeunet calibrate; calibration/README.md says what the fields mean."


@dataclass
class Survey:
    """Counts of the pictures that were read.

    pictures: pictures read.
    candidates: windows of them.
    near_duplicates: candidates left out because they are similar to others.
    distinct: candidates to choose from.
    left_out: pictures that could not be used, one line each.
    warnings: lines about pictures that could be.
    """

    pictures: int = 0
    candidates: int = 0
    near_duplicates: int = 0
    distinct: int = 0
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class MadeSet:
    """A set that was written.

    distinct: number of different frames.
    brightness: means of the darkest and the brightest frame, 0..255.
    store: folder of stored frames, if any.
    """

    path: Path
    calibration: CalibrationSet
    distinct: int
    brightness: tuple[float, float]
    survey: Survey
    store: Path | None


def make_set(order: SetOrder, on_picture: Callable[[int, int | None], None]) -> MadeSet:
    """Choose frames, and write ``folder/name.toml`` whole or not at all.

    on_picture: called with (pictures read, pictures in all or None). Raises UsageError for
        contradicting options, SourceError for pictures that no set can be made of, and OSError when
        the set cannot be written.
    """
    check_order(order)
    for path in (order.target, order.store):
        if path.exists():
            raise UsageError(
                f"there is already {str(path)!r}", hint="choose another name, or delete it first"
            )
    check_writable(order.target)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stating_bits(order.image_bits))
        inputs = []
        for text in order.inputs:
            inputs.append(open_input(text, order.size, order.limit, consecutive=order.consecutive))
            stack.callback(inputs[-1].close)
        stores = order.copy or any(one.fleeting for one in inputs)
        _check_names(order, inputs, stores)
        with replacing_file(order.target) as beside, _removed_on_failure(order.store):
            # Frames first: nobody finds a set whose frames are not there yet.
            with _storing(order, stores) as store:
                made = _made(order, inputs, store, on_picture)
            beside.write_text(text_of(made.calibration, _COMMENT), encoding="utf-8")
        return made


def _check_names(order: SetOrder, inputs: Sequence[Input], stores: bool) -> None:
    """Refuse, before any work, names that the set could not hold, and pictures that it would add.

    stores: whether frames are stored beside the set, under names of their own.
    """
    for text, one in zip(order.inputs, inputs, strict=True):
        folder = Path(text)
        if stores and folder.is_dir() and is_inside(order.store, folder):
            raise UsageError(
                f"the frames would be stored in '{shown(order.store)}', inside the input "
                f"'{shown(folder)}'",
                hint="they would be pictures of that input the next time: give another --out",
            )
        for path in one.paths:
            if not stores and not is_utf8(path.absolute()):
                raise SourceError(
                    f"the name '{shown(path)}' has bytes that are no UTF-8, and a set is UTF-8",
                    hint="rename it, or store the frames themselves with --copy",
                )


@contextlib.contextmanager
def _storing(order: SetOrder, stores: bool) -> Iterator[Path | None]:
    """Yield a folder for frames, which becomes ``order.store`` at the end, or None."""
    if not stores:
        yield None
        return
    with replacing_folder(order.store) as beside:
        yield beside


def _made(
    order: SetOrder,
    inputs: Sequence[Input],
    store: Path | None,
    on_picture: Callable[[int, int | None], None],
) -> MadeSet:
    survey = Survey()
    size, pool = _survey(order, inputs, store, survey, on_picture)
    distinct = pool.candidates
    survey.distinct, survey.near_duplicates = len(distinct), pool.near_duplicates
    if not any(candidate.descriptor.any() for candidate in distinct):
        raise SourceError(
            "every frame is black: nothing would have a range",
            hint="give pictures like those the network will see",
        )
    count = _count(order, survey)
    chosen = choose(distinct, min(count, len(distinct)))
    if store is not None:
        kept = {candidate.path for candidate in chosen}
        for candidate in distinct:
            if candidate.path not in kept:
                Path(candidate.path).unlink(missing_ok=True)
    draft = CalibrationSet(
        schema=SCHEMA_VERSION,
        name=order.name,
        title=f"Different frames of {', '.join(dict.fromkeys(one.name for one in inputs))}",
        licence="; ".join(dict.fromkeys(order.licences)) or _NOT_STATED,
        height=size[0],
        width=size[1],
        members=tuple(_members(order, chosen, count)),
    )
    found = sealed(draft)
    written = tuple(
        msgspec.structs.replace(member, file=_as_written(order, Path(member.source), store))
        for member in found.members
    )
    calibration = msgspec.structs.replace(found, members=written)
    levels = [candidate.brightness for candidate in chosen]
    where = None if store is None else order.store
    return MadeSet(
        order.target, calibration, len(chosen), (min(levels), max(levels)), survey, where
    )


def _survey(
    order: SetOrder,
    inputs: Sequence[Input],
    store: Path | None,
    survey: Survey,
    on_picture: Callable[[int, int | None], None],
) -> tuple[tuple[int, int], Pool]:
    """Read every picture once; return the frame size and the pool of windows."""
    size = None if order.size is None else _checked(order.size)
    counts = [one.count for one in inputs]
    total = None if None in counts else sum(count or 0 for count in counts)
    pool = Pool(_POOL_RATIO * max(order.frames or 0, FRAMES))
    for number, one in enumerate(inputs):
        for picture in one:
            survey.pictures += 1
            on_picture(survey.pictures, total)
            shape = picture.image.shape[0], picture.image.shape[1]
            if size is None:
                size = _checked(shape)
            if order.size is None and shape != size:
                small = min(size[0], shape[0]), min(size[1], shape[1])
                raise UsageError(
                    f"{picture.name} is {format_size(*shape)}, others are {format_size(*size)}: "
                    "the frames of a set have one size",
                    hint=f"say which, like --size {format_size(*small)}",
                )
            if shape[0] < size[0] or shape[1] < size[1]:
                one.left_out.append(
                    f"{picture.name} is {format_size(*shape)}, smaller than {format_size(*size)}"
                )
                continue
            for corner in _windows(shape, size):
                survey.candidates += 1
                where = None
                if store is not None:
                    where = store / f"{survey.pictures:06d}-{corner[0]}-{corner[1]}.png"
                _offer(pool, number, picture, corner, size, where)
        survey.left_out += one.left_out
        survey.warnings += one.warnings
    if size is None or not survey.candidates:
        reason = survey.left_out[0] if survey.left_out else "there are none"
        raise SourceError(
            f"no picture can be used: {reason}", hint="give others, or a smaller --size"
        )
    return size, pool


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < _SMALLEST_SIDE:
        raise UsageError(
            f"frames of {format_size(*size)} pixels are too small to choose among",
            hint=f"height and width must be at least {_SMALLEST_SIDE}",
        )
    return size


def _offer(
    pool: Pool,
    number: int,
    picture: Picture,
    corner: tuple[int, int],
    size: tuple[int, int],
    where: Path | None,
) -> None:
    """Offer a window to the pool. where: the file to store it in, or None."""
    top, left = corner
    window = picture.image[top : top + size[0], left : left + size[1]]
    found = describe(window)
    if where is None:
        pool.offer(Candidate(number, picture.path, picture.frame, top, left, found))
        return
    from edgeunet.media.opencv import encode_image

    candidate = Candidate(number, str(where), None, 0, 0, found)
    refused = pool.offer(candidate)
    if refused is candidate:
        return
    # OpenCV's images are BGR.
    where.write_bytes(encode_image(np.ascontiguousarray(window[:, :, ::-1]), ".png"))
    if refused is not None:
        Path(refused.path).unlink()


def _windows(shape: tuple[int, int], size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the corners of as many windows as fit side by side, spread over the picture."""
    rows, columns = (_starts(have, want) for have, want in zip(shape, size, strict=True))
    for top in rows:
        for left in columns:
            yield top, left


def _starts(have: int, want: int) -> list[int]:
    count = have // want
    if count == 1:
        return [(have - want) // 2]
    return [index * (have - want) // (count - 1) for index in range(count)]


def _count(order: SetOrder, survey: Survey) -> int:
    """Return how many members the set gets."""
    if survey.distinct < FEWEST_MEMBERS:
        raise SourceError(
            f"different frames: {survey.distinct} of the {survey.candidates} seen; a set needs "
            f"{FEWEST_MEMBERS}",
            hint="give more pictures, like those the network will see",
        )
    most = survey.distinct * len(order.sigmas)
    if order.frames is not None and order.frames > most:
        raise SourceError(
            f"there are {survey.distinct} different frames, which at {len(order.sigmas)} noise "
            f"levels make {most}, and --frames asks for {order.frames}",
            hint=f"give more pictures, or --frames {most}",
        )
    return min(FRAMES, most) if order.frames is None else order.frames


def _members(order: SetOrder, chosen: Sequence[Candidate], count: int) -> Iterator[Member]:
    """Yield members without hashes; each noise level goes from dark frames to bright ones."""
    by_brightness = sorted(chosen, key=lambda candidate: (candidate.brightness, candidate.place))
    pairs: list[tuple[Candidate, float]] = []
    for turn in range(-(-count // len(chosen))):
        left = min(count - len(pairs), len(chosen))
        for index in (step * len(chosen) // left for step in range(left)):
            sigma = order.sigmas[(index + turn) % len(order.sigmas)]
            pairs.append((by_brightness[index], sigma))
    pairs.sort(key=lambda pair: (pair[0].place, pair[1]))
    for number, (candidate, sigma) in enumerate(pairs):
        licences = order.licences
        yield Member(
            file=candidate.path,
            frame=candidate.frame,
            top=candidate.top,
            left=candidate.left,
            sigma=float(sigma),
            seed=order.seed + number,
            licence=licences[min(candidate.source, len(licences) - 1)] if licences else _NOT_STATED,
            sha256="",
        )


def _as_written(order: SetOrder, path: Path, store: Path | None) -> str:
    """Return a member's path relative to the set's file."""
    if store is not None and path.parent == store:
        return f"{order.name}/{path.name}"
    try:
        return Path(os.path.relpath(path, order.folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return path.resolve().as_posix()


@contextlib.contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
