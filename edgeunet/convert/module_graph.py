"""Export the user's own torch module as a graph."""

from __future__ import annotations

from typing import Any

import onnxscript  # noqa: F401 - torch's exporter imports it late; without it nothing may begin
import torch

from edgeunet.convert.network_graph import quiet_exporter
from edgeunet.errors import GraphError
from edgeunet.graph.summary import GraphView, view_of_model
from edgeunet.units import shorten


def view_of_module(module: Any, height: int, width: int) -> GraphView:
    """Return the graph of a torch module for one image, (1, 3, height, width) float32.

    The module is exported in evaluation mode, and left as it was.
    Raises GraphError when torch cannot export it, with torch's reason.
    """
    if not isinstance(module, torch.nn.Module):
        raise GraphError(
            f"{type(module).__name__} is no torch module", hint="give a torch.nn.Module"
        )
    was_training = module.training
    module.eval()
    try:
        with quiet_exporter(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (torch.zeros(1, 3, height, width),),
                dynamo=True,
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # torch.export and the module raise whatever they like
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise GraphError(
            f"torch cannot export {type(module).__name__} for images of {height}x{width}: "
            f"{shorten(reason)}",
            hint="it must take one (1, 3, H, W) float32 image, without branches on its values",
        ) from error
    finally:
        module.train(was_training)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return view_of_model(program.model.clone(), name=type(module).__name__)
