"""What the package's files import, read without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "edgeunet"


@dataclass(frozen=True)
class Import:
    """``name`` as written after import or from; a name imported from a package is added to it."""

    path: Path
    line: int
    name: str

    @property
    def where(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def module_paths() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> Iterator[Import]:
    """Yield every import of a file, those inside functions and TYPE_CHECKING blocks too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            names = _imported_by_call(node)
        for name in names:
            yield Import(path, getattr(node, "lineno", 0), name)


def _imported_by_call(call: ast.Call) -> list[str]:
    """Return what ``import_module("a.b")`` or ``import_module(f"a.{b}")`` imports."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called not in ("import_module", "__import__") or not call.args:
        return []
    name = call.args[0]
    if isinstance(name, ast.JoinedStr):
        name = next(iter(name.values))
    return [name.value] if isinstance(name, ast.Constant) and isinstance(name.value, str) else []
