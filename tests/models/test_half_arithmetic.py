"""The shipped weights in FP16 arithmetic.

On most CPUs onnxruntime computes FP16 graphs in FP32, so an export's parity does not show the
effect
of FP16. Torch computes in FP16 on a CPU, as a GPU does.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch

from edgeunet.convert.parity import parity_frames
from edgeunet.models import Network, build_network
from edgeunet.models.weights import load_weights
from edgeunet.recipes import folder, load_recipe, recipe_names

TRAINED = [name for name in recipe_names() if load_recipe(name).trained_weights(folder("export"))]


def half_residual(half: Network, image: torch.Tensor) -> torch.Tensor:
    """Return what is added to the frame; to a first frame for a network that remembers."""
    recalled = None if half.recurrence is None else half.recall(image, None)
    return dict(half.heads(image, recalled=recalled))["denoised"].float()


@pytest.mark.parametrize("frame", parity_frames(16, 16))
@pytest.mark.parametrize("name", TRAINED)
def test_half_arithmetic_keeps_the_frame(name: str, frame: str) -> None:
    recipe = load_recipe(name)
    weights = recipe.trained_weights(folder("export"))
    assert weights is not None
    network = build_network(recipe).eval()
    load_weights(network, weights)
    half = copy.deepcopy(network).half()
    pixels = torch.from_numpy(parity_frames(64, 96)[frame])
    image = pixels.permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        full = network(image)["denoised"]
        # As exported: the residual is added to the frame in FP32.
        rounded = image + half_residual(half, image.half())
    frames = [(y.clamp(0, 1) * 255).round() for y in (full, rounded)]
    error = float((frames[0] - frames[1]).square().mean()) / 255**2
    assert not math.isnan(error)
    assert error <= 10 ** (-recipe.tolerance.fp16_db / 10)
