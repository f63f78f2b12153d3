"""Recipes: found by name or path, strict about their keys, honest in their errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.errors import RecipeError, UsageError
from edgeunet.recipes import Recipe, folder, load_recipe, read_recipe, recipe_names

EXPECTED = {
    "addunet",
    "addunet-joint",
    "joint",
    "nafnet",
    "umc-causal",
    "umc-dense",
    "umc-shared",
    "unet",
    "unetmm",
    "unetmm-full",
    "unetmm-naf",
}


def edited(tmp_path: Path, old: str, new: str, *, name: str = "unetmm") -> Path:
    text = (folder("export") / f"{name}.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_all_networks_are_shipped() -> None:
    assert set(recipe_names()) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_recipe_reads_and_is_named_after_its_file(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.network.levels == 4
    assert recipe.source.startswith("arXiv")


def test_a_users_recipe_is_found_by_path(tmp_path: Path) -> None:
    path = edited(tmp_path, 'name = "unetmm"', 'name = "mine"')
    assert load_recipe(str(path)).name == "mine"


def test_unknown_model_has_a_near_match() -> None:
    with pytest.raises(UsageError, match="no model 'unetm'") as caught:
        load_recipe("unetm")
    assert "did you mean 'unetmm'?" in caught.value.hint


def test_missing_path() -> None:
    with pytest.raises(RecipeError, match="no recipe file './nowhere.toml'"):
        load_recipe("./nowhere.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = 16", "width = 16\nwidht = 8", "unknown field `widht`"),
        ('block = "residual"', 'block = "resnet"', "Invalid enum value 'resnet'"),
        ("schema = 1", "schema = 9", "schema is 9, this version reads 1"),
        ("width = 16", "width = 0", "must be at least 1"),
        ("decoder_blocks = [1, 1, 1, 1]", "decoder_blocks = [1]", "must name the same levels"),
        ("[network]", "[network", "not a valid recipe"),
        ('down = "conv"', 'down = "conv"\ncascade = "dense"', "one map that all pathways share"),
        ('head = "denoise"', 'head = "segment"', "needs at least two classes"),
        ('head = "denoise"', 'head = "denoise"\nchannels = 4', "must have 3 channels"),
    ],
)
def test_bad_recipes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match="mine.toml is not a valid recipe") as caught:
        read_recipe(edited(tmp_path, old, new))
    assert message in caught.value.message
    assert caught.value.hint


def test_two_pathways_of_one_name(tmp_path: Path) -> None:
    path = edited(
        tmp_path,
        '[[pathways]]\noutput = "denoised"',
        '[[pathways]]\noutput = "denoised"\nhead = "denoise"\n\n[[pathways]]\noutput = "denoised"',
    )
    with pytest.raises(RecipeError, match="same output name"):
        read_recipe(path)


def test_width_changes_only_the_width() -> None:
    recipe = load_recipe("unetmm")
    wide = recipe.with_width(32)
    assert wide.network.width == 32
    assert recipe.with_width(None) is recipe
    assert isinstance(wide, Recipe)
    assert wide.trained_weights(folder("export")) is None
    assert recipe.trained_weights(folder("export")) is not None


def test_width_below_one() -> None:
    with pytest.raises(UsageError, match="width 0"):
        load_recipe("unetmm").with_width(0)
