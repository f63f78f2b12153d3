"""Shipped weights keep clean images as they are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgeunet.metrics import psnr_db
from edgeunet.models import build_network
from edgeunet.models.weights import load_weights
from edgeunet.noise_models import add_gaussian
from edgeunet.photographs import shipped_photographs
from edgeunet.pixels import Floats
from edgeunet.recipes import load_recipe, recipe_names, recipe_path
from edgeunet.specs import Task

SHIPPED = [(name, int(width)) for name in recipe_names() for width in load_recipe(name).weights]


FLAT = {("addunet-joint", 8): 24, ("nafnet-small", 12): 20}
"""Most 8-bit steps a white frame's corner may lose; its model card says so."""


def denoised(name: str, width: int, clean: Floats, sigma: float) -> Floats:
    """Denoise (1, 3, H, W) float32, 0..1, RGB, after adding a fixed draw of noise."""
    recipe = load_recipe(name).with_width(width)
    weights = recipe.trained_weights(recipe_path(name).parent)
    assert weights is not None
    network = build_network(recipe).eval()
    load_weights(network, weights)
    output = next(p.output for p in recipe.pathways if p.head is Task.DENOISE)
    noisy = add_gaussian(clean, sigma, np.random.default_rng(0))
    with torch.no_grad():
        answer: Floats = network(torch.from_numpy(noisy))[output].clamp(0, 1).numpy()
    return answer


def photograph() -> Floats:
    crop = next(iter(shipped_photographs().values()))[:160, :192]
    clean: Floats = crop.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(clean)


@pytest.mark.parametrize(("name", "width"), SHIPPED)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_frame_stays_flat(name: str, width: int, level: float) -> None:
    frame = np.full((1, 3, 96, 128), level, np.float32)
    change = np.abs(denoised(name, width, frame, 0.0) - frame)
    assert change.mean() < 2 / 255
    assert change.max() < FLAT.get((name, width), 16) / 255


@pytest.mark.parametrize(("name", "width"), SHIPPED)
def test_a_clean_photograph_stays_clean(name: str, width: int) -> None:
    clean = photograph()
    assert psnr_db(denoised(name, width, clean, 0.0), clean) > 36


@pytest.mark.parametrize(("name", "width"), SHIPPED)
@pytest.mark.parametrize(("sigma", "gain_db"), [(5.0, 1.5), (25.0, 8.0), (50.0, 10.0)])
def test_noise_is_reduced(name: str, width: int, sigma: float, gain_db: float) -> None:
    clean = photograph()
    noisy = add_gaussian(clean, sigma, np.random.default_rng(0))
    assert psnr_db(denoised(name, width, clean, sigma), clean) > psnr_db(noisy, clean) + gain_db
