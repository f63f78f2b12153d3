"""Find which input of a foreign network is the frame, and what its values mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from edgeunet.contracts import ForeignInput, Layout, ValueRange
from edgeunet.errors import GraphError, UsageError
from edgeunet.foreign.contract_text import Said
from edgeunet.foreign.tensor_names import check_names, shape_text
from edgeunet.graph.values import constant_of

_PICTURE_TYPES = (ir.DataType.FLOAT, ir.DataType.UINT8)
_CHANNELS = (1, 3)
_NO_FRAMES_HINT = (
    "it must take one picture, (1, 3, H, W) or (1, H, W, 3), and give pictures, a score per class "
    "or class numbers; edgeunet memory FILE analyses any network"
)


def find_inputs(graph: ir.Graph, said: Sequence[Said], file: str) -> tuple[ForeignInput, ...]:
    """Return the contract of every input.

    graph: as the file has it, with open dimensions.
    file: its name, for messages.
    Raises GraphError for a network that takes no frame, UsageError for what contradicts the file.
    """
    by_name = {entry.name: entry for entry in said}
    check_names(by_name, [value.name or "" for value in graph.inputs], "--input", file)
    frame = _frame_of(graph, by_name, file)
    found = []
    for value in graph.inputs:
        name = value.name or ""
        entry = by_name.get(name, Said(name))
        if value is frame:
            found.append(_frame_contract(graph, value, entry, file))
            continue
        if entry.fill is None:
            raise GraphError(
                f"{file} has {len(graph.inputs)} inputs, and nothing says what "
                f"{name!r} {shape_text(value)} is",
                hint=f"--input {name}=fill=NUMBER for one that is the same for all frames; earlier "
                "frames and second pictures cannot be given",
            )
        found.append(ForeignInput(name=name, fill=entry.fill))
    return tuple(found)


def _frame_of(graph: ir.Graph, said: Mapping[str, Said], file: str) -> ir.Value:
    """Return the input that is the frame."""
    pictures = [value for value in graph.inputs if layout_of(graph, value) is not None]
    chosen = [v for v in pictures if v.name in said and said[v.name or ""].fill is None]
    left = [v for v in pictures if v.name not in said or said[v.name or ""].fill is None]
    if len(chosen) == 1:
        return chosen[0]
    if len(left) == 1:
        return left[0]
    if not left:
        shown = ", ".join(f"{v.name!r} {shape_text(v)}" for v in graph.inputs) or "none"
        frames = next((_frame_count(v) for v in graph.inputs if _frame_count(v)), 0)
        if frames:
            raise GraphError(
                f"{file} takes {frames} frames at once: its input is {shown}",
                hint="networks that read earlier frames cannot be exported; one that takes a "
                "single picture can",
            )
        raise GraphError(
            f"{file} is no network for frames: its inputs are {shown}", hint=_NO_FRAMES_HINT
        )
    names = " and ".join(repr(v.name) for v in left)
    raise GraphError(
        f"{file} takes several pictures, {names}, and nothing says which is the frame",
        hint=f"--input {left[1].name}=fill=NUMBER for one that is the same for all frames; two "
        "pictures of a pair cannot be given",
    )


def _frame_count(value: ir.Value) -> int:
    """Return how many frames a tensor with stacked channels holds; 0 for another tensor."""
    shape = value.shape
    if shape is None or len(shape) != 4 or not isinstance(shape[1], int):
        return 0
    count, rest = divmod(shape[1], 3)
    return count if rest == 0 and 2 <= count <= 9 else 0


def layout_of(graph: ir.Graph, value: ir.Value) -> Layout | None:
    """Return where the channels of a picture are; None for a tensor that is no picture."""
    shape = value.shape
    if shape is None or len(shape) != 4 or value.dtype not in _PICTURE_TYPES:
        return None
    first, last = shape[1], shape[3]
    if isinstance(first, int) and first in _CHANNELS:
        return "nchw"
    if isinstance(last, int) and last in _CHANNELS:
        return "nhwc"
    return "nchw" if not isinstance(first, int) and _read_channels(value) in _CHANNELS else None


def _read_channels(value: ir.Value) -> int | None:
    """Return how many channels the convolution that reads a value expects."""
    for use in value.uses():
        weight = constant_of(use.node.inputs[1]) if use.node.op_type == "Conv" else None
        if weight is not None and use.idx == 0:
            return int(weight.shape[1])
    return None


def _frame_contract(graph: ir.Graph, value: ir.Value, said: Said, file: str) -> ForeignInput:
    found = layout_of(graph, value)
    if found is None:
        raise GraphError(f"{file} takes no picture", hint=_NO_FRAMES_HINT)
    layout = said.layout or found
    shape = value.shape
    channels = _read_channels(value)
    if shape is not None:
        own = shape[1 if layout == "nchw" else 3]
        channels = own if isinstance(own, int) else channels
    if channels not in _CHANNELS:
        raise UsageError(
            f"--input {said.name}={layout}: it is {shape_text(value)}",
            hint=f"leave the layout out: it is {found}",
        )
    colours = said.colours or ("gray" if channels == 1 else "rgb")
    if (colours == "gray") != (channels == 1):
        raise UsageError(
            f"--input {said.name}={colours} contradicts {file}, whose input has "
            f"{channels} channel{'s' if channels > 1 else ''}",
            hint="use gray for one channel, rgb or bgr for three",
        )
    in_bytes = value.dtype is ir.DataType.UINT8
    values = said.values(ValueRange(low=0.0, high=255.0) if in_bytes else ValueRange())
    if in_bytes and values != ValueRange(low=0.0, high=255.0):
        raise UsageError(
            f"--input {said.name}={values} contradicts {file}, whose input holds bytes, 0..255",
            hint="leave the range out",
        )
    if channels == 1 and max(len(values.mean), len(values.std)) > 1:
        raise UsageError(
            f"--input {said.name}: three numbers for one channel", hint="give one mean and one std"
        )
    return ForeignInput(name=said.name, layout=layout, colours=colours, values=values)


def open_shape(value: ir.Value, frame: ir.Value, frame_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an input for a frame of a given shape.

    A dimension that has the name of one of the frame's is as long as that one. An open first
    dimension is 1, and so are open dimensions of inputs that are no maps of the frame's size.
    """
    named = {
        str(dimension): length
        for dimension, length in zip(frame.shape or (), frame_shape, strict=False)
        if not isinstance(dimension, int) and str(dimension) not in ("None", "?", "")
    }
    shape = value.shape
    if shape is None:
        return (1,)
    lengths = []
    for axis, dimension in enumerate(shape):
        if isinstance(dimension, int):
            lengths.append(dimension)
        elif str(dimension) in named:
            lengths.append(named[str(dimension)])
        else:
            spatial = len(shape) == 4 and axis in (2, 3)
            lengths.append(frame_shape[_rows_axis(frame_shape) + axis - 2] if spatial else 1)
    return tuple(lengths)


def _rows_axis(frame_shape: Sequence[int]) -> int:
    return 1 if frame_shape[3] in _CHANNELS and frame_shape[1] not in _CHANNELS else 2
