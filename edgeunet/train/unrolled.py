"""Run a network that remembers over the frames of clips, in training and in validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edgeunet.metrics import psnr_db
from edgeunet.models.network import Network
from edgeunet.schedules import TrainTable
from edgeunet.train.clip_folders import Clip
from edgeunet.train.validation import as_planes, image_tensor, validation_noise

_FRAMES, _SETTLED = 10, 4
_SIDE = 256


class Unrolled(nn.Module):
    """A network over whole clips; gradients pass through all frames.

    frames: of each clip of the next call. Images and answers lie as in ``Batch``.
    fused: the fused frames of the last call, like the images; None without ``fuse``.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.frames = 1
        self.fused: Tensor | None = None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        clips = images.reshape(-1, self.frames, *images.shape[1:])
        memory = None
        answers: dict[str, list[Tensor]] = {}
        fused = []
        for index in range(self.frames):
            outputs, memory = self.network.step(clips[:, index], memory)
            if memory.fused is not None:
                fused.append(memory.fused)
            for name, output in outputs.items():
                answers.setdefault(name, []).append(output)
        self.fused = torch.stack(fused, dim=1).flatten(0, 1) if fused else None
        return {name: torch.stack(parts, dim=1).flatten(0, 1) for name, parts in answers.items()}


@torch.no_grad()
def clips_psnr_db(network: Network, clips: Sequence[Clip], table: TrainTable) -> float:
    """Return the mean PSNR in dB of held-out clips, once the memory has settled.

    Of each clip the central 256 pixels of the first ten frames are denoised, and frames from the
    fifth on count. The noise is that of other held-out images.
    """
    add_noise = validation_noise(table)[1]
    device = next(network.parameters()).device
    network.eval()
    found = []
    for number, clip in enumerate(clips):
        generator = np.random.default_rng([2026, number])
        memory = None
        for index, frame in enumerate(clip.frames[:_FRAMES]):
            top, left = (max(0, side - _SIDE) // 2 for side in frame.shape[:2])
            clean = as_planes(frame[top : top + _SIDE, left : left + _SIDE])
            noisy = image_tensor(add_noise(clean, generator), device)
            outputs, memory = network.step(noisy, memory)
            if index >= _SETTLED or index == len(clip.frames) - 1:
                denoised = next(iter(outputs.values())).clamp(0, 1).cpu().numpy()
                found.append(psnr_db(denoised, clean))
    network.train()
    return float(np.mean(found))
