"""Reads ONNX files, and refuses by name what cannot be counted.

Shapes that a file states for tensors between its operators are claims, as engines take them: every
shape is inferred anew. A stated shape counts only where nothing can be inferred.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.errors import EdgeUnetError, GraphError
from edgeunet.graph.inferred_shapes import (
    INVALID,
    LARGEST_SHAPE_ELEMENTS,
    missing,
    quiet_packages,
    reason,
    take_shapes,
    with_shapes,
)
from edgeunet.graph.input_axes import InputAxes, fix_input_axes
from edgeunet.graph.onnx_content import check_content, check_versions
from edgeunet.names import shown

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

_AGAIN = "export or copy it again"

# A protobuf file ends there. Larger networks keep their weights in files beside it.
_LARGEST_BYTES = (1 << 31) - 1

# No real network has as many operators; functions that call each other twice reach it quickly.
_MOST_NODES = 1_000_000

# What a file begins with that is no ONNX: (offset, bytes, what it is, what to do).
_OTHER_KINDS = (
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "git lfs pull"),
    (0, b"PK\x03\x04", "a zip file, as torch.save writes", "export it with torch.onnx.export"),
    (0, b"\x80\x02", "a pickle of Python", "export it with torch.onnx.export"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes", "convert it with tf2onnx"),
    (0, b"\x1f\x8b", "a gzip file", "unpack it"),
    (0, b"<", "a web page or XML", "download it again"),
    (4, b"ORTM", "in onnxruntime's own format", "take the .onnx file that it was made from"),
    (4, b"TFL3", "a TensorFlow Lite file", "convert it with tf2onnx"),
)


def read_onnx(path: Path, size: tuple[int, int] | None = None) -> tuple[ir.Model, InputAxes]:
    """Read an ONNX file, with every shape that can be known. Large weights lose their numbers.

    size: (height, width) that open axes of the inputs are set to; their batch becomes 1.
    Returns the model, and the axes that were set.
    Raises GraphError when it is no ONNX file, or has what cannot be counted; MissingPackageError
    without the packages that read it.
    """
    try:
        import onnx  # noqa: F401 - the first of the packages that are missed where there is none
        import onnx_ir as ir  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing(error) from error
    name = shown(path.name)
    proto = _parsed(path)
    check_versions(name, proto)
    check_content(name, proto)
    _describe_large_weights(proto.graph)
    try:
        proto = _inlined(name, proto)
        _check_order(name, proto.graph)
        axes = fix_input_axes(proto.graph, size)
        return with_shapes(proto), axes
    except EdgeUnetError:
        raise
    except Exception as error:  # both packages raise whatever a broken file leads them to
        raise GraphError(
            f"the sizes in {name} contradict each other: {reason(error)}",
            hint=INVALID
            if size is None
            else "another --size may suit the network, such as a multiple of 32",
        ) from error


def load_onnx(path: Path) -> ir.Model:
    """Read an ONNX file as it is, with its weights; choices (If) in it may follow from its sizes.

    Weights that are in files beside it are read into memory.

    Raises GraphError when it is no ONNX file, lacks a file of weights, or holds what is no tensor.
    """
    import onnx_ir as ir

    name = shown(path.name)
    proto = _parsed(path)
    check_versions(name, proto)
    check_content(name, proto, choices=True)
    check_weights(path)
    try:
        with quiet_packages():
            model = ir.external_data.load_to_model(ir.load(path))
    except Exception as error:  # both packages raise whatever a broken file leads them to
        raise GraphError(
            f"{name} is not a whole ONNX model: {reason(error)}", hint=_AGAIN
        ) from error
    for value in model.graph.inputs:
        _open_axes(value)
    return model


def check_weights(path: Path) -> None:
    """Raise GraphError unless the files are there in which a file keeps its weights."""
    for kept in weight_files(path):
        if not kept.is_file():
            raise GraphError(
                f"the weights of {shown(path.name)} are in {shown(kept)!r}, which is missing",
                hint="copy that file beside it",
            )


def weight_files(path: Path) -> tuple[Path, ...]:
    """Return the files beside an ONNX file in which it keeps weights, sorted.

    Raises GraphError for one that is not below its folder.
    """
    import onnx

    names = {
        entry.value
        for tensor in _parsed(path).graph.initializer
        for entry in tensor.external_data
        if tensor.data_location == onnx.TensorProto.EXTERNAL and entry.key == "location"
    }
    for name in sorted(names):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise GraphError(
                f"the weights of {shown(path.name)} are to be read from {shown(name)!r}, outside "
                "its folder",
                hint="export it again with its weights beside it",
            )
    return tuple(path.parent / name for name in sorted(names))


def with_fixed_axes(path: Path, axes: InputAxes, target: Path) -> Path:
    """Write a copy of an ONNX file whose inputs have the sizes that were set, and return its path.

    The copy has its weights in it, or beside it where they are more than one file may hold.
    """
    import onnx

    try:
        proto = onnx.load(path)
    except Exception as error:
        raise GraphError(
            f"the weights of {shown(path.name)} cannot be read: {reason(error)}", hint=_AGAIN
        ) from error
    axes.write(proto.graph)
    take_shapes(proto)
    large = proto.ByteSize() > _LARGEST_BYTES // 2
    onnx.save(proto, target, save_as_external_data=large, location=f"{target.name}.data")
    return target


def _open_axes(value: ir.Value) -> None:
    """Let axes whose length is below 1 have any length, as ``read_onnx`` takes them."""
    import onnx_ir as ir

    if value.shape is not None:
        sides = [None if isinstance(side, int) and side < 1 else side for side in value.shape]
        value.shape = ir.Shape(sides)


def _parsed(path: Path) -> onnx.ModelProto:
    import onnx

    name = shown(path.name)
    if not path.exists():
        raise GraphError(f"there is no file {shown(path)!r}", hint="check the path")
    if not path.is_file():
        raise GraphError(f"{name} is a folder or a device, not an ONNX file", hint=_AGAIN)
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise GraphError(f"{name} is not an ONNX model: it is empty", hint=_AGAIN)
    with path.open("rb") as file:
        start = file.read(64)
        for offset, mark, what, hint in _OTHER_KINDS:
            if start[offset:].lstrip(b" \r\n").startswith(mark):
                raise GraphError(f"{name} is not an ONNX model: it is {what}", hint=hint)
        if size_bytes > _LARGEST_BYTES:
            raise GraphError(
                f"{name} is not an ONNX model: it has more than 2 GiB, which protobuf cannot hold",
                hint="export it with its weights in files of their own (external data)",
            )
        content = start + file.read()
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # DecodeError, and what its C code raises
        raise GraphError(
            f"{name} is not a whole ONNX model: {reason(error)}", hint=_AGAIN
        ) from error


def _describe_large_weights(graph: onnx.GraphProto) -> None:
    """Replace the numbers of large weights by a reference that is never followed."""
    import onnx

    for tensor in graph.initializer:
        if math.prod(tensor.dims) <= LARGEST_SHAPE_ELEMENTS:
            continue
        described = onnx.TensorProto(
            name=tensor.name,
            data_type=tensor.data_type,
            dims=tensor.dims,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        described.external_data.add(key="location", value="dropped")
        tensor.CopyFrom(described)


def _inlined(name: str, proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its own functions written out."""
    import onnx.inliner

    if not proto.functions:
        return proto
    bodies = {(body.domain, body.name): body for body in proto.functions}
    counts: dict[tuple[str, str], int] = {}

    def nodes_of(key: tuple[str, str], callers: tuple[tuple[str, str], ...]) -> int:
        if key in callers:
            raise GraphError(f"{name}: the function {key[1]!r} calls itself", hint=INVALID)
        if key not in counts:
            calls = [(node.domain, node.op_type) for node in bodies[key].node]
            counts[key] = sum(
                nodes_of(call, (*callers, key)) if call in bodies else 1 for call in calls
            )
        return counts[key]

    calls = [(node.domain, node.op_type) for node in proto.graph.node]
    written = sum(nodes_of(call, ()) if call in bodies else 1 for call in calls)
    if written > _MOST_NODES:
        raise GraphError(
            f"{name} has {written} operators once its functions are written out",
            hint="no network of that size can be analysed",
        )
    return onnx.inliner.inline_local_functions(proto)


def _check_order(name: str, graph: onnx.GraphProto) -> None:
    """Raise GraphError for an operator that reads what is made after it, or never."""
    known = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    for node in graph.node:
        for read in node.input:
            if read not in known:
                raise GraphError(
                    f"{name}: {node.op_type} {node.name!r} reads {read!r} before anything makes it",
                    hint=INVALID,
                )
        known.update(node.output)
