"""Documents cannot rot: what they name in backticks exists, and so do their links."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from edgeunet.cli import verbs
from edgeunet.cli.app import app
from tests.house import references
from tests.house.references import DOCUMENTS
from tests.house.source import ROOT

_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def options() -> dict[str, frozenset[str]]:
    verbs.register(app)
    root: Any = typer.main.get_command(app)
    return {
        verb: frozenset(
            {"--help"}.union(*([*one.opts, *one.secondary_opts] for one in command.params))
        )
        for verb, command in root.commands.items()
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_document_names_exists(document: Path, options: dict[str, frozenset[str]]) -> None:
    text = document.read_text(encoding="utf-8")
    assert list(references.problems(text, document, options)) == []


@pytest.mark.parametrize(
    "text",
    [
        "`edgeunet/memory/planner.py`",
        "`blocked.py`",
        "`quantize/`",
        "`export/weights/NAME-WIDTH.onnx`",
        "`edgeunet shrink`",
        "`edgeunet export --tiles`",
        "`edgeunet run` takes `--budget`",
        "`--windows-size 3`",
        "`python -m benchmarks.speed`",
        "`python -m benchmarks.quality --fast`",
        '`pip install "edgeunet[gpu]"`',
        "`edgeunet.memory.planner`",
        "`edgeunet.run.executor.Runner`",
        "`edgeunet.export.order`",
        "`Network.pathway_count_of`",
        "`NetworkCutter`",
        "`plan_the_frame()`",
        "`skip_byte_count`",
        "`EDGEUNET_SPEED=fast`",
        "`[train.cameras]`",
        "`unetmm-xl`",
        "`edgeunet/recipes.py`: what it contradicts, in `_check`",
        "`ftp://camera`",
        "[the plan](docs/plan.md)",
        "[the plan](README.md#no-such-heading)",
        "```\nsource ── memory/cuts ── sink\n```",
    ],
)
def test_a_stale_reference_is_found(text: str, options: dict[str, frozenset[str]]) -> None:
    assert list(references.problems(text + "\n", ROOT / "README.md", options)) != []


@pytest.mark.parametrize(
    "text",
    [
        "`edgeunet/planning/planner.py`, `planner.py` and `planning/`",
        "`export/weights/NAME-WIDTH.safetensors`",
        "`edgeunet export --tile auto`, or its `--budget 64MiB`",
        "`python -m benchmarks.quality --costs`",
        '`pip install ".[all]"`',
        "`edgeunet.run.executor.Executor` and `Executor.run`",
        "`Network.heads`, `open_session`, `choose_engine()`",
        "`EDGEUNET_CUDA=pycuda|cuda-python`",
        "`[train.camera]` and `[export] int8_floats`",
        "`umc-*`, `unetmm-awgn`",
        "`edgeunet/train/run_checks.py` has `_LATER_KEYS`",
        "`csi://0`, `(1, H, W, 3)`, `0.5`, `[0.0, 60.0]`, `variance = gain * signal + read`",
        "```\nsource ── planning/cuts ── sink\n```",
    ],
)
def test_a_good_reference_is_let_through(text: str, options: dict[str, frozenset[str]]) -> None:
    assert list(references.problems(text + "\n", ROOT / "README.md", options)) == []


def _python_blocks() -> list[tuple[str, str]]:
    return [
        (f"{path.relative_to(ROOT)}", block)
        for path in DOCUMENTS
        for block in _PYTHON.findall(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("name", "block"), _python_blocks(), ids=str)
def test_python_in_a_document_uses_what_is_there(name: str, block: str) -> None:
    missing = []
    for node in ast.walk(ast.parse(block)):
        imported: list[str] = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgeunet"):
            imported = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "edgeunet":
            imported = [f"edgeunet.{node.attr}"]
        missing += [one for one in imported if references.dotted_problem(one)]
    assert missing == [], name
