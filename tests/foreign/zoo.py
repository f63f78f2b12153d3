"""The zoo of foreign networks: which ones, how each is exported, and what sizes it takes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from edgeunet.foreign.house_form import to_house_form
from edgeunet.foreign.network_file import NetworkFile
from edgeunet.graph.divided_means import divide_means
from edgeunet.graph.fold import fold
from edgeunet.graph.rematerialise import reread_inputs
from tests.foreign import plain_networks as plain
from tests.foreign import zoo_attention as attention
from tests.foreign import zoo_restorers as restorers
from tests.foreign import zoo_segmenters as segmenters
from tests.foreign.exported import SEED, with_random_statistics, write_onnx


@dataclass(frozen=True)
class Animal:
    """One network.

    make: returns it, with random weights.
    multiple: of the sides of its frames.
    dynamo, opset: the exporter. channels: of its picture. outputs: their number.
    """

    make: Callable[[], nn.Module]
    multiple: int = 1
    dynamo: bool = False
    opset: int = 17
    channels: int = 3
    outputs: int = 1

    def write(self, path: Path, size: tuple[int, int]) -> Path:
        """Export it: with dynamo for frames of any size, by TorchScript for one."""
        torch.manual_seed(SEED)
        return write_onnx(
            with_random_statistics(self.make()),
            path,
            size,
            channels=self.channels,
            dynamo=self.dynamo,
            opset=self.opset,
            outputs=[f"y{number}" for number in range(self.outputs)],
            dynamic=self.dynamo,
        )

    def fitting(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the next smaller size that it takes."""
        height, width = (side // self.multiple * self.multiple for side in size)
        return height, width


ZOO: dict[str, Animal] = {
    "DnCNN": Animal(plain.DnCNN, opset=17),
    "gray DnCNN": Animal(restorers.GrayDnCNN, channels=1, opset=13),
    "FFDNet": Animal(restorers.FFDNet, 2, opset=14),
    "DRUNet": Animal(restorers.DRUNet, 4, opset=15),
    "NAFNet": Animal(restorers.NAFNet, 2, opset=16),
    "HINet": Animal(restorers.HINet, 2),
    "MIMO-UNet": Animal(restorers.MIMOUNet, 2, opset=13),
    "Zero-DCE": Animal(restorers.ZeroDCE, opset=14),
    "Restormer": Animal(restorers.Restormer),
    "MPRNet": Animal(restorers.MPRNet, 2),
    "SwinIR": Animal(restorers.SwinIR, 8),
    "shifted SwinIR": Animal(attention.ShiftedSwinIR),
    "deep Restormer": Animal(attention.DeepRestormer, 2, opset=16),
    "Uformer": Animal(attention.Uformer, 8, opset=13),
    "bilinear U-Net": Animal(attention.BilinearUNet, 4, opset=14),
    "SRCNN": Animal(restorers.SRCNN, opset=15),
    "VDSR": Animal(restorers.VDSR, dynamo=True, opset=23),
    "ESPCN": Animal(plain.ESPCN, opset=16),
    "EDSR": Animal(restorers.EDSR, dynamo=True, opset=18),
    "RCAN": Animal(restorers.RCAN, opset=16),
    "RRDB": Animal(restorers.RRDB, opset=13),
    "SRVGG": Animal(restorers.SRVGG, dynamo=True, opset=22),
    "IMDN": Animal(restorers.IMDN, opset=14),
    "U-Net": Animal(plain.UNet, 4, opset=15),
    "Attention U-Net": Animal(segmenters.AttentionUNet, 2, opset=16),
    "LinkNet": Animal(segmenters.LinkNet, 8),
    "ResNet U-Net": Animal(segmenters.ResUNet, 4, dynamo=True, opset=19),
    "ConvNeXt U-Net": Animal(segmenters.ConvNeXtUNet, 8, dynamo=True, opset=20),
    "DeepLabV3+": Animal(segmenters.DeepLabV3Plus, 8, opset=13),
    "PSPNet": Animal(segmenters.PSPNet, 16),
    "Fast-SCNN": Animal(segmenters.FastSCNN, 8, opset=14),
    "BiSeNet": Animal(segmenters.BiSeNet, 8, opset=15),
    "SegFormer": Animal(segmenters.SegFormer, 16),
    "U2-Net": Animal(segmenters.U2Net, 1, opset=16, outputs=2),
    "MODNet": Animal(segmenters.MODNet, 8),
    "LR-ASPP": Animal(segmenters.LRASPP, 8, opset=14),
    "GroupNorm U-Net": Animal(segmenters.GroupNormUNet, 2, dynamo=True, opset=21),
    "HRNet": Animal(segmenters.HRNet, 4),
    "ENet": Animal(segmenters.ENet, 2, opset=13),
    "ShuffleSeg": Animal(segmenters.ShuffleSeg, 2, opset=14),
    "Panoptic FPN": Animal(segmenters.PanopticFPN, 8, opset=15),
    "LayerNorm U-Net": Animal(segmenters.ChannelNormUNet, 4, opset=17),
}


def monai_zoo() -> Iterator[tuple[str, Animal]]:
    """Networks of MONAI, in two dimensions. Nothing where it is not installed."""
    if importlib.util.find_spec("monai") is None:
        return
    nets: Any = importlib.import_module("monai.networks.nets")
    two: dict[str, Any] = {"spatial_dims": 2, "in_channels": 3, "out_channels": 4}
    yield (
        "MONAI UNet",
        Animal(lambda: nets.UNet(**two, channels=(4, 8, 16), strides=(2, 2), num_res_units=1), 4),
    )
    yield "MONAI BasicUNet", Animal(lambda: nets.BasicUNet(**two, features=(4, 4, 8, 8, 8, 4)), 16)
    yield "MONAI SegResNet", Animal(lambda: nets.SegResNet(**two, init_filters=8), 8)
    yield (
        "MONAI AttentionUnet",
        Animal(lambda: nets.AttentionUnet(**two, channels=(4, 8, 16), strides=(2, 2)), 4),
    )
    yield (
        "MONAI UNet++",
        Animal(lambda: nets.BasicUNetPlusPlus(**two, features=(4, 4, 4, 4, 4, 4)), 16, outputs=1),
    )
    yield (
        "MONAI SwinUNETR",
        Animal(
            lambda: nets.SwinUNETR(
                in_channels=3, out_channels=4, feature_size=12, spatial_dims=2, depths=(1, 1, 1, 1)
            ),
            32,
        ),
    )


def detector() -> Path | None:
    """The text detector in the wheel of rapidocr-onnxruntime; None where it is not installed."""
    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations))) / "models"
    return next(iter(sorted(folder.glob("*det_infer.onnx"))), None)


def house_graph(path: Path, size: tuple[int, int]) -> ir.Model:
    """A file's graph in the form of our own, whose outputs are the floats before the last step."""
    file = NetworkFile.read(path)
    model = file.canonical(*size).clone()
    to_house_form(model, file.network(*size), *size)
    fold(model)
    divide_means(model)
    reread_inputs(model)
    return _in_floats(model)


def _in_floats(model: ir.Model) -> ir.Model:
    """Take off the rounding of images and the choice of labels: one step may tip either."""
    graph = model.graph
    last = [n for n in graph if n.op_type in ("Round", "ArgMax")] or list(graph)[-1:]
    kept = [n.inputs[0] for n in last if n.inputs[0] is not None]
    graph.outputs.clear()
    graph.outputs.extend(kept)
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
    return model
