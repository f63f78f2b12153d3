"""The network class. Every recipe is a configuration of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeunet.models.blocks import BlockStack, conv3x3
from edgeunet.models.pathways import ClassifyHead, Pathway
from edgeunet.models.recurrence import (
    Memory,
    Recalled,
    Recurrence,
    no_memory,
    remembered,
)
from edgeunet.models.resampling import make_down
from edgeunet.models.skips import Expand, level_channels, make_store
from edgeunet.recipes import NetworkTable, PathwayTable, Recipe
from edgeunet.specs import Task

Answer = tuple[str, Tensor]


class Network(nn.Module):
    """Encoder, bottleneck, and one decoder per pathway.

    Takes (N, 3, H, W) float32, RGB, 0..1, of any height and width.
    Returns tensors by output name: ``denoise`` (N, 3, H, W), RGB, 0..1 but not clipped;
    ``segment`` (N, classes, H, W) logits; ``classify`` (N, classes) logits.

    With ``temporal``, that is the answer to a first frame. ``step`` takes frames in order.
    """

    def __init__(self, network: NetworkTable, pathways: tuple[PathwayTable, ...]) -> None:
        super().__init__()
        self.table = network
        attention = network.attention
        self.recurrence = (
            None if network.temporal == "none" else Recurrence(fuse=network.temporal == "fuse")
        )
        image_channels = 3 + (0 if self.recurrence is None else self.recurrence.extra_channels)
        self.stem = conv3x3(image_channels, network.width) if network.stem else None
        self.encoder = nn.ModuleList()
        self.down = nn.ModuleList()
        channels = network.width if network.stem else 3
        for level in range(network.levels):
            width = level_channels(network, level)
            self.encoder.append(
                BlockStack(
                    network.block,
                    channels,
                    width,
                    network.encoder_blocks[level],
                    attention=attention == "all",
                    bias=network.conv_bias,
                )
            )
            self.down.append(make_down(network.down, width))
            channels = 2 * width if network.down == "conv" else width
        self.middle = BlockStack(
            network.block,
            channels,
            level_channels(network, network.levels),
            network.middle_blocks,
            attention=attention in ("all", "core"),
            bias=network.conv_bias,
        )
        self.store = make_store(network)
        decoders = [pathway for pathway in pathways if pathway.head is not Task.CLASSIFY]
        self.pathways = nn.ModuleList(
            Pathway(
                network,
                pathway,
                sources=1 + (index if network.cascade == "dense" else 0),
                image_channels=image_channels,
            )
            for index, pathway in enumerate(decoders)
        )
        self.classifiers = nn.ModuleDict(
            {
                pathway.output: ClassifyHead(
                    level_channels(network, network.levels), len(pathway.classes)
                )
                for pathway in pathways
                if pathway.head is Task.CLASSIFY
            }
        )

    @property
    def multiple(self) -> int:
        """Height and width are padded to a multiple of this number of pixels."""
        return 1 << self.table.levels

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        if self.recurrence is not None:
            return self.step(image, None)[0]
        outputs = dict(self.heads(image))
        if self.table.image_residual:
            for pathway in self._decoders():
                if pathway.task is Task.DENOISE:
                    outputs[pathway.output] = image + outputs[pathway.output]
        return outputs

    def step(self, image: Tensor, memory: Memory | None) -> tuple[dict[str, Tensor], Memory]:
        """Return the outputs for the next frame of a clip, and the memory for the one after it.

        image: (N, 3, H, W). memory: of the frame before; None for a first frame.
        Raises ValueError for a network without ``temporal``.
        """
        recurrence = self._remembering()
        recalled = self.recall(image, memory)
        outputs = dict(self.heads(image, recalled=recalled))
        following = None
        for pathway in self._decoders():
            if pathway.task is Task.DENOISE:
                output = self.finished(outputs[pathway.output], recalled)
                outputs[pathway.output] = output
                following = remembered(output, recalled, fuse=recurrence.fuse)
        if following is None:
            raise ValueError("a network without a denoise pathway has nothing to remember")
        return outputs, following

    def recall(self, image: Tensor, memory: Memory | None) -> Recalled:
        """Return the memory where the frame's contents lie now; see ``Recurrence.recall``."""
        recurrence = self._remembering()
        frame = self._padded(image)
        if memory is None:
            nothing = no_memory(image, self.multiple, fuse=False).count
            quiet = functional.avg_pool2d(nothing, 4)
            return Recalled(frame, frame, frame, nothing, nothing, quiet)
        fused = frame if memory.fused is None else memory.fused
        return recurrence.recall(frame, self._padded(memory.previous), memory.count, fused)

    def finished(self, head: Tensor, recalled: Recalled) -> Tensor:
        """Return the denoised image, (N, 3, H, W), of a denoise head's tensor of that size."""
        height, width = head.shape[-2:]
        output = recalled.base + self._padded(head)
        return self._remembering().blended(output, recalled)[..., :height, :width]

    def heads(
        self,
        image: Tensor,
        reread: Callable[[], Tensor] | None = None,
        recalled: Recalled | None = None,
    ) -> Iterator[Answer]:
        """Yield (output name, head's tensor) as soon as each is computed.

        The image residual is not added here.

        A caller that finishes with one tensor before it asks for the next frees it early.
        reread: returns the image again for the decoder. An export reads the uint8 frame a second
            time
            there, so that no float copy of it is held across the network.
        recalled: with ``temporal``, what was recalled for the image.
        """
        height, width = image.shape[-2:]
        if recalled is None:
            again = reread if reread is not None else (lambda: image)
            x = self._padded(image)
        else:
            stacked = recalled.stacked(fuse=self._remembering().fuse)
            again, x = (lambda: stacked), stacked
        if self.stem is not None:
            x = self.stem(x)
        held: list[Tensor] = []
        for level in range(self.table.levels):
            x = self.encoder[level](x)
            held = self.store.collect(held, level, x)
            x = self.down[level](x)
        x = self.middle(x)
        for name, classifier in self.classifiers.items():
            yield name, classifier(x)
        decode = self._one_by_one if self.table.skip == "aggregate" else self._level_by_level
        for name, y in decode(held, x, lambda: self._padded(again())):
            yield name, y[..., :height, :width]

    def _one_by_one(
        self, held: list[Tensor], bottleneck: Tensor, frame: Callable[[], Tensor]
    ) -> Iterator[Answer]:
        """Compute one pathway to the end before the next starts.

        Used for an aggregated map, which is small: only one full-size tensor is alive.
        """
        for pathway in self._decoders():
            x = bottleneck
            for level in reversed(range(self.table.levels)):
                merge = pathway.merges[level]
                needs_frame = isinstance(merge, Expand) and merge.reentry is not None
                sources = [self.store.source(held, level)]
                x = pathway.level(level, x, sources, frame() if needs_frame else x)
            yield pathway.output, pathway.head(x)

    def _level_by_level(
        self, held: list[Tensor], bottleneck: Tensor, frame: Callable[[], Tensor]
    ) -> Iterator[Answer]:
        """Compute all pathways together, level by level.

        Used for stored skips: each skip is freed after its last reader.
        """
        pathways = self._decoders()
        current = [bottleneck for _ in pathways]
        for level in reversed(range(self.table.levels)):
            sources = [self.store.source(held, level)]
            for index, pathway in enumerate(pathways):
                x = pathway.level(level, current[index], sources, current[index])
                current[index] = x
                if self.table.cascade == "causal":
                    sources = [x]
                elif self.table.cascade == "dense":
                    sources = [*sources, x]
                if level == 0:
                    yield pathway.output, pathway.head(x)

    def _remembering(self) -> Recurrence:
        if self.recurrence is None:
            raise ValueError("a network without temporal has no memory")
        return self.recurrence

    def _decoders(self) -> list[Pathway]:
        return [module for module in self.pathways if isinstance(module, Pathway)]

    def _padded(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        return functional.pad(image, (0, right, 0, bottom)) if bottom or right else image

    @torch.no_grad()
    def reverse_image_channels(self) -> None:
        """Turn this into the same network for the other channel order (RGB or BGR).

        Only the weights of convolutions next to the image are flipped, so the result is exact and
        the
        network costs the same.
        """
        first = self.stem if self.stem is not None else next(_convolutions(self.encoder[0]))
        first.weight.copy_(_reversed(first.weight))
        for pathway in self._decoders():
            for merge in pathway.merges:
                if isinstance(merge, Expand) and merge.reentry is not None:
                    merge.reentry.weight.copy_(_reversed(merge.reentry.weight))
            if pathway.task is Task.DENOISE:
                pathway.head.weight.copy_(pathway.head.weight.flip(0))
                if pathway.head.bias is not None:
                    pathway.head.bias.copy_(pathway.head.bias.flip(0))


def _reversed(weight: Tensor) -> Tensor:
    """Return a weight whose inputs are one or more images, for the other channel order."""
    outputs, inputs, *kernel = weight.shape
    return weight.reshape(outputs, inputs // 3, 3, *kernel).flip(2).reshape(weight.shape)


def _convolutions(module: nn.Module) -> Iterator[nn.Conv2d]:
    return (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))


def build_network(recipe: Recipe, *, seed: int = 0) -> Network:
    """Return the recipe's network with random weights that depend only on ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(recipe.network, recipe.pathways)
