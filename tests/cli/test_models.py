"""``edgeunet models``: the published counts, as a table and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("torch")

from edgeunet.recipes import load_recipe, recipe_names
from tests.cli.command import edgeunet


def rows(*words: str) -> list[dict[str, Any]]:
    ran = edgeunet("models", *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert isinstance(document, list)
    return document


def test_every_recipe_has_a_row_of_the_same_shape() -> None:
    found = rows()
    assert [row["name"] for row in found] == list(recipe_names())
    for row in found:
        assert {
            "name",
            "params",
            "macs_per_pixel",
            "skip_elements_per_pixel",
            "tasks",
            "quality",
        } <= set(row)
        recipe = load_recipe(row["name"])
        assert row["title"] == recipe.title
        assert row["width"] == recipe.network.width
        assert row["tasks"] == [pathway.head.value for pathway in recipe.pathways]
        assert row["quality"] == recipe.quality.get(str(recipe.network.width))
        assert isinstance(row["params"], int)
        assert row["gmacs_256x256"] * 1e9 == pytest.approx(row["macs_per_pixel"] * 256 * 256)


@pytest.mark.parametrize(
    ("name", "params"),
    [("umc-shared", 10_985_654), ("umc-causal", 10_985_654), ("umc-dense", 11_769_014)],
)
def test_umc_has_the_papers_parameters(name: str, params: int) -> None:
    (row,) = rows("--model", name)
    assert row["params"] == params
    assert row["tasks"] == ["denoise", "segment"]


def test_nafnet_has_the_published_counts() -> None:
    (row,) = rows("--model", "nafnet", "--width", "32")
    assert row["params"] == pytest.approx(29.16e6, rel=0.005)
    assert row["gmacs_256x256"] == pytest.approx(16.05, rel=0.005)
    assert row["skip_elements_per_pixel"] == 60


def test_the_flagships_map_at_a_named_width() -> None:
    (row,) = rows("--model", "unetmm", "--width", "small")
    assert (row["width"], row["skip_elements_per_pixel"]) == (16, 2)


def test_the_table_has_the_same_figures() -> None:
    ran = edgeunet("models", "--model", "umc-dense")
    assert ran.code == 0
    line = next(line for line in ran.out.splitlines() if "umc-dense" in line)
    (row,) = rows("--model", "umc-dense")
    assert line.split() == [
        "umc-dense",
        "denoise,",
        "segment",
        "32",
        "11,769,014",
        f"{row['macs_per_pixel'] / 1e3:.1f}",
        "60",
    ]


def test_trained_weights_are_listed_with_what_was_measured() -> None:
    (row,) = rows("--model", "unetmm")
    assert row["quality"] in edgeunet("models", "--model", "unetmm").out


def test_an_unknown_model_or_width() -> None:
    ran = edgeunet("models", "--model", "nafnt")
    assert (ran.code, ran.failure[0]) == (2, "there is no model 'nafnt'")
    assert ran.failure[1].startswith("did you mean 'nafnet'? ")
    assert edgeunet("models", "--width", "-1").code == 2


def test_without_torch_the_list_is_still_there() -> None:
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'torch':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Absent())
from edgeunet.cli import main
sys.exit(main(sys.argv[1:]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, "models", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0
    assert 'pip install "edgeunet[export]"' in ran.stderr
    found = json.loads(ran.stdout)
    assert [row["name"] for row in found] == list(recipe_names())
    assert {row["params"] for row in found} == {None}
