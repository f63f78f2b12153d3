"""Where commands are run."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the command runs in."""
    path = tmp_path / "there"
    path.mkdir()
    monkeypatch.chdir(path)
    return path
