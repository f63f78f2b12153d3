"""Attributes of nodes with their defaults."""

from __future__ import annotations

import onnx_ir as ir


def int_of(node: ir.Node, name: str, default: int) -> int:
    """Return an integer attribute, or the default if the node has none of that name."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def text_of(node: ir.Node, name: str, default: str) -> str:
    """Return a text attribute, or the default if the node has none of that name."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def ints_of(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """Return an attribute of integers, or None if the node has none of that name."""
    attribute = node.attributes.get(name)
    return None if attribute is None else tuple(int(number) for number in attribute.as_ints())
