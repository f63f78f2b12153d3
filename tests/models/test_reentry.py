"""Reentry of the frame improves quality: without its 3x3 convolution the PSNR falls."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
import torch

from edgeunet.models import build_network
from edgeunet.photographs import shipped_photographs
from edgeunet.recipes import load_recipe
from edgeunet.schedules import TrainTable
from edgeunet.train.crops import Crops
from edgeunet.train.optimization import learning_rate
from edgeunet.train.samples import Sample
from edgeunet.train.validation import validate, validation_noise

STEPS = 200
SIGMA = 25.0
TABLE = TrainTable(
    steps=STEPS,
    batch=8,
    crop=32,
    learning_rate=2e-3,
    warmup_steps=20,
    sigma=(SIGMA, SIGMA),
    seed=0,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def psnr_after_training(*, reentry: bool, image_residual: bool) -> float:
    """Train on three photographs; return the PSNR in dB on two corners of a fourth."""
    recipe = load_recipe("unetmm").with_width(8)
    table = msgspec.structs.replace(recipe.network, reentry=reentry, image_residual=image_residual)
    photographs = shipped_photographs()
    held_out = photographs.pop("coffee")
    crops = Crops([Sample(picture) for picture in photographs.values()], TABLE)
    network = build_network(msgspec.structs.replace(recipe, network=table), seed=0)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters())
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(TABLE, step)
        batch = crops.batch(step)
        denoised = network(torch.from_numpy(batch.noisy))["denoised"]
        loss = (denoised - torch.from_numpy(batch.clean)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    corners = [Sample(held_out[100:228, 200:328]), Sample(held_out[250:378, 50:178])]
    _, add_noise = validation_noise(TABLE)
    return validate(network, recipe.pathways, corners, add_noise)["psnr_db"]


@pytest.mark.slow
@pytest.mark.parametrize(("image_residual", "margin_db"), [(True, 2.0), (False, 1.0)])
def test_quality_falls_without_reentry(image_residual: bool, margin_db: float) -> None:
    """The recipe has ``image_residual``; a head that must make the whole image needs it too."""
    assert load_recipe("unetmm").network.reentry
    assert load_recipe("unetmm").network.image_residual
    within = psnr_after_training(reentry=True, image_residual=image_residual)
    without = psnr_after_training(reentry=False, image_residual=image_residual)
    print(f"{within:.2f} dB with, {without:.2f} dB without")
    assert within > without + margin_db
