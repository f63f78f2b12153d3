"""Measure a network on held-out images during training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edgeunet.metrics import ConfusionMatrix, psnr_db
from edgeunet.noise_models import add_camera, add_gaussian, as_handed_over, read_variance
from edgeunet.photographs import Photograph
from edgeunet.pixels import Floats, as_floats
from edgeunet.recipes import PathwayTable
from edgeunet.schedules import TrainTable
from edgeunet.specs import Task
from edgeunet.train.samples import Sample

AddNoise = Callable[[Floats, np.random.Generator], Floats]

IN_BITS = "int8_"
"""Prefix of figures of the network in 8 bits."""

_SIGMA = 25.0
METRICS = {Task.DENOISE: "psnr_db", Task.SEGMENT: "mean_iou", Task.CLASSIFY: "accuracy"}


def figure_names(pathways: Sequence[PathwayTable]) -> list[str]:
    """Return the name of each pathway's figure, with the output's name if two are equal."""
    names = [METRICS[pathway.head] for pathway in pathways]
    often = Counter(names)
    return [
        name if often[name] == 1 else f"{name}_{pathway.output}"
        for name, pathway in zip(names, pathways, strict=True)
    ]


def validation_noise(table: TrainTable) -> tuple[str, AddNoise]:
    """Return (name of the noise, function that adds it), with one strength of the trained range.

    White noise has sigma 25 if that is in the range, else the middle of the range. A camera has the
    geometric mean of its gains, and the matching read noise (``noise_models.draw_camera``). The
    result is clipped to bytes if a network in 8 bits is measured as well, because it reads only
    bytes.
    """
    name, add_noise = _noise(table)
    if table.quantized_for is None:
        return name, add_noise
    return f"{name} clipped", lambda clean, generator: as_handed_over(add_noise(clean, generator))


def _noise(table: TrainTable) -> tuple[str, AddNoise]:
    if table.noise == "camera":
        gain = math.sqrt(table.gain[0] * table.gain[1])
        read = read_variance(gain)
        name = f"camera noise of gain {gain:.2g}"
        return name, lambda clean, generator: add_camera(clean, gain, read, generator)
    low, high = table.sigma
    sigma = _SIGMA if low <= _SIGMA <= high else (low + high) / 2
    return f"sigma {sigma:g}", lambda clean, generator: add_gaussian(clean, sigma, generator)


@torch.no_grad()
def validate(
    network: nn.Module,
    pathways: Sequence[PathwayTable],
    samples: Sequence[Sample],
    add_noise: AddNoise,
) -> dict[str, float]:
    """Return the figures over samples by name. Samples without noise get one fixed draw of it.

    ``psnr_db``: mean over images, with outputs clipped to 0..1.
    ``mean_iou``, ``accuracy``: 0..1, over all labelled pixels or images; left out without labels.
    """
    device = next(network.parameters()).device
    network.eval()
    psnr: dict[str, list[float]] = {}
    matrices = {
        pathway.output: ConfusionMatrix(len(pathway.classes))
        for pathway in pathways
        if pathway.head is not Task.DENOISE
    }
    for index, sample in enumerate(samples):
        clean = as_planes(sample.image)
        if sample.noisy is None:
            noisy = add_noise(clean, np.random.default_rng([2024, index]))
        else:
            noisy = as_planes(sample.noisy)
        outputs = network(image_tensor(noisy, device))
        for pathway in pathways:
            output = outputs[pathway.output]
            if pathway.head is Task.DENOISE:
                denoised = output.clamp(0, 1).cpu().numpy()
                psnr.setdefault(pathway.output, []).append(psnr_db(denoised, clean))
                continue
            truth = sample.labels
            if pathway.head is Task.CLASSIFY:
                truth = None if sample.number is None else np.array(sample.number, np.uint8)
            if truth is not None:
                given = output[0].argmax(dim=0).cpu().numpy()
                matrices[pathway.output].update(given, truth)
    network.train()
    figures = {}
    for name, pathway in zip(figure_names(pathways), pathways, strict=True):
        if pathway.head is Task.DENOISE:
            figure = float(np.mean(psnr[pathway.output])) if psnr else math.nan
        elif pathway.head is Task.SEGMENT:
            figure = matrices[pathway.output].mean_iou
        else:
            figure = matrices[pathway.output].pixel_accuracy
        if not math.isnan(figure):
            figures[name] = figure
    return figures


def as_planes(image: Photograph) -> Floats:
    """Return an image (H, W, 3) uint8 as a batch of one: (1, 3, H, W) float32, 0..1."""
    planes: Floats = as_floats(image).transpose(2, 0, 1)[None]
    return planes


def image_tensor(values: Floats, device: torch.device) -> Tensor:
    """Return (N, 3, H, W) float32 on a device, channels last in memory, which is faster."""
    tensor = torch.from_numpy(np.ascontiguousarray(values)).to(device)
    return tensor.contiguous(memory_format=torch.channels_last)
