"""Yield batches in the order of the steps, prepared in a second process if that is slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from edgeunet.train.clip_crops import ClipCrops
from edgeunet.train.crops import Batch, Crops

_AHEAD = 4


class _Steps(Dataset[Batch]):
    """The batches by step number."""

    def __init__(self, crops: Crops | ClipCrops) -> None:
        self._crops = crops

    def __getitem__(self, step: int) -> Batch:
        return self._crops.batch(step)


def batches(crops: Crops | ClipCrops, steps: range, *, ahead: bool) -> Iterator[Batch]:
    """Yield the batch of every step.

    ahead: prepare batches in another process. They are the same, because a batch depends only on
        its step.
    """
    loader: DataLoader[Batch] = DataLoader(
        _Steps(crops),
        batch_size=None,
        sampler=steps,
        num_workers=1 if ahead else 0,
        prefetch_factor=_AHEAD if ahead else None,
        collate_fn=_unchanged,
    )
    return iter(loader)


def _unchanged(batch: Any) -> Any:
    return batch
