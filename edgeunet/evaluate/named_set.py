"""Opens the data set that the user named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeunet.errors import UsageError
from edgeunet.evaluate.backends import Head
from edgeunet.evaluate.clips import ClipData
from edgeunet.evaluate.image_folders import FolderData, open_folder
from edgeunet.evaluate.paired import PairData
from edgeunet.evaluate.truth import Fit
from edgeunet.label_maps import has_labels
from edgeunet.pairs import CLEAN, NOISY, has_pairs
from edgeunet.specs import Task
from edgeunet.suffixes import IMAGE_SUFFIXES


def open_data(
    text: str,
    heads: Sequence[Head],
    *,
    frame: tuple[int, int] | None,
    fit: Fit = Fit.CROP,
    limit: int | None = None,
    scale: int = 1,
) -> FolderData | ClipData | PairData:
    """Open a folder, an image, or any source of ``edgeunet run`` that is not live.

    heads: outputs of the network, which decide the truth that is looked for.
    frame: (height, width) of the network's frame; None for any size.
    fit: what happens to images of another size.
    limit: the most images; None takes all.
    scale: how many times the frame's rows and columns the network's image has.
    Raises SourceError for a data set that cannot be evaluated, UsageError for a text that names
    no source, and for images without truths of a larger size.
    """
    path = Path(text)
    if holds_pairs(path, heads):
        return PairData(path, frame=frame, fit=fit, limit=limit, scale=scale)
    if scale > 1:
        raise UsageError(
            f"the network's image has {scale} times the rows and columns of the frame, and "
            f"{text!r} has no images of that size to compare it with",
            hint=f"give a folder with {NOISY}/ and {CLEAN}/: the frames, and under the same names "
            f"the images of {scale} times their size. Nothing is made smaller, because the way "
            "decides the figures",
        )
    if not path.is_dir() and not (path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES):
        return ClipData(text, frame=frame, fit=fit, limit=limit)
    return open_folder(
        path,
        classes=_classes(heads),
        segments=next((head.labels for head in heads if head.task is Task.SEGMENT), ()),
        frame=frame,
        fit=fit,
        limit=limit,
    )


def holds_pairs(path: Path, heads: Sequence[Head]) -> bool:
    """Return whether a folder is evaluated as pairs. Labels and folders per class come first."""
    labelled = has_labels(path) or any((path / name).is_dir() for name in _classes(heads))
    return has_pairs(path) and not labelled


def _classes(heads: Sequence[Head]) -> tuple[str, ...]:
    return next((head.classes for head in heads if head.task is Task.CLASSIFY), ())
