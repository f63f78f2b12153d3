"""Write an Einsum of two tensors as a product of matrices, which all later passes know.

Attention is often written so: ``bic,bjc->bij``. Others, such as a sum over two letters, stay.
"""

from __future__ import annotations

import onnx_ir as ir

from edgeunet.graph.inserting import Inserter, replace
from edgeunet.graph.values import static_shape


def write_products(graph: ir.Graph) -> None:
    """Rewrite every Einsum that is a product of matrices, in place. The numbers are the same."""
    for node in list(graph):
        if node.op_type == "Einsum" and len(node.inputs) == 2:
            _write(graph, node)


def _write(graph: ir.Graph, node: ir.Node) -> None:
    text = node.attributes["equation"].as_string().replace(" ", "")
    if "->" not in text or "." in text or any(value is None for value in node.inputs):
        return
    given, made = text.split("->")
    left, right = given.split(",")
    if any(len(set(letters)) != len(letters) for letters in (left, right, made)):
        return
    batch = [letter for letter in made if letter in left and letter in right]
    summed = [letter for letter in left if letter in right and letter not in made]
    rows, columns = (
        [letter for letter in one if letter not in other]
        for one, other in ((left, right), (right, left))
    )
    if [len(letters) for letters in (summed, rows, columns)] != [1, 1, 1]:
        return
    if set(made) != {*batch, *rows, *columns}:
        return
    add = Inserter(graph, node, f"{node.outputs[0].name}_product")
    sides: dict[str, int] = {}
    operands = []
    for value, letters, wanted in (
        (node.inputs[0], left, [*batch, *rows, *summed]),
        (node.inputs[1], right, [*batch, *summed, *columns]),
    ):
        shape = None if value is None else static_shape(value)
        if value is None or shape is None:
            return
        sides.update(zip(letters, shape, strict=True))
        operands.append(_ordered(add, value, letters, wanted))
    order = [*batch, *rows, *columns]
    product = add.node("MatMul", operands, [sides[letter] for letter in order])
    replace(graph, node, _ordered(add, product, "".join(order), list(made)))


def _ordered(add: Inserter, value: ir.Value, letters: str, wanted: list[str]) -> ir.Value:
    if list(letters) == wanted:
        return value
    return add.transpose(value, tuple(letters.index(letter) for letter in wanted))
