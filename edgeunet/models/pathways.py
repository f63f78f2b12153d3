"""One decoder of a cascade, from the bottleneck to its head."""

from __future__ import annotations

from torch import Tensor, nn

from edgeunet.models.blocks import BlockStack, conv1x1
from edgeunet.models.resampling import Up
from edgeunet.models.skips import Expand, level_channels, make_merge
from edgeunet.recipes import NetworkTable, PathwayTable
from edgeunet.specs import Task


class ClassifyHead(nn.Module):
    """Mean over the bottleneck's pixels and a linear layer; returns (N, classes) logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


class Pathway(nn.Module):
    """A decoder and its head (UMC, arXiv 2005.00225).

    sources: number of tensors that each level joins. It is 1; in a dense cascade each earlier
        pathway adds one.
    image_channels: channels of the image that reentry reads.
    """

    def __init__(
        self,
        network: NetworkTable,
        pathway: PathwayTable,
        *,
        sources: int,
        image_channels: int = 3,
    ) -> None:
        super().__init__()
        self.output = pathway.output
        self.task: Task = pathway.head
        ups, merges, stages = [], [], []
        for level in range(network.levels):
            channels = level_channels(network, level)
            up = Up(network.up, channels)
            joined = up.out_channels
            steps: list[nn.Module] = [up]
            if network.skip == "concat":
                joined += sources * channels
            elif joined != channels:
                steps.append(conv1x1(joined, channels))
                joined = channels
            ups.append(nn.Sequential(*steps))
            merges.append(make_merge(network, level, sources, image_channels))
            stages.append(
                BlockStack(
                    network.block,
                    joined,
                    channels,
                    network.decoder_blocks[level],
                    attention=network.attention == "all",
                    bias=network.conv_bias,
                )
            )
        self.ups = nn.ModuleList(ups)
        self.merges = nn.ModuleList(merges)
        self.stages = nn.ModuleList(stages)
        self.head = nn.Conv2d(
            network.width,
            pathway.head_channels,
            network.head_kernel,
            padding=network.head_kernel // 2,
        )

    def level(self, level: int, x: Tensor, sources: list[Tensor], frame: Tensor) -> Tensor:
        """Return a level's tensor (N, C_level, H/2^level, W/2^level).

        x: tensor of the next coarser level.
        sources: tensors that the level joins.
        frame: the padded image, used by a level with reentry only.
        """
        up = self.ups[level](x)
        merge = self.merges[level]
        joined = merge(up, sources, frame) if isinstance(merge, Expand) else merge(up, sources)
        y: Tensor = self.stages[level](joined)
        return y
