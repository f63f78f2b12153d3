"""One small network, exported once, for all tests of plans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

pytest.importorskip("torch")

from edgeunet.convert import network_graph
from edgeunet.convert.frame_module import FrameModule
from edgeunet.recipes import Recipe
from tests.cli.command import Ran, edgeunet
from tests.cli.plans.tiny_recipe import words, write_tiny_recipe


@pytest.fixture(scope="package")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_recipe(tmp_path_factory.mktemp("recipe") / "tiny.toml")


@pytest.fixture(scope="package", autouse=True)
def _exported_once() -> Iterator[None]:
    """Torch's exporter takes a second or two: every graph that is planned is made once."""
    make = network_graph._exported
    known: dict[tuple[object, ...], ir.Model] = {}

    def make_once(
        module: FrameModule, recipe: Recipe, height: int, width: int, inputs: tuple[str, ...]
    ) -> ir.Model:
        key = (recipe.name, recipe.network.width, height, width, inputs)
        if key not in known:
            known[key] = make(module, recipe, height, width, inputs)
        return known[key].clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_graph, "_exported", make_once)
        yield


@pytest.fixture(scope="package")
def windowed(recipe: Path) -> dict[str, Any]:
    """What ``memory`` says of a plan in fixed windows."""
    ran = edgeunet(*words("memory", recipe), "--tile", "64x96", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="package")
def exported(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    path = tmp_path_factory.mktemp("export") / "windowed.bundle"
    return path, edgeunet(*words("export", recipe), "--tile", "64x96", "--out", path)
