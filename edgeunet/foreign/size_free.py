"""Take the picture's size out of operators that need none, and drop operators that do nothing.

All rewrites are exact for the graph's own size. What they leave means the same at every size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.convenience import replace_all_uses_with

from edgeunet.foreign.einsum import write_products
from edgeunet.foreign.shuffles import join_shuffles
from edgeunet.foreign.slices import join_slices
from edgeunet.foreign.uniform_constants import drop_what_changes_nothing
from edgeunet.graph.inserting import Inserter
from edgeunet.graph.unshuffle import join_unshuffles
from edgeunet.graph.values import (
    add_initializer,
    constant_of,
    drop_unused_initializers,
    static_shape,
)


def take_out_sizes(model: ir.Model) -> None:
    """Rewrite a graph whose shapes are all known, in place."""
    graph = model.graph
    for node in list(graph):
        if _does_nothing(node):
            _bypass(graph, node)
    drop_what_changes_nothing(graph)
    join_slices(graph)
    write_products(graph)
    join_unshuffles(model)
    join_shuffles(graph)
    for node in list(graph):
        if node.op_type == "Resize":
            _sizes_to_scales(graph, node)
        elif node.op_type == "Reshape":
            _free_reshape(graph, node)
        elif node.op_type == "Expand":
            _drop_expand(graph, node)
        elif node.op_type == "Concat":
            _follow_the_picture(graph, node)
    narrow_uniform_constants(graph)
    drop_unused_initializers(graph)


def _does_nothing(node: ir.Node) -> bool:
    rule = _NOTHING.get(node.op_type)
    source = node.inputs[0] if node.inputs else None
    if rule is None or source is None or not node.outputs:
        return False
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        return False
    given, made = static_shape(source), static_shape(node.outputs[0])
    return given is not None and given == made and rule(node, given)


def _always(node: ir.Node, shape: tuple[int, ...]) -> bool:
    return True


def _pads_nothing(node: ir.Node, shape: tuple[int, ...]) -> bool:
    pads = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    # Equal shapes are not enough: a Pad may crop at one end what it adds at the other.
    return pads is not None and not pads.any()


def _slices_nothing(node: ir.Node, shape: tuple[int, ...]) -> bool:
    steps = constant_of(node.inputs[4]) if len(node.inputs) > 4 else None
    # All elements in steps of -1 are as many, in another order.
    forwards = steps is not None and bool((steps > 0).all())
    return len(node.inputs) < 5 or node.inputs[4] is None or forwards


def _resizes_nothing(node: ir.Node, shape: tuple[int, ...]) -> bool:
    where = node.attributes.get("coordinate_transformation_mode")
    return where is None or where.as_string() != "tf_crop_and_resize"


def _casts_nothing(node: ir.Node, shape: tuple[int, ...]) -> bool:
    source = node.inputs[0]
    return (
        source is not None and source.dtype is not None and (source.dtype == node.outputs[0].dtype)
    )


def _turns_nothing(node: ir.Node, shape: tuple[int, ...]) -> bool:
    perm = node.attributes.get("perm")
    return perm is not None and list(perm.as_ints()) == list(range(len(shape)))


_NOTHING: Mapping[str, Callable[[ir.Node, tuple[int, ...]], bool]] = {
    "Cast": _casts_nothing,
    "Dropout": _always,
    "Expand": _always,
    "Flatten": _always,
    "Identity": _always,
    "Pad": _pads_nothing,
    "Reshape": _always,
    "Resize": _resizes_nothing,
    "Slice": _slices_nothing,
    "Squeeze": _always,
    "Tile": _always,
    "Transpose": _turns_nothing,
    "Unsqueeze": _always,
}


def _bypass(graph: ir.Graph, node: ir.Node) -> None:
    source, made = node.inputs[0], node.outputs[0]
    if source is None:
        return
    if made.is_graph_output() and (source.is_graph_output() or source.producer() is None):
        return
    if made.is_graph_output():
        made.name, source.name = f"{made.name}_dropped", made.name
    replace_all_uses_with(made, source, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _sizes_to_scales(graph: ir.Graph, node: ir.Node) -> None:
    """Give a Resize scales in place of sizes, where the scales give the same sizes.

    A scale such as 75/38 gives 74 or 75 rows, depending on who multiplies; its sizes stay.
    """
    source, made = node.inputs[0], node.outputs[0]
    if len(node.inputs) < 4 or node.inputs[3] is None or source is None:
        return
    given, wanted = static_shape(source), static_shape(made)
    if given is None or wanted is None or 0 in given:
        return
    scales = np.array([b / a for a, b in zip(given, wanted, strict=True)], np.float32)
    for kind in (np.float32, np.float64):
        made_by = [int(np.floor(kind(a) * kind(s))) for a, s in zip(given, scales, strict=True)]
        if tuple(made_by) != wanted:
            return
    node.replace_input_with(2, add_initializer(graph, f"{node.name or made.name}_scales", scales))
    node.resize_inputs(3)


def _free_reshape(graph: ir.Graph, node: ir.Node) -> None:
    """Write 0 for dimensions that stay, and -1 for the one that follows from the others."""
    source, made = node.inputs[0], node.outputs[0]
    given, wanted = None if source is None else static_shape(source), static_shape(made)
    if given is None or wanted is None or 0 in (*given, *wanted):
        return
    shape = [0 if i < len(given) and given[i] == w else w for i, w in enumerate(wanted)]
    numbers = [i for i, length in enumerate(shape) if length]
    if len(numbers) == 1:
        shape[numbers[0]] = -1
    node.attributes.pop("allowzero", None)
    name = f"{node.name or made.name}_shape"
    node.replace_input_with(1, add_initializer(graph, name, np.array(shape, np.int64)))


_BROADCAST = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "PRelu", "Sub", "Where"})


def narrow_uniform_constants(graph: ir.Graph) -> None:
    """Leave one row and column of weights that are the same in all, where they are broadcast."""
    for node in graph:
        if node.op_type not in _BROADCAST:
            continue
        for index, value in enumerate(node.inputs):
            content = constant_of(value)
            if value is None or content is None or content.ndim < 2 or content.size < 2:
                continue
            others = [static_shape(v) for v in node.inputs if v is not None and v is not value]
            if not any(o is not None and o[-content.ndim :] == content.shape for o in others):
                continue
            narrow = content[..., :1, :1]
            if narrow.shape != content.shape and (content == narrow).all():
                node.replace_input_with(
                    index, add_initializer(graph, f"{value.name}_narrow", narrow)
                )


def _drop_expand(graph: ir.Graph, node: ir.Node) -> None:
    """Let the readers of an Expand broadcast what it was made of, where they do that anyway."""
    source, made = node.inputs[0], node.outputs[0]
    shape = static_shape(made)
    for use in made.uses():
        others = [v for v in use.node.inputs if v is not None and v is not made]
        if use.node.op_type not in _BROADCAST or all(static_shape(v) != shape for v in others):
            return
    if source is not None and not made.is_graph_output():
        replace_all_uses_with(made, source)
        graph.remove(node, safe=True)


def _follow_the_picture(graph: ir.Graph, concat: ir.Node) -> None:
    """Make maps of one number per channel, such as a noise level, of what they are joined with.

    A constant map has the picture's size written into it; a part of the picture times nothing, plus
    the number, has not.
    """
    picture = next((v for v in concat.inputs if v is not None and constant_of(v) is None), None)
    shape = None if picture is None else static_shape(picture)
    axis = concat.attributes["axis"].as_int()
    if picture is None or shape is None or len(shape) != 4 or axis not in (1, -3):
        return
    for index, value in enumerate(concat.inputs):
        content = constant_of(value)
        if content is None or content.dtype != np.float32 or content[0, 0].size == 1:
            continue
        narrow = content[:, :, :1, :1]
        if not (content == narrow).all() or picture.dtype is not ir.DataType.FLOAT:
            continue
        add = Inserter(graph, concat, f"{concat.outputs[0].name}_map_{index}")
        ends = [add.constant(f"channel_{n}", np.array([n], np.int64)) for n in (0, 1)]
        plane = (shape[0], 1, *shape[2:])
        first = add.node("Slice", [picture, *ends, ends[1]], plane)
        zero = add.constant("zero", np.array(0, np.float32))
        nothing = add.node("Clip", [first, zero, zero], plane)
        made = add.node("Add", [nothing, add.constant("numbers", narrow)], content.shape)
        concat.replace_input_with(index, made)
