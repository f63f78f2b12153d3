"""Reads from a source's syntax which TensorRT attributes it uses, and in which versions.

A branch on ``provider.offers("Class.attribute")``, or on one of the provider's boolean properties,
limits the versions that reach it. Attributes that it uses must exist in all of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgeunet.engine.trt.calls import ALWAYS, VARYING
from edgeunet.engine.trt.provider import Provider
from tests.engine.tensorrt_versions import matrix, offered, provider_at, versions

# Variables that hold objects of TensorRT: whatever is touched on them must be in calls.py.
NATIVE = {
    "base",
    "builder",
    "config",
    "context",
    "engine",
    "kinds",
    "known",
    "layer",
    "modes",
    "module",
    "network",
    "parser",
    "pools",
    "tensor",
    "types",
    "_context",
    "_engine",
    "_native",
}
# Ours, with attributes that TensorRT has under the same name.
_OURS = {"manifest", "self"}
# Of Python itself, on classes and modules.
_PYTHONS = {"__init__"}

_FLAGS = frozenset(
    name
    for name, value in vars(Provider).items()
    if isinstance(value, property) and value.fget.__annotations__.get("return") == "bool"
)
_LISTED = frozenset(
    name for names in (*ALWAYS.values(), (n.rpartition(".")[2] for n in VARYING)) for name in names
)
_ALL = frozenset(versions())


def leaves(version: str) -> frozenset[str]:
    return frozenset(name.rpartition(".")[2] for name in offered(version))


_KNOWN = frozenset(name.rpartition(".")[2] for name in matrix())
_LEAVES = {version: leaves(version) for version in versions()}


def complaints(source: str) -> list[str]:
    """Return one line for each attribute that is not listed or that a version lacks."""
    tree = ast.parse(source)
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    reader = _Reader(frozenset(imported))
    reader.block(tree.body, _ALL)
    return reader.found


@dataclass
class _Reader:
    imported: frozenset[str]
    found: list[str] = field(default_factory=list)

    def block(self, body: list[ast.stmt], reach: frozenset[str]) -> frozenset[str]:
        """Read statements; return the versions that come out at their end."""
        for statement in body:
            reach = self.statement(statement, reach)
        return reach

    def statement(self, node: ast.stmt, reach: frozenset[str]) -> frozenset[str]:
        if isinstance(node, ast.If):
            self.expression(node.test, reach)
            yes = self.block(node.body, _narrowed(node.test, reach, truth=True))
            no = self.block(node.orelse, _narrowed(node.test, reach, truth=False))
            return yes | no
        if isinstance(node, (ast.Return, ast.Raise, ast.Continue, ast.Break)):
            self.parts(node, reach)
            return frozenset()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for part in (*node.decorator_list, *getattr(node, "bases", ())):
                self.expression(part, reach)
            self.block(node.body, reach)
            return reach
        self.parts(node, reach)
        return reach

    def parts(self, node: ast.AST, reach: frozenset[str]) -> None:
        """Read what is inside; a loop, ``try`` or ``with`` hands every version on."""
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.stmt):
                continue
            if isinstance(part, ast.expr):
                self.expression(part, reach)
            else:
                self.parts(part, reach)
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and not isinstance(node, ast.expr):
                self.block([part for part in inner if isinstance(part, ast.stmt)], reach)

    def expression(self, node: ast.expr, reach: frozenset[str]) -> None:
        if isinstance(node, ast.IfExp):
            self.expression(node.test, reach)
            self.expression(node.body, _narrowed(node.test, reach, truth=True))
            self.expression(node.orelse, _narrowed(node.test, reach, truth=False))
            return
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self.expression(value, reach)
                reach = _narrowed(value, reach, truth=isinstance(node.op, ast.And))
            return
        for name, base in _touched(node):
            self.check(name, base, node.lineno, reach)
        self.parts(node, reach)

    def check(self, name: str, base: ast.expr, line: int, reach: frozenset[str]) -> None:
        last = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        if last in self.imported or last in _OURS or name in _PYTHONS:
            return
        if last in NATIVE and name not in _LISTED:
            self.found.append(f"line {line}: {name} is not listed in calls.py")
            return
        missing = [v for v in versions() if v in reach and name not in _LEAVES[v]]
        if (name in _KNOWN or last in NATIVE) and missing:
            self.found.append(f"line {line}: {name} is not in {', '.join(missing)}")


def _touched(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Attribute):
        yield node.attr, node.value
    # Without a default, getattr is an attribute under another name.
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
        name = node.args[1]
        if len(node.args) == 2 and isinstance(name, ast.Constant):
            yield str(name.value), node.args[0]


def _narrowed(test: ast.expr, reach: frozenset[str], *, truth: bool) -> frozenset[str]:
    """Return the versions for which a test can turn out so."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _narrowed(test.operand, reach, truth=not truth)
    if isinstance(test, ast.BoolOp):
        if isinstance(test.op, ast.And) is truth:
            for value in test.values:
                reach = _narrowed(value, reach, truth=truth)
            return reach
        either: frozenset[str] = frozenset()
        for value in test.values:
            either |= _narrowed(value, reach, truth=truth)
            reach = _narrowed(value, reach, truth=not truth)
        return either
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute):
        if test.func.attr == "offers" and isinstance(test.args[0], ast.Constant):
            name = str(test.args[0].value)
            return frozenset(v for v in reach if provider_at(v).offers(name) is truth)
    elif isinstance(test, ast.Attribute) and test.attr in _FLAGS:
        return frozenset(v for v in reach if getattr(provider_at(v), test.attr) is truth)
    return reach
