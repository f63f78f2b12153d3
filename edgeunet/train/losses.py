"""The losses of training: one per output, and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgeunet.recipes import PathwayTable, Recipe
from edgeunet.schedules import ClassWeights, TrainTable
from edgeunet.specs import Task
from edgeunet.train.crops import VOID
from edgeunet.train.samples import Sample, class_frequencies, number_frequencies

# Differences below this (a quarter of a grey level) count as squares in a Charbonnier loss.
_CHARBONNIER_EPSILON = 1e-3

# Added to the squares of a PSNR loss, so that it does not reward more than 55 dB.
_PSNR_FLOOR = 10**-5.5


class JointLoss:
    """The loss of every output of a recipe, and their sum with the recipe's weights."""

    def __init__(
        self, recipe: Recipe, table: TrainTable, samples: Sequence[Sample], device: torch.device
    ) -> None:
        self._pathways = recipe.pathways
        self._table = table
        self._class_weights = {
            pathway.output: torch.from_numpy(
                class_weights(_frequencies(pathway, samples), table.class_weights)
            ).to(device)
            for pathway in recipe.pathways
            if pathway.head is not Task.DENOISE
        }

    def __call__(
        self,
        outputs: Mapping[str, Tensor],
        clean: Tensor,
        labels: Tensor,
        numbers: Tensor,
        noisy_targets: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (weighted sum, loss by output name), all scalars.

        outputs: as ``Network`` returns them.
        clean: (N, 3, H, W), 0..1.
        labels: (N, H, W) int64. numbers: (N,) int64. Numbers that are not classes are void.
        noisy_targets: (N,) bool, crops whose ``clean`` is another noisy shot; None for none.
        """
        losses = {}
        for pathway in self._pathways:
            output = outputs[pathway.output].float()
            if pathway.head is Task.DENOISE:
                losses[pathway.output] = self._image_loss(output, clean, noisy_targets)
            else:
                truth = labels if pathway.head is Task.SEGMENT else numbers
                weights = self._class_weights[pathway.output]
                losses[pathway.output] = label_loss(output, truth, weights)
        weighted = [self._table.weight(name) * loss for name, loss in losses.items()]
        return torch.stack(weighted).sum(), losses

    def _image_loss(self, image: Tensor, clean: Tensor, noisy_targets: Tensor | None) -> Tensor:
        """Return the mean over crops; the loss of a crop depends on its kind of target."""
        kind = self._table.image_loss
        if noisy_targets is None or not noisy_targets.any():
            return image_loss(image, clean, kind)
        loss = noisy_target_loss(image[noisy_targets], clean[noisy_targets], kind)
        if noisy_targets.all():
            return loss
        share = noisy_targets.float().mean()
        others = image_loss(image[~noisy_targets], clean[~noisy_targets], kind)
        return share * loss + (1 - share) * others


def image_loss(image: Tensor, clean: Tensor, kind: str) -> Tensor:
    """Return the distance of images from clean ones (a scalar).

    ``l1``: the mean absolute difference. ``charbonnier``: its smooth form. ``psnr``: the mean over
    images of the logarithm of the mean squared difference, in which strong and weak noise have the
    same weight.
    """
    difference = image - clean
    if kind == "psnr":
        squares = difference.square().mean(dim=(1, 2, 3))
        return (squares + _PSNR_FLOOR).log10().mean()
    if kind == "charbonnier":
        return (difference.square() + _CHARBONNIER_EPSILON**2).sqrt().mean()
    return difference.abs().mean()


def fused_loss(fused: Tensor, clean: Tensor) -> Tensor:
    """Return the distance of fused frames from clean ones (a scalar).

    It is the root of each frame's mean square, in which what is left in squares of 4x4 pixels
    counts four times more: the network removes noise that is left, and cannot know a trail.
    """
    difference = fused - clean
    squares = difference.square().mean(dim=(1, 2, 3))
    trails = functional.avg_pool2d(difference, 4).square().mean(dim=(1, 2, 3))
    return (squares + 4 * trails + _CHARBONNIER_EPSILON**2).sqrt().mean()


def flicker_loss(images: Tensor, clean: Tensor, frames: int) -> Tensor:
    """Return the mean absolute error of the change from frame to frame (a scalar).

    images, clean: (N * frames, 3, H, W), 0..1, the frames of each clip in a row.
    """
    error = (images - clean).reshape(-1, frames, *images.shape[1:])
    return (error[:, 1:] - error[:, :-1]).abs().mean()


def noisy_target_loss(image: Tensor, target: Tensor, kind: str) -> Tensor:
    """Return the distance of images from noisy targets (a scalar).

    The network that minimizes it returns the mean of the possible targets. The absolute difference
    would lead to their median, which differs from the mean where noise is skewed, in the dark and
    near white. ``psnr`` already leads to the mean. For ``l1`` and ``charbonnier``, it is the root
    of each crop's mean square. Its gradient is as large as that of the absolute difference, so both
    kinds of crops have the same weight in a batch.
    """
    if kind == "psnr":
        return image_loss(image, target, kind)
    squares = (image - target).square().mean(dim=(1, 2, 3))
    return (squares + _CHARBONNIER_EPSILON**2).sqrt().mean()


def label_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of the cross-entropy over labelled pixels, 0 without any.

    logits: (N, classes, ...). truth: (N, ...) int64; other numbers than classes are void.
    weights: (classes,).
    """
    truth = torch.where(truth < len(weights), truth, VOID)
    total = functional.cross_entropy(
        logits, truth, weight=weights, ignore_index=VOID, reduction="sum"
    )
    counted = weights[truth.clamp(min=0)] * (truth != VOID)
    # If nothing is labelled, the sum is 0 as well.
    return total / counted.sum().clamp(min=torch.finfo(torch.float32).tiny)


def class_weights(frequencies: NDArray[np.float64], kind: ClassWeights) -> NDArray[np.float32]:
    """Return the weight of each class in the cross-entropy, (classes,) float32.

    ``median``: median frequency / frequency (Eigen and Fergus, ICCV 2015).
    ``sqrt-median``: its square root, with smaller differences.
    ``none``: 1.
    A class that does not occur is left out of the median and gets the weight 1.
    """
    weights = np.ones(len(frequencies))
    occurs = frequencies > 0
    if kind != "none" and occurs.any():
        np.divide(np.median(frequencies[occurs]), frequencies, out=weights, where=occurs)
    return np.asarray(np.sqrt(weights) if kind == "sqrt-median" else weights, np.float32)


def _frequencies(pathway: PathwayTable, samples: Sequence[Sample]) -> NDArray[np.float64]:
    count = class_frequencies if pathway.head is Task.SEGMENT else number_frequencies
    return count(samples, len(pathway.classes))
