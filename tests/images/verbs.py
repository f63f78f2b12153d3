"""What every verb makes of one image file, through the functions that the verb itself calls."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeunet.calibration.inputs import open_input
from edgeunet.errors import EdgeUnetError, SourceError
from edgeunet.evaluate.backends import Head
from edgeunet.evaluate.named_set import open_data
from edgeunet.media.sources import open_source
from edgeunet.specs import Task
from edgeunet.train.sample_folders import load_samples
from tests.train.toys import toy_recipe

Bytes = NDArray[np.uint8]

_HEADS = (Head("denoised", Task.DENOISE),)


def by_run(path: Path) -> Bytes:
    """Return the picture, (H, W, 3) uint8 RGB, as ``edgeunet run FILE`` delivers it."""
    return _of_source(str(path))


def by_glob(path: Path) -> Bytes:
    """Return the picture as a quoted glob delivers it."""
    return _of_source(f"{glob.escape(str(path.parent))}/*.*")


def by_eval(path: Path) -> Bytes:
    """Return the picture as ``edgeunet eval FOLDER`` compares with it."""
    (sample,) = open_data(str(path.parent), _HEADS, frame=None)
    return np.ascontiguousarray(sample.clean.transpose(1, 2, 0))


def by_calibrate(path: Path) -> Bytes:
    """Return the picture as ``edgeunet calibrate FOLDER`` takes frames of it."""
    given = open_input(str(path.parent), None, None)
    for picture in given:
        return picture.image
    raise SourceError(given.left_out[0], hint="")


def by_train(path: Path) -> Bytes:
    """Return the picture as ``edgeunet train --data FOLDER`` learns from it."""
    told: list[str] = []
    try:
        (sample,) = load_samples([path.parent], toy_recipe(), notice=told.append)
    except SourceError as error:
        raise SourceError(told[0] if told else error.message, hint=error.hint) from error
    return np.asarray(sample.image)


def _of_source(text: str) -> Bytes:
    source = open_source(text)
    try:
        frame = source.read()
        assert frame is not None
        return np.ascontiguousarray(frame.image[:, :, ::-1])
    finally:
        source.close()


VERBS: dict[str, Callable[[Path], Bytes]] = {
    "run": by_run,
    "glob": by_glob,
    "eval": by_eval,
    "calibrate": by_calibrate,
    "train": by_train,
}


def outcome(verb: str, path: Path, truth: Bytes | None, tolerance: int = 0) -> str:
    """Return what a verb makes of a file: ``right``, ``wrong``, or ``refused``."""
    try:
        pixels = VERBS[verb](path)
    except EdgeUnetError:
        return "refused"
    if truth is None or pixels.shape != truth.shape:
        return "wrong"
    return "right" if np.abs(pixels.astype(int) - truth).max() <= tolerance else "wrong"
