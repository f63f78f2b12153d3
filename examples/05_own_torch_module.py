"""Say how much memory a torch module of your own needs.

    python examples/05_own_torch_module.py

Needs the extra ``export``.
"""

from __future__ import annotations

import torch
from torch import nn

import edgeunet


class TwoLevels(nn.Module):
    """A U-Net of two levels with one skip."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Conv2d(3, 16, 3, padding=1)
        self.down = nn.Conv2d(16, 32, 2, stride=2)
        self.middle = nn.Conv2d(32, 32, 3, padding=1)
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.decode = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skip = torch.relu(self.encode(image))
        deep = torch.relu(self.middle(torch.relu(self.down(skip))))
        change: torch.Tensor = self.decode(torch.cat([skip, self.up(deep)], dim=1))
        return image + change


report = edgeunet.memory(TwoLevels(), size=(480, 640))
print(f"{report.skip_bytes / 2**20:.1f} MiB of skips are held for the decoder")
print(f"{report.peak_live_bytes / 2**20:.1f} MiB are alive at the peak, at {report.peak_at}")
