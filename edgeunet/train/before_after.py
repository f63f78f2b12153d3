"""Show real noisy images as the network denoised them before and after a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgeunet.metrics import psnr_db
from edgeunet.models.network import Network, build_network
from edgeunet.photographs import Photograph
from edgeunet.pixels import Floats, as_bytes
from edgeunet.recipes import Recipe
from edgeunet.specs import Task
from edgeunet.train.initial import load_matching
from edgeunet.train.samples import Sample
from edgeunet.train.validation import as_planes, image_tensor

_MOST = 8
_WINDOW = 224


@dataclass(frozen=True)
class Shown:
    """One picture: the central window of a held-out image.

    psnr_db: PSNR of the whole image to the reference; None for the reference.
    """

    title: str
    pixels: Photograph
    psnr_db: float | None


def before_and_after(
    recipe: Recipe, before: Path | None, after: Path, held_out: Sequence[Sample]
) -> list[list[Shown]]:
    """Return the pictures of each of the first held-out real noisy images.

    They are: noisy, denoised with the initial weights, denoised with the final ones, and the mean
    of the other shots.
    before: None if the initial weights are not known any more.
    Raises WeightsError for weights that cannot be read.
    """
    chosen = [sample for sample in held_out if sample.noisy is not None][:_MOST]
    networks = [
        (title, _network(recipe, weights))
        for title, weights in (("before", before), ("after", after))
        if chosen and weights is not None
    ]
    return [_pictures(recipe, networks, sample) for sample in chosen]


def _network(recipe: Recipe, weights: Path) -> Network:
    network = build_network(recipe)
    load_matching(network, weights)
    return network.eval()


def _pictures(
    recipe: Recipe, networks: Sequence[tuple[str, Network]], sample: Sample
) -> list[Shown]:
    if sample.noisy is None:
        raise ValueError("only an image with noise of its own is shown")
    reference, noisy = as_planes(sample.image), as_planes(sample.noisy)
    found = [("noisy", noisy)]
    output = next(p.output for p in recipe.pathways if p.head is Task.DENOISE)
    for title, network in networks:
        with torch.inference_mode():
            image = network(image_tensor(noisy, torch.device("cpu")))[output]
        found.append((title, image.clamp(0, 1).numpy()))
    shown = [Shown(title, _window(image), psnr_db(image, reference)) for title, image in found]
    return [*shown, Shown("reference", _window(reference), None)]


def _window(image: Floats) -> Photograph:
    """Return the central window, (H, W, 3) uint8 RGB, of (1, 3, H, W) float32."""
    pixels = as_bytes(image[0].transpose(1, 2, 0))
    top, left = (max(0, (side - _WINDOW) // 2) for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + _WINDOW, left : left + _WINDOW])
