"""What every verb makes of one video file, through the functions that the verb itself calls."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeunet.api import frames
from edgeunet.calibration.inputs import open_input
from edgeunet.evaluate.backends import Head
from edgeunet.evaluate.named_set import open_data
from edgeunet.media.sources import open_source
from edgeunet.specs import Image, Task
from edgeunet.train.clip_folders import load_clips

_HEADS = (Head("denoised", Task.DENOISE),)

Read = tuple[list[Image], list[str]]
"""Frames, (H, W, 3) uint8 BGR, and the lines that the verb tells of them."""


def by_run(path: Path) -> Read:
    """``edgeunet run`` and ``noise``, which take the same source."""
    source = open_source(str(path))
    images = []
    while (frame := source.read()) is not None:
        images.append(frame.image)
    report = source.report()
    source.close()
    return images, [*report.warnings, *report.left_out()]


def by_frames(path: Path) -> Read:
    """``edgeunet.frames``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = list(frames(path))
    return images, [str(one.message) for one in caught]


def by_eval(path: Path) -> Read:
    data = open_data(str(path), _HEADS, frame=None)
    images = [_bgr(sample.clean.transpose(1, 2, 0)) for sample in data]
    return images, [*data.warnings, *data.left_out]


def by_eval_pair(path: Path) -> Read:
    """A clip in ``noisy/`` and the same one in ``clean/``."""
    with tempfile.TemporaryDirectory() as folder:
        for side in ("noisy", "clean"):
            (Path(folder) / side).mkdir()
            shutil.copy(path, Path(folder) / side)
        data = open_data(folder, _HEADS, frame=None)
        images = [_bgr(sample.clean.transpose(1, 2, 0)) for sample in data]
        return images, [*data.warnings, *data.left_out]


def by_calibrate(path: Path) -> Read:
    given = open_input(str(path), None, None)
    images = [_bgr(picture.image) for picture in given]
    given.close()
    return images, [*given.warnings, *given.left_out]


def by_train(path: Path) -> Read:
    """A clip of a folder of clips."""
    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, folder)
        (clip,) = load_clips([Path(folder)], notice=told.append)
    return [_bgr(frame) for frame in clip.frames], told


def _bgr(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image:
    return np.ascontiguousarray(image[:, :, ::-1])


VERBS: dict[str, Callable[[Path], Read]] = {
    "run": by_run,
    "frames": by_frames,
    "eval": by_eval,
    "eval, pair": by_eval_pair,
    "calibrate": by_calibrate,
    "train": by_train,
}
