"""A graph as plain types: its tensors with sizes, its nodes in execution order.

Weights are described, never read: data kept outside the file is not opened. The order of
the nodes is the order of the file, which ONNX requires to be executable.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.errors import GraphError
from edgeunet.graph.onnx_content import MOST_ELEMENTS, too_large

if TYPE_CHECKING:
    import onnx_ir as ir

# Operators that hand on their first input's bytes under another shape. ONNX Runtime and
# TensorRT both let the output share the input's buffer.
VIEW_OPS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Permutations from (N, C, H, W) to (N, H, W, C), and back."""

# Their result is known from shapes, so it is a constant and keeps no tensor alive.
_SHAPE_OPS = frozenset({"Shape", "Size"})

_FIXED_SIZE_HINT = "export the graph with a fixed batch, height and width"


class TensorKind(str, enum.Enum):
    """The role of a tensor for the program that runs the graph.

    INPUT, OUTPUT: inputs and outputs of the graph; their buffers belong to the caller.
    WEIGHT: stored in the file, as an initializer or a Constant node.
    CONSTANT: computed from weights and shapes alone; engines fold it when they load the graph.
    ACTIVATION: all other tensors.
    """

    INPUT = "input"
    OUTPUT = "output"
    WEIGHT = "weight"
    CONSTANT = "constant"
    ACTIVATION = "activation"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """One tensor.

    dtype: the numpy name of the element type.
    size_bytes: size of the data; 4-bit types are packed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    kind: TensorKind


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operator.

    index: its position in the execution order.
    inputs, outputs: tensor names; optional ones that are left out are skipped.
    perm: of a Transpose, the axis of the input that each axis of the output is.
    axis, mode: the attributes of these names, if there are any.
    part: of a Slice or Gather of one part along one axis, that axis, the first element and the end.
    """

    index: int
    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    perm: tuple[int, ...] = ()
    axis: int | None = None
    part: tuple[int, int, int] | None = None
    mode: str = ""

    @property
    def label(self) -> str:
        """The name, or the operator and its index where the file gives no name."""
        return self.name or f"{self.op_type}#{self.index}"

    @property
    def is_view(self) -> bool:
        """Whether the first output shares the bytes of the first input."""
        return self.op_type in VIEW_OPS and bool(self.inputs)


@dataclass(frozen=True)
class GraphView:
    """A whole graph, with its nodes in execution order and the size of every tensor."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    tensors: tuple[GraphTensor, ...]

    @functools.cached_property
    def by_name(self) -> Mapping[str, GraphTensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    def tensor(self, name: str) -> GraphTensor:
        return self.by_name[name]

    def bytes_of(self, *kinds: TensorKind) -> int:
        """Return the summed size of all tensors of these kinds, in bytes."""
        return sum(tensor.size_bytes for tensor in self.tensors if tensor.kind in kinds)


def view_of_file(path: Path) -> GraphView:
    """Read an ONNX file whose inputs have fixed sizes; raises what ``read_onnx`` does."""
    from edgeunet.graph.onnx_file import read_onnx

    model, _ = read_onnx(path)
    return view_of_model(model, name=path.stem)


def view_of_model(model: ir.Model, name: str | None = None) -> GraphView:
    """Describe a model. Missing shapes are inferred and filled in; nothing else changes.

    Raises GraphError when it is no executable graph, or has a tensor without a fixed size.
    """
    from edgeunet.graph.inferred_shapes import missing, quiet_packages

    try:
        from onnx_ir.passes.common import InlinePass, ShapeInferencePass
    except ModuleNotFoundError as error:
        raise missing(error) from error
    title = name or model.graph.name or "graph"
    if not len(model.graph) or not model.graph.outputs:
        raise GraphError(
            f"{title} is not a usable ONNX model: it has no operators or no outputs",
            hint="export or copy it again",
        )
    if model.functions:
        # Inlining changes the graph, so a copy is inlined.
        model = InlinePass()(model.clone()).model
    refuse_subgraphs(model.graph)
    if any(_shape_of(value) is None for node in model.graph for value in node.outputs):
        try:
            with quiet_packages():
                ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
        except ModuleNotFoundError as error:
            raise missing(error) from error
    return _view(model.graph, title)


def in_running_order(view: GraphView) -> GraphView:
    """Return a graph with the nodes that copy the frame into floats just before their readers.

    In our own files they are first, so that onnxruntime runs them late, see ``for_engine``.
    """
    first = {
        node.outputs[0]: node
        for node in view.nodes
        if node.op_type == "Cast" and node.inputs[0] in view.inputs
    }
    moved = {node.index for node in first.values()}
    ordered = []
    for node in view.nodes:
        if node.index in moved:
            continue
        ordered += [first.pop(name) for name in node.inputs if name in first]
        ordered.append(node)
    ordered += first.values()
    nodes = tuple(replace(node, index=index) for index, node in enumerate(ordered))
    return replace(view, nodes=nodes)


def _view(graph: ir.Graph, title: str) -> GraphView:
    import onnx_ir as ir

    from edgeunet.graph.taken_parts import taken_part

    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    outputs = {value.name for value in graph.outputs}
    tensors: dict[str, GraphTensor] = {}
    for value in graph.initializers.values():
        _add(tensors, value, TensorKind.WEIGHT)
    for value in inputs:
        _add(tensors, value, TensorKind.INPUT)
    nodes: list[GraphNode] = []
    for index, node in enumerate(graph):
        read = tuple(value.name or "" for value in node.inputs if value is not None)
        reads = tuple(name for name in read if name)
        for name in reads:
            if name not in tensors:
                raise GraphError(
                    f"{title}: {node.op_type} {node.name or index!r} reads {name!r} "
                    "before anything makes it",
                    hint="the file is not a valid ONNX graph; export it again",
                )
        made = [value for value in node.outputs if value.name]
        folded = _is_constant(node.op_type, [tensors[name].kind for name in reads])
        for value in made:
            if value.name in tensors:
                raise GraphError(
                    f"{title}: two operators make the tensor {value.name!r}",
                    hint="the file is not a valid ONNX graph; export it again",
                )
            if node.op_type == "Constant":
                kind = TensorKind.WEIGHT
            elif value.name in outputs:
                kind = TensorKind.OUTPUT
            else:
                kind = TensorKind.CONSTANT if folded else TensorKind.ACTIVATION
            _add(tensors, value, kind)
        names = tuple(value.name or "" for value in made)
        given = node.attributes.get("perm")
        perm = () if given is None else tuple(given.as_ints())
        along = node.attributes.get("axis")
        axis = along.as_int() if along is not None and along.type == ir.AttributeType.INT else None
        part = taken_part(node, tensors[reads[0]].shape) if reads else None
        way = node.attributes.get("mode")
        mode = way.as_string() if way is not None and way.type == ir.AttributeType.STRING else ""
        name = node.name or ""
        nodes.append(GraphNode(index, name, node.op_type, reads, names, perm, axis, part, mode))
    unmade = sorted(str(name) for name in outputs if name not in tensors)
    if unmade:
        raise GraphError(
            f"{title}: nothing makes the output {unmade[0]!r}",
            hint="the file is not a valid ONNX graph; export it again",
        )
    return GraphView(
        name=title,
        inputs=tuple(value.name or "" for value in inputs),
        outputs=tuple(value.name or "" for value in graph.outputs),
        nodes=tuple(nodes),
        tensors=tuple(tensors.values()),
    )


def _is_constant(op_type: str, kinds: Sequence[TensorKind]) -> bool:
    """Return whether the result of an operator is known before the first frame."""
    if op_type in _SHAPE_OPS:
        return True
    fixed = (TensorKind.WEIGHT, TensorKind.CONSTANT)
    return bool(kinds) and all(kind in fixed for kind in kinds)


def refuse_subgraphs(graph: ir.Graph) -> None:
    import onnx_ir as ir

    for node in graph:
        if any(
            attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
            for attribute in node.attributes.values()
        ):
            raise GraphError(
                f"the operator {node.op_type} ({node.name or 'unnamed'}) has a graph inside it, "
                "so what is alive depends on the data",
                hint="export the network without control flow (If, Loop, Scan)",
            )


def _shape_of(value: ir.Value) -> tuple[int, ...] | None:
    """Return the shape of a tensor with a known type; None for a dimension without a number."""
    from edgeunet.graph.values import static_shape

    if value.const_value is not None:
        return tuple(int(size) for size in value.const_value.shape.numpy())
    return None if value.dtype is None else static_shape(value)


def _add(tensors: dict[str, GraphTensor], value: ir.Value, kind: TensorKind) -> None:
    """Add a tensor. Raises GraphError when it is no tensor of numbers with a fixed size."""
    import onnx_ir as ir

    name = value.name or ""
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        raise GraphError(
            f"{name!r} is no tensor but a {_kind_of(value.type)}, whose size depends on the data",
            hint="only networks that hand on tensors can be analysed",
        )
    dtype = value.const_value.dtype if value.const_value is not None else value.dtype
    shape = _shape_of(value)
    if shape is None or dtype is None:
        raise _unknown_size(value)
    if math.prod(shape) > MOST_ELEMENTS:
        raise too_large("tensor", name, shape)
    # An empty weight is how a file leaves an input of an operator out.
    smallest = 0 if kind in (TensorKind.WEIGHT, TensorKind.CONSTANT) else 1
    if min(shape, default=1) < smallest:
        raise GraphError(
            f"the tensor {name!r} has the shape {'x'.join(map(str, shape))}, which holds nothing",
            hint="export the graph with sizes above 0",
        )
    try:
        bits = dtype.bitwidth
        numpy_name = _numpy_name(dtype)
    except TypeError as error:
        raise GraphError(
            f"the tensor {name!r} holds {dtype.name}, which has no fixed size",
            hint="only tensors of numbers can be analysed",
        ) from error
    size_bytes = (math.prod(shape) * bits + 7) // 8
    tensors[name] = GraphTensor(name, shape, numpy_name, size_bytes, kind)


@functools.lru_cache(maxsize=64)
def _numpy_name(dtype: ir.DataType) -> str:
    return str(dtype.numpy().name)


def _kind_of(type_: ir.TypeProtocol) -> str:
    """Return the name of a kind of values: SequenceType becomes ``sequence``."""
    return type(type_).__name__.removesuffix("Type").lower()


def _unknown_size(value: ir.Value) -> GraphError:
    """Return the error for a tensor whose shape or type is not known."""
    import onnx

    known = "an unknown shape" if value.shape is None else f"the shape {value.shape}"
    message = f"the tensor {value.name!r} has {known}, so its size is not fixed"
    node = value.producer()
    if node is None:
        return GraphError(message, hint=_FIXED_SIZE_HINT)
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not onnx.defs.has(node.op_type, domain):
        where = f" of {domain}" if domain else ""
        return GraphError(
            f"the operator {node.op_type}{where} is unknown, and the file does not give the shape "
            f"of {value.name!r}, which it makes",
            hint=f"write the shape of {value.name!r} into the file, or export without it",
        )
    return GraphError(
        f"{message}: {node.op_type} makes it from data, or from sizes that are not known",
        hint=f"{_FIXED_SIZE_HINT}, without {node.op_type}",
    )


def write_model(model: ir.Model, path: Path) -> None:
    """Write a model to one file."""
    import onnx_ir as ir

    ir.save(model, path)
