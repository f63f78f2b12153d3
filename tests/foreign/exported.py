"""Networks in torch, written to ONNX files by torch's two exporters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxscript  # noqa: F401 - torch's exporter imports it late; without it nothing may begin
import torch
from torch import nn

from edgeunet.convert.network_graph import quiet_exporter

SEED = 11


def with_random_statistics(network: nn.Module) -> nn.Module:
    """Make batch norms do something, as those of a trained network do."""
    generator = torch.Generator().manual_seed(SEED)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.2 * torch.randn(buffer.shape, generator=generator))
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return network.eval()


def write_onnx(
    network: nn.Module,
    path: Path,
    size: tuple[int, int] = (64, 96),
    *,
    channels: int = 3,
    dynamo: bool = True,
    opset: int = 18,
    dynamic: bool = False,
    outputs: Sequence[str] = ("y",),
) -> Path:
    """Export a network that takes one picture, named ``x``. dynamic: batch, rows and columns."""
    picture = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(SEED))
    axes = {0: "n", 2: "h", 3: "w"}
    with quiet_exporter(), torch.no_grad():
        if dynamo:
            torch.onnx.export(
                network.eval(),
                (picture,),
                path,
                dynamo=True,
                opset_version=opset,
                input_names=["x"],
                output_names=list(outputs),
                external_data=False,
                verbose=False,
                dynamic_shapes=(axes,) if dynamic else None,
            )
        else:
            torch.onnx.export(
                network.eval(),
                (picture,),
                path,
                dynamo=False,
                opset_version=opset,
                input_names=["x"],
                output_names=list(outputs),
                dynamic_axes=dict.fromkeys(("x", *outputs), axes) if dynamic else None,
            )
    return path
