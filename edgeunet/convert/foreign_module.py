"""A torch module of the user's as a foreign network: exported here, and compared with itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
import onnxscript  # noqa: F401 - torch's exporter imports it late; without it nothing may begin
import torch
from torch.utils._pytree import tree_leaves

from edgeunet.convert.foreign_reference import RunNetwork
from edgeunet.convert.network_graph import quiet_exporter
from edgeunet.errors import GraphError
from edgeunet.foreign.contract_text import NOTHING_SAID, SaidContract
from edgeunet.foreign.network_file import NetworkFile, file_of_model
from edgeunet.specs import Array
from edgeunet.units import format_size, shorten

INPUT = "x"
"""The name of a module's input."""


def file_of_module(
    module: Any, size: tuple[int, int], said: SaidContract = NOTHING_SAID
) -> NetworkFile:
    """Export a module for pictures of open size, or of this size where torch cannot.

    module: a torch.nn.Module that takes one picture, (1, 3, H, W) or (1, 1, H, W) float32. It is
        exported in evaluation mode, and left as it was.
    size: (height, width) in pixels.
    Raises GraphError when torch cannot export it, with torch's reason.
    """
    if not isinstance(module, torch.nn.Module):
        raise GraphError(
            f"{type(module).__name__} is no torch module", hint="give a torch.nn.Module"
        )
    picture = torch.zeros(1, _channels(module), *size)
    was_training = module.training
    module.eval()
    try:
        try:
            model = _exported(module, picture, {2: "height", 3: "width"})
        except Exception:  # torch.export and the module raise whatever they like
            model = _exported(module, picture, None)
    except Exception as error:  # as above
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise GraphError(
            f"torch cannot export {type(module).__name__} for images of {format_size(*size)}: "
            f"{shorten(reason)}",
            hint="it must take one (1, 3, H, W) float32 image, without branches on its values",
        ) from error
    finally:
        module.train(was_training)
    digest = hashlib.sha256(ir.to_proto(model).SerializeToString()).hexdigest()
    return file_of_model(model, type(module).__name__, digest, said)


def run_of_module(module: Any, names: Sequence[str]) -> RunNetwork:
    """Return a function that runs a module in torch FP32. names: of its outputs, in order."""

    def run(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        was_training = module.training
        module.eval()
        try:
            with torch.inference_mode():
                found = tree_leaves(module(torch.from_numpy(feeds[INPUT])))
        finally:
            module.train(was_training)
        tensors = [value for value in found if isinstance(value, torch.Tensor)]
        return {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}

    return run


def _exported(
    module: torch.nn.Module, picture: torch.Tensor, axes: dict[int, str] | None
) -> ir.Model:
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (picture,),
            dynamo=True,
            input_names=[INPUT],
            dynamic_shapes=None if axes is None else (axes,),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    # The exporter's own values compare like arrays; those of a clone compare by identity.
    return program.model.clone()


def _channels(module: torch.nn.Module) -> int:
    """Return 1 for a module whose first convolution reads one channel, else 3."""
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            return 1 if part.in_channels == 1 else 3
    return 3
