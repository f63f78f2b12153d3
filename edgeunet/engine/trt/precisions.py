"""Sets the number formats of a plan.

From TensorRT 10.0 on the types in the graph are binding. TensorRT 8.6 treats precisions as
permissions and may compute in 16 bits what an FP16 graph keeps in 32 bits (normalization, the
frame's own arithmetic). There every layer that works on floats only is given the graph's type, and
the compiler is told to obey.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeunet.engine.trt.provider import Provider
from edgeunet.specs import Precision

OBEYED = "fp16 as the graph has it"


def type_words(provider: Provider, precision: Precision) -> tuple[str, ...]:
    """Return how the number formats of a plan are set, as text for its ``flags``."""
    if provider.strongly_typed:
        return ("strongly typed",)
    return (OBEYED if precision is Precision.FP16 else f"{precision} allowed",)


def set_types(
    provider: Provider, network: Any, config: Any, precision: Precision
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Set the builder's precision flags where the graph's types are not binding.

    Returns the text for ``flags``, and notes for the user.
    """
    words = type_words(provider, precision)
    kinds = provider.module.BuilderFlag
    if provider.strongly_typed or precision is Precision.FP32:
        return words, ()
    if provider.offers("BuilderFlag.FP16"):
        config.set_flag(kinds.FP16)
    if precision is Precision.INT8:
        # The quantizers around a layer make it compute in 8 bits; setting a type would undo that.
        if provider.offers("BuilderFlag.INT8"):
            config.set_flag(kinds.INT8)
        return words, ()
    types = provider.module.DataType
    layers = list(float_layers(network, types))
    if all(kind != types.HALF for _, kind in layers):
        note = f"{provider.title} sees no 16-bit layer in this graph: fp16 is allowed, not enforced"
        return (f"{precision} allowed",), (note,)
    if not provider.offers("ILayer.precision"):
        return words, ()
    for layer, kind in layers:
        layer.precision = kind
        for index in range(layer.num_outputs):
            layer.set_output_type(index, kind)
    config.set_flag(kinds.OBEY_PRECISION_CONSTRAINTS)
    return words, ()


def float_layers(network: Any, types: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every layer whose inputs and outputs share one float type, with that type.

    Left out are casts, constants, and layers on integers, shapes or the frame's bytes, because
    their types cannot be chosen.
    """
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        given = [layer.get_input(index) for index in range(layer.num_inputs)]
        made = [layer.get_output(index) for index in range(layer.num_outputs)]
        tensors = [tensor for tensor in (*given, *made) if tensor is not None]
        found = {tensor.dtype for tensor in tensors}
        if not given or not made or len(found) != 1:
            continue
        (kind,) = found
        is_float = kind in (types.FLOAT, types.HALF)
        if is_float and not any(tensor.is_shape_tensor for tensor in tensors):
            yield layer, kind
