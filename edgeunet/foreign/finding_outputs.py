"""Find what the outputs of a foreign network mean for the frame."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import onnx_ir as ir

from edgeunet.contracts import ForeignOutput, Layout, OutputKind, ResizeRule, ValueRange
from edgeunet.errors import GraphError, UsageError
from edgeunet.foreign.contract_text import Said
from edgeunet.foreign.tensor_names import check_names
from edgeunet.graph.values import static_shape
from edgeunet.recipes import ClassTable
from edgeunet.specs import Task
from edgeunet.units import format_size

_CHANNELS = (1, 3)
_MOST_CLASSES = 256


def find_outputs(
    model: ir.Model, frame: tuple[int, int], colours: str, said: Sequence[Said], file: str
) -> tuple[tuple[ForeignOutput, ...], tuple[str, ...]]:
    """Return the contract of the outputs, and the names of those that are left out.

    model: the canonical graph for a frame of this (height, width).
    colours: of the network's input.
    Raises GraphError for an output that is nothing of the frame, UsageError for what contradicts
    the file.
    """
    by_name = {entry.name: entry for entry in said}
    names = [value.name or "" for value in model.graph.outputs]
    check_names(by_name, names, "--output", file)
    found: list[ForeignOutput] = []
    left_out = []
    for value in model.graph.outputs:
        entry = by_name.get(value.name or "", Said(value.name or ""))
        if entry.left_out:
            left_out.append(entry.name)
            continue
        if value.producer() is None:
            raise GraphError(
                f"the output {entry.name!r} of {file} is the same for every frame",
                hint=f"--output {entry.name}=none leaves it out",
            )
        one = _output(model, value, frame, colours, entry, file)
        taken = sum(other.output.split("_")[0] == one.output for other in found)
        if taken:
            one = _renamed(one, f"{one.output}_{taken + 1}")
        found.append(one)
    if not found:
        raise UsageError(
            f"every output of {file} is left out", hint="say none for fewer of the outputs"
        )
    return tuple(found), tuple(left_out)


def _renamed(entry: ForeignOutput, name: str) -> ForeignOutput:
    return msgspec.structs.replace(entry, output=name)


def _output(
    model: ir.Model,
    value: ir.Value,
    frame: tuple[int, int],
    colours: str,
    said: Said,
    file: str,
) -> ForeignOutput:
    shape = static_shape(value) or ()
    kind = said.kind or _kind_of(value, shape, frame, colours)
    if kind is None:
        raise GraphError(
            f"{file} is no network for frames: its output {said.name!r} is {shape} for a frame of "
            f"{format_size(*frame)}",
            hint="say what it is with --output "
            f"{said.name}=image|labels|logits|vector, or none to leave it out",
        )
    problem = _problem_with(kind, shape, frame)
    if problem:
        raise UsageError(
            f"--output {said.name}={kind}: {problem}",
            hint="image, labels, logits and vector are explained by edgeunet export --help",
        )
    return _MAKERS[kind](model, value, shape, frame, colours, said)


def _kind_of(
    value: ir.Value, shape: tuple[int, ...], frame: tuple[int, int], colours: str
) -> OutputKind | None:
    """Return what an output is likely to be, or None."""
    whole = value.dtype is not None and value.dtype.is_integer()
    mask = value.dtype is ir.DataType.BOOL and len(shape) == 3
    if (
        len(shape) in (2, 3, 4)
        and (whole or mask)
        and shape[-2:] == frame
        and set(shape[:-2]) == {1}
    ):
        return OutputKind.LABELS
    flat = shape[:1] == (1,) and len(shape) in (2, 4) and all(n == 1 for n in shape[2:])
    if flat and 1 <= shape[1] <= _MOST_CLASSES * 256:
        ends = _ends_in(value, "Softmax", "Sigmoid") or shape[1] == 1
        return OutputKind.VECTOR if ends else OutputKind.LOGITS
    for layout in ("nchw", "nhwc"):
        channels, size = _split(shape, layout)
        if _problem_with(OutputKind.IMAGE, shape, frame) is None and channels == 3:
            return OutputKind.IMAGE
        if channels == 1 and size != (0, 0):
            picture = colours == "gray" and not _ends_in(value, "Sigmoid")
            if picture and _problem_with(OutputKind.IMAGE, shape, frame) is None:
                return OutputKind.IMAGE
        if 1 <= channels <= _MOST_CLASSES and _divides(size, frame):
            return OutputKind.LOGITS
    return None


def _ends_in(value: ir.Value, *kinds: str) -> bool:
    node = value.producer()
    return node is not None and node.op_type in kinds


def _split(shape: tuple[int, ...], layout: str) -> tuple[int, tuple[int, int]]:
    """Return (channels, size) of a tensor of four dimensions; zeros for another."""
    if len(shape) != 4 or shape[0] != 1:
        return 0, (0, 0)
    if layout == "nchw":
        return shape[1], (shape[2], shape[3])
    return shape[3], (shape[1], shape[2])


def _divides(size: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Return whether a map has the frame's size, or that of every second, fourth, ... pixel."""
    if not all(0 < own <= side for own, side in zip(size, frame, strict=True)):
        return False
    steps = [-(-side // own) for own, side in zip(size, frame, strict=True)]
    return steps[0] == steps[1] and steps[0] in (1, 2, 3, 4, 8, 16, 32)


def _scale_of(size: tuple[int, int], frame: tuple[int, int]) -> int:
    """Return how many times as large as the frame an image is; 0 for no whole number."""
    scales = {own // side if own % side == 0 else 0 for own, side in zip(size, frame, strict=True)}
    return scales.pop() if len(scales) == 1 else 0


def _layout_of_map(shape: tuple[int, ...], frame: tuple[int, int], said: Said) -> Layout:
    if said.layout is not None:
        return said.layout
    channels, size = _split(shape, "nhwc")
    like_frame = size[0] * frame[1] == size[1] * frame[0] and channels < min(size)
    first, own = _split(shape, "nchw")
    nchw_like = own[0] * frame[1] == own[1] * frame[0] and first <= _MOST_CLASSES
    return "nhwc" if like_frame and not nchw_like else "nchw"


def _problem_with(kind: OutputKind, shape: tuple[int, ...], frame: tuple[int, int]) -> str | None:
    if kind is OutputKind.VECTOR:
        return None if shape and shape[0] == 1 else f"it is {shape}"
    if kind is OutputKind.LABELS:
        good = shape[-2:] == frame and all(n == 1 for n in shape[:-2]) and len(shape) in (3, 4)
        return None if good else f"it is {shape}, and class numbers are (1, {frame[0]}, {frame[1]})"
    if kind is OutputKind.LOGITS and len(shape) == 2:
        return None
    sizes = [_split(shape, layout) for layout in ("nchw", "nhwc")]
    if kind is OutputKind.LOGITS:
        if any(channels > 0 and size != (0, 0) for channels, size in sizes):
            return None
        return f"it is {shape}, and logits are (1, classes, rows, columns) or (1, classes)"
    if any(channels in _CHANNELS and _scale_of(size, frame) for channels, size in sizes):
        return None
    return (
        f"it is {shape}, and an image has 1 or 3 channels and 1, 2, 3, ... times the rows and "
        f"columns of {format_size(*frame)}"
    )


def _image(
    model: ir.Model,
    value: ir.Value,
    shape: tuple[int, ...],
    frame: tuple[int, int],
    colours: str,
    said: Said,
) -> ForeignOutput:
    layout: Layout = said.layout or "nchw"
    channels, size = _split(shape, layout)
    if said.layout is None and not (channels in _CHANNELS and _scale_of(size, frame)):
        layout = "nhwc"
        channels, size = _split(shape, layout)
    found = said.colours or ("gray" if channels == 1 else "bgr" if colours == "bgr" else "rgb")
    if (found == "gray") != (channels == 1) or not _scale_of(size, frame):
        raise UsageError(
            f"--output {said.name}={layout},{found} contradicts its shape, {shape}",
            hint="leave layout and colours out: both follow from the shape",
        )
    return ForeignOutput(
        name=said.name,
        output="image",
        kind=OutputKind.IMAGE,
        head=Task.DENOISE,
        layout=layout,
        colours=found,
        values=said.values(ValueRange()),
        scale=_scale_of(size, frame),
    )


def _labels(
    model: ir.Model,
    value: ir.Value,
    shape: tuple[int, ...],
    frame: tuple[int, int],
    colours: str,
    said: Said,
) -> ForeignOutput:
    return ForeignOutput(
        name=said.name,
        output="labels",
        kind=OutputKind.LABELS,
        head=Task.SEGMENT,
        classes=_classes(_MOST_CLASSES),
    )


def _logits(
    model: ir.Model,
    value: ir.Value,
    shape: tuple[int, ...],
    frame: tuple[int, int],
    colours: str,
    said: Said,
) -> ForeignOutput:
    if len(shape) == 2 or shape[2:] == (1, 1):
        return ForeignOutput(
            name=said.name,
            output="scores",
            kind=OutputKind.LOGITS,
            head=Task.CLASSIFY,
            softmax=not _ends_in(value, "Softmax"),
            classes=_classes(shape[1]),
        )
    layout = _layout_of_map(shape, frame, said)
    channels, size = _split(shape, layout)
    if channels > _MOST_CLASSES:
        raise UsageError(
            f"--output {said.name}: {channels} classes, and a label map has at most "
            f"{_MOST_CLASSES}",
            hint="leave it out with none",
        )
    threshold = None
    if channels == 1:
        likely = 0.5 if _ends_in(value, "Sigmoid", "Clip", "HardSigmoid") else 0.0
        threshold = likely if said.threshold is None else said.threshold
    elif said.threshold is not None:
        raise UsageError(
            f"--output {said.name}: a threshold is for one channel, and it has {channels}",
            hint="leave it out: the class with the largest score is taken",
        )
    resize: ResizeRule | None = None
    if size != frame:
        resize = said.resize or _own_rule(model)
    return ForeignOutput(
        name=said.name,
        output="labels",
        kind=OutputKind.LOGITS,
        head=Task.SEGMENT,
        layout=layout,
        resize=resize,
        threshold=threshold,
        classes=_classes(max(channels, 2)),
    )


def _vector(
    model: ir.Model,
    value: ir.Value,
    shape: tuple[int, ...],
    frame: tuple[int, int],
    colours: str,
    said: Said,
) -> ForeignOutput:
    count = 1
    for length in shape:
        count *= length
    return ForeignOutput(
        name=said.name,
        output="vector",
        kind=OutputKind.VECTOR,
        head=Task.CLASSIFY,
        classes=_classes(count),
    )


_MAKERS = {
    OutputKind.IMAGE: _image,
    OutputKind.LABELS: _labels,
    OutputKind.LOGITS: _logits,
    OutputKind.VECTOR: _vector,
}


def _own_rule(model: ir.Model) -> ResizeRule:
    """Return the mode of the network's last Resize; nearest where it has none."""
    for node in reversed(list(model.graph)):
        if node.op_type == "Resize":
            mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "nearest"
            return "linear" if mode == "linear" else "cubic" if mode == "cubic" else "nearest"
    return "nearest"


def _classes(count: int) -> tuple[ClassTable, ...]:
    return tuple(ClassTable(name=f"class {number}") for number in range(count))
