"""Find which input of a foreign network is the frame, and what its values mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import onnx_ir as ir

from edgeunet.contracts import ForeignInput, Layout, ValueRange
from edgeunet.errors import GraphError, UsageError
from edgeunet.foreign.contract_text import MOST_FRAMES, Said
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
    own = _picture(graph, frame, by_name.get(frame.name or "", Said(frame.name or "")), file)
    found = []
    for value in graph.inputs:
        name = value.name or ""
        entry = by_name.get(name, Said(name))
        if value is frame:
            found.append(own)
        elif entry.earlier:
            found.append(_earlier(graph, value, entry, own, file))
        elif entry.fill is not None:
            found.append(ForeignInput(name=name, fill=entry.fill))
        else:
            raise GraphError(
                f"{file} has {len(graph.inputs)} inputs, and nothing says what "
                f"{name!r} {shape_text(value)} is",
                hint=_what_it_may_be(value),
            )
    _check_ages(found, file)
    return tuple(found)


def _frame_of(graph: ir.Graph, said: Mapping[str, Said], file: str) -> ir.Value:
    """Return the input that is the frame."""
    entries = {v: said.get(v.name or "", Said(v.name or "")) for v in graph.inputs}
    pictures = [v for v, entry in entries.items() if _is_picture(graph, v, entry)]
    left = [v for v in pictures if entries[v].fill is None and not entries[v].earlier]
    chosen = [v for v in left if v.name in said]
    if len(chosen) == 1:
        return chosen[0]
    if len(left) == 1:
        return left[0]
    if not left:
        shown = ", ".join(f"{v.name!r} {shape_text(v)}" for v in graph.inputs) or "none"
        several = next((v for v in graph.inputs if _frame_count(v)), None)
        if several is not None and entries[several] == Said(several.name or ""):
            count = _frame_count(several)
            raise GraphError(
                f"{file} takes {count} pictures at once: its input is {shown}",
                hint=f"--input {several.name}=frames={count} if they are {count} frames in a row, "
                "oldest first; two pictures of a pair cannot be given",
            )
        more = next((v for v in graph.inputs if _has_one_more(v)), None)
        if more is not None and entries[more] == Said(more.name or ""):
            raise GraphError(
                f"{file} takes one channel more than a picture has: its input is {shown}",
                hint=f"--input {more.name}=level=NUMBER if the last one is the same everywhere, "
                "such as the strength of noise; transparency and depth cannot be given",
            )
        raise GraphError(
            f"{file} is no network for frames: its inputs are {shown}", hint=_NO_FRAMES_HINT
        )
    names = " and ".join(repr(v.name) for v in left)
    raise GraphError(
        f"{file} takes several pictures, {names}, and nothing says which is the frame",
        hint=f"{_what_it_may_be(left[1])}; two pictures of a pair cannot be given",
    )


def _what_it_may_be(value: ir.Value) -> str:
    hint = f"--input {value.name}=fill=NUMBER for one that is the same for all frames"
    count = _frame_count(value)
    if count:
        return f"{hint}, or {value.name}=frames={count} for {count} frames in a row, oldest first"
    return f"{hint}, or {value.name}=earlier=1 for the frame before"


def _is_picture(graph: ir.Graph, value: ir.Value, said: Said) -> bool:
    if said.frames == 1 and said.level is None:
        return layout_of(graph, value) is not None
    return value.shape is not None and len(value.shape) == 4 and value.dtype in _PICTURE_TYPES


def _frame_count(value: ir.Value) -> int:
    """Return how many pictures a tensor with stacked channels may hold; 0 for another tensor."""
    shape = value.shape
    if shape is None or len(shape) != 4 or not isinstance(shape[1], int):
        return 0
    count, rest = divmod(shape[1], 3)
    return count if rest == 0 and 2 <= count <= MOST_FRAMES else 0


def _has_one_more(value: ir.Value) -> bool:
    """Return whether a tensor has the channels of a picture, and one more."""
    shape = value.shape
    if shape is None or len(shape) != 4 or value.dtype not in _PICTURE_TYPES:
        return False
    return any(count + 1 in (shape[1], shape[3]) for count in _CHANNELS)


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


def _picture(graph: ir.Graph, value: ir.Value, said: Said, file: str) -> ForeignInput:
    """Return the contract of an input that is a picture, or several in a row."""
    found = layout_of(graph, value)
    if said.level is not None:
        counts = [said.frames * count + 1 for count in _CHANNELS]
        last = value.shape is not None and value.shape[3] in counts
        found = "nhwc" if last and value.shape and value.shape[1] not in counts else "nchw"
    if found is None and said.frames == 1:
        raise GraphError(f"{file} takes no picture", hint=_NO_FRAMES_HINT)
    layout = said.layout or found or "nchw"
    shape = value.shape
    if shape is not None and isinstance(shape[0], int) and shape[0] != 1:
        raise GraphError(
            f"{file} takes {shape[0]} pictures at a time: {said.name!r} is {shape_text(value)}",
            hint="export it again for one, or with an open (dynamic) first axis",
        )
    channels = _read_channels(value)
    if shape is not None:
        own = shape[1 if layout == "nchw" else 3]
        channels = own if isinstance(own, int) else channels
    count, rest = divmod((channels or 0) - (said.level is not None), said.frames)
    if said.level is not None and (rest or count not in _CHANNELS):
        raise UsageError(
            f"--input {said.name}=level={said.level:g}: it is {shape_text(value)}",
            hint="with one channel more a picture has 2 or 4, and several frames have "
            "frames=N as well",
        )
    if said.frames > 1 and (rest or count not in _CHANNELS):
        raise UsageError(
            f"--input {said.name}=frames={said.frames}: it is {shape_text(value)}",
            hint=f"{said.frames} frames have {said.frames} or {3 * said.frames} channels",
        )
    if count not in _CHANNELS:
        raise UsageError(
            f"--input {said.name}={layout}: it is {shape_text(value)}",
            hint=f"leave the layout out: it is {found}",
        )
    colours = said.colours or ("gray" if count == 1 else "rgb")
    if (colours == "gray") != (count == 1):
        raise UsageError(
            f"--input {said.name}={colours} contradicts {file}, whose input has "
            f"{count} channel{'s' if count > 1 else ''} of colour",
            hint="use gray for one channel, rgb or bgr for three",
        )
    in_bytes = value.dtype is ir.DataType.UINT8
    values = said.values(ValueRange(low=0.0, high=255.0) if in_bytes else ValueRange())
    if in_bytes and values != ValueRange(low=0.0, high=255.0):
        raise UsageError(
            f"--input {said.name}={values} contradicts {file}, whose input holds bytes, 0..255",
            hint="leave the range out",
        )
    if count == 1 and max(len(values.mean), len(values.std)) > 1:
        raise UsageError(
            f"--input {said.name}: three numbers for one channel", hint="give one mean and one std"
        )
    return ForeignInput(
        name=said.name,
        layout=layout,
        colours=colours,
        values=values,
        frames=said.frames,
        level=said.level,
    )


def _earlier(
    graph: ir.Graph, value: ir.Value, said: Said, frame: ForeignInput, file: str
) -> ForeignInput:
    """Return the contract of an earlier frame. What is not said is as it is with the frame."""
    if layout_of(graph, value) is None:
        raise UsageError(
            f"--input {said.name}=earlier={said.earlier}: it is {shape_text(value)}, no picture",
            hint=f"{said.name}=fill=NUMBER for an input that is the same for all frames",
        )
    found = _picture(graph, value, said, file)
    plain = ForeignInput(name=found.name, layout=found.layout, colours=found.colours)
    if said.colours is None and (found.colours == "gray") == (frame.colours == "gray"):
        found = msgspec.structs.replace(found, colours=frame.colours)
    if found.values == plain.values and value.dtype is not ir.DataType.UINT8:
        found = msgspec.structs.replace(found, values=said.values(frame.values))
    return msgspec.structs.replace(found, earlier=said.earlier)


def _check_ages(inputs: Sequence[ForeignInput], file: str) -> None:
    """Raise UsageError where an earlier frame is given twice, or one between is not read."""
    ages = sorted(age for entry in inputs if entry.fill is None for age in entry.ages())
    for expected, age in enumerate(ages):
        if age != expected:
            before = f"the frame {age} before" if age else "the frame"
            missing = f", and no input is the one {expected} before"
            raise UsageError(
                f"{file} is to read {before}{' twice' if age < expected else missing}",
                hint="count from the frame: earlier=1 is the one before it, earlier=2 the next",
            )


def open_shape(
    value: ir.Value, frame: ir.Value, frame_shape: Sequence[int], size: tuple[int, int]
) -> tuple[int, ...]:
    """Return the shape of an input for a frame of a given shape and (height, width).

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
            lengths.append(size[axis - 2] if spatial else 1)
    return tuple(lengths)
