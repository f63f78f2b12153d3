"""The Kalman gain of the fused frame: what noise it finds, what it keeps and what it lets go.

The network is left out: the output of a frame is its fused frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from edgeunet.models.recurrence import Memory, Recurrence, no_memory, remembered

SIDE = 64
LEVEL = 1 / 255


def trusting() -> Recurrence:
    recurrence = Recurrence(fuse=True).eval()
    with torch.no_grad():
        recurrence.trust.strength.fill_(1.0)
    return recurrence


def scene(seed: int, clips: int = 1) -> Tensor:
    """Return a photograph's like, (clips, 3, SIDE, SIDE): patches of some size, 0.2..0.8."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.full((1, 3, SIDE, SIDE), 0.2)
    for cells, height in ((4, 0.4), (16, 0.2)):
        patches = torch.rand(1, 3, cells, cells, generator=generator) * height
        found = found + functional.interpolate(patches, (SIDE, SIDE), mode="nearest")
    return found.expand(clips, 3, SIDE, SIDE).contiguous()


def fused_frames(
    clean: Iterable[Tensor], sigma: float, grain: Callable[[Tensor], Tensor] = lambda noise: noise
) -> list[Tensor]:
    """Return the fused frame of every frame of a clip with new noise. sigma: in levels."""
    recurrence, generator = trusting(), torch.Generator().manual_seed(1)
    found = []
    memory: Memory | None = None
    with torch.no_grad():
        for image in clean:
            noise = grain(torch.randn(image.shape, generator=generator))
            noisy = image + noise * (sigma * LEVEL)
            known = no_memory(image, 8, fuse=True) if memory is None else memory
            assert known.fused is not None
            recalled = recurrence.recall(noisy, known.previous, known.count, known.fused)
            memory = remembered(recalled.base, recalled, fuse=True)
            found.append(recalled.base)
    return found


def deviation(image: Tensor, clean: Tensor) -> float:
    """Return the root of the mean square, in levels."""
    return float((image - clean).square().mean().sqrt()) / LEVEL


def coarse(noise: Tensor) -> Tensor:
    """Return grains of a camera with strong smoothing, of the same strength."""
    blurred = functional.avg_pool2d(noise, 5, stride=1, padding=2)
    return blurred / blurred.std()


@pytest.mark.parametrize("sigma", [3.0, 10.0, 30.0])
@torch.no_grad()
def test_the_noise_is_found(sigma: float) -> None:
    clean, generator = scene(0), torch.Generator().manual_seed(2)
    noisy = clean + sigma * LEVEL * torch.randn(clean.shape, generator=generator)
    count = torch.full((1, 1, SIDE // 2, SIDE // 2), 10.0)
    trusted = trusting().trust(noisy, clean, clean, count, count)
    assert float(trusted.noise.mean()) / LEVEL == pytest.approx(sigma, rel=0.2)
    assert float(trusted.shift.abs().mean()) < 0.3 * LEVEL
    assert float(trusted.count.median()) > min(5.0, sigma)


@pytest.mark.parametrize(("sigma", "grain"), [(5.0, None), (20.0, None), (10.0, coarse)])
def test_noise_goes_where_nothing_moves(
    sigma: float, grain: Callable[[Tensor], Tensor] | None
) -> None:
    clean = scene(0)
    found = fused_frames([clean] * 16, sigma, grain or (lambda noise: noise))
    assert deviation(found[-1], clean) < 0.55 * deviation(found[0], clean)


def test_a_cut_starts_anew() -> None:
    before, after = scene(0), scene(1)
    found = fused_frames([before] * 10 + [after] * 3, 20.0)
    # 2 % of the deviation are 0.17 dB of the noisy frame, before the network.
    assert deviation(found[10], after) < 1.02 * deviation(found[0], before)
    assert deviation(found[12], after) < 0.9 * deviation(found[0], before)


@pytest.mark.parametrize("sigma", [5.0, 30.0])
def test_a_ramp_of_brightness_is_followed(sigma: float) -> None:
    clean = scene(0, 4)
    frames = [clean + 0.25 * LEVEL * index for index in range(48)]
    found = fused_frames(frames, sigma)
    for image, truth in zip(found, frames, strict=True):
        assert abs(float((image - truth).mean())) < 0.5 * LEVEL
    assert deviation(found[-1], frames[-1]) < 0.6 * deviation(found[0], frames[0])


def test_many_frames_do_not_drift() -> None:
    # A thousand frames of the shipped networks are those of benchmarks/video_robustness.py.
    clean = scene(0)
    found = fused_frames([clean] * 300, 20.0)
    late = torch.stack(found[-20:]).mean(dim=0)
    early = torch.stack(found[60:80]).mean(dim=0)
    assert deviation(late, clean) < 1.2 * deviation(early, clean)
    assert abs(float((late - clean).mean())) < 0.25 * LEVEL


def test_a_ball_leaves_no_trail() -> None:
    background, clips = scene(0, 6), 6
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    frames, seen = [], torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside = seen
    for index in range(30):
        inside = (rows - 32).square() + (columns - 4 * (index - 8)).square() < 64
        seen = seen | inside
        frames.append(torch.where(inside, torch.tensor(0.95), background))
    found = fused_frames(frames, 20.0)
    assert not bool(inside.any())
    error = ((found[-1] - background) / LEVEL).mean(dim=0)
    trail = functional.avg_pool2d(error * seen, 8, stride=4)
    part = functional.avg_pool2d(seen[None].to(torch.float32), 8, stride=4)
    assert clips == len(background)
    assert float((trail / part)[:, part[0] > 0.5].abs().max()) < 2.0
