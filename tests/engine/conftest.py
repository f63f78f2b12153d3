"""Fixtures: a bundle to build plans for, and a timing cache for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeunet.bundle import Bundle
from tests.bundle.tiny import tiny_bundle


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    bundle = tiny_bundle(tmp_path, 8, 8)
    yield bundle
    leftovers = [p.name for p in bundle.path.rglob("*") if ".partial" in p.name]
    assert leftovers == []
