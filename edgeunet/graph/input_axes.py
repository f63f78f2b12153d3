"""Sets the open axes of a graph's inputs: batch, height and width of an image.

An axis is open when the file gives it a name, nothing, or a number below 1, which several exporters
write for "any".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeunet.errors import GraphError, UsageError
from edgeunet.units import format_size

if TYPE_CHECKING:
    import onnx

_COLOURS = (1, 3, 4)
# Exporters write these where an axis has no name; the same word does not mean the same length.
_NAMELESS = frozenset({"", "?", "-1", "None", "none", "unknown", "dynamic"})


class _Axis(enum.Enum):
    BATCH = "batch"
    HEIGHT = "height"
    WIDTH = "width"
    OTHER = "other"


@dataclass(frozen=True)
class InputAxes:
    """The shapes that inputs were set to, by name; empty when all were fixed in the file."""

    shapes: dict[str, tuple[int, ...]]

    def __str__(self) -> str:
        """Return the shapes as text, such as ``x is taken as 1x3x480x640``."""
        return ", ".join(
            f"{name} is taken as {_written(shape)}" for name, shape in self.shapes.items()
        )

    def write(self, graph: onnx.GraphProto) -> None:
        """Write the shapes into a graph's inputs."""
        for value in graph.input:
            for dim, length in zip(
                value.type.tensor_type.shape.dim, self.shapes.get(value.name, ()), strict=False
            ):
                dim.dim_value = length


def fix_input_axes(graph: onnx.GraphProto, size: tuple[int, int] | None) -> InputAxes:
    """Set the open axes of a graph's inputs: the batch to 1, height and width to a size.

    Axes of one name get one length. An image is (N, C, H, W), or (N, H, W, C) with 1, 3 or 4
    colours; (C, H, W), (H, W, C) and (N, frames, C, H, W) are read alike. Channels follow from the
    convolution that reads the image.

    Raises GraphError for an open axis when there is no size, and for one that is no part of an
    image's size; UsageError when the size contradicts the axes' names.
    """
    weights = {tensor.name for tensor in graph.initializer}
    named: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    # Images first: they give the names of axes their lengths.
    values = [value for value in graph.input if value.name not in weights]
    for value in sorted(values, key=lambda value: len(value.type.tensor_type.shape.dim) != 4):
        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            raise GraphError(
                f"the input {value.name!r} has no shape, so its size is not fixed",
                hint="export the graph with the shapes of its inputs",
            )
        dims = [_length(dim) for dim in tensor.shape.dim]
        if None not in dims:
            continue
        stated = _shown(tensor.shape)
        if size is None:
            raise GraphError(
                f"the input {value.name!r} has the shape {stated}, so its size is not fixed",
                hint=f"give the frame's size, like --size {_example(dims)}; the batch is taken "
                "as 1",
            )
        roles = _roles(dims)
        lengths = {_Axis.BATCH: 1, _Axis.HEIGHT: size[0], _Axis.WIDTH: size[1]}
        for index, dim in enumerate(tensor.shape.dim):
            if dims[index] is not None:
                continue
            name = "" if dim.dim_param in _NAMELESS else dim.dim_param
            wanted = lengths.get(roles[index])
            if wanted is None and index == _channel_axis(roles):
                wanted = _channels(graph, value.name)
            found = named.get(name) if name else None
            if found is not None and wanted is not None and found != wanted:
                raise UsageError(
                    f"the axis {name!r} of {value.name!r} stands for {found} and for {wanted} at "
                    f"a size of {format_size(*size)}",
                    hint="give a size of equal height and width, or export with other axes",
                )
            length = found if found is not None else wanted
            if length is None:
                raise GraphError(
                    f"the axis {index} of the input {value.name!r}, {stated}, has no "
                    "fixed length, and is no image's batch, height or width",
                    hint="export the graph with that axis fixed",
                )
            dims[index] = length
            if name:
                named[name] = length
            dim.dim_value = length
        shapes[value.name] = tuple(length for length in dims if length is not None)
    return InputAxes(shapes)


def _length(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0:
        return int(dim.dim_value)
    return None


def _roles(dims: list[int | None]) -> list[_Axis]:
    """Return what every axis of an input stands for."""
    rank = len(dims)
    channels, last = (dims[-3] if rank >= 3 else None), dims[-1] if dims else None
    image = [_Axis.OTHER, _Axis.HEIGHT, _Axis.WIDTH]
    if last in _COLOURS and channels not in _COLOURS:
        image = [_Axis.HEIGHT, _Axis.WIDTH, _Axis.OTHER]
    elif rank == 3 and channels not in _COLOURS:
        image = [_Axis.BATCH, _Axis.OTHER, _Axis.OTHER]
    if rank == 3:
        return image
    if rank in (4, 5):
        return [_Axis.BATCH, *([_Axis.OTHER] * (rank - 4)), *image]
    return [_Axis.OTHER] * rank


def _example(dims: list[int | None]) -> str:
    """Return a size that suits an input: its own where only other axes are open."""
    roles = _roles(dims)
    height, width = (
        dims[roles.index(axis)] if axis in roles else None for axis in (_Axis.HEIGHT, _Axis.WIDTH)
    )
    return format_size(height or 480, width or 640)


def _channel_axis(roles: list[_Axis]) -> int | None:
    """Return the axis of the channels of an (N, C, H, W) input; None for others."""
    return 1 if roles == [_Axis.BATCH, _Axis.OTHER, _Axis.HEIGHT, _Axis.WIDTH] else None


def _channels(graph: onnx.GraphProto, name: str) -> int | None:
    """Return how many channels the convolution that reads an input takes; None without one."""
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) > 1 and node.input[0] == name:
            dims = weights.get(node.input[1], ())
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            if len(dims) == 4 and dims[1] * groups > 0:
                return int(dims[1]) * int(groups)
    return None


def _shown(shape: onnx.TensorShapeProto) -> str:
    parts = []
    for dim in shape.dim:
        kind = dim.WhichOneof("value")
        parts.append(str(dim.dim_value) if kind == "dim_value" else dim.dim_param or "?")
    return "(" + ", ".join(parts) + ")"


def _written(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
