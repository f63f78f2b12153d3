"""Which names mean a bundle, and which a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.choosing.networks import is_bundle
from tests.bundle.tiny import tiny_bundle


def test_a_recipes_name_is_a_bundle_only_where_one_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_bundle("unetmm")
    Path("unetmm").mkdir()
    assert not is_bundle("unetmm")
    (tiny_bundle(tmp_path / "made", 24, 32).path).rename("unet")
    assert is_bundle("unet")


@pytest.mark.parametrize("target", ["street.bundle", "folder/", "folder"])
def test_what_is_named_like_a_folder_is_a_bundle(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert is_bundle(target)


@pytest.mark.parametrize("target", ["unetmm", "own.toml", "nothing"])
def test_what_is_not_is_a_recipe(target: str) -> None:
    assert not is_bundle(target)
