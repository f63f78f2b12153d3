"""Where commands are run, and small networks that are quick to export and to train."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.recipes import folder, load_recipe


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the command runs in."""
    path = tmp_path / "there"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the command in the folder that the test's files are in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A denoiser of one level and width 4: its export takes a second."""
    text = (folder("export") / "unetmm-awgn.toml").read_text().partition("[train]")[0]
    text = text.replace('name = "unetmm-awgn"', 'name = "mine"').replace("width = 16", "width = 4")
    text = text.replace("[1, 1, 1, 1]", "[1]")
    path = tmp_path / "mine.toml"
    path.write_text(f"{text}[train]\nsteps = 8\nbatch = 2\ncrop = 16\n")
    return path


@pytest.fixture
def trained(recipe: Path, tmp_path: Path) -> Path:
    """Weights for the recipe, as nobody has trained them."""
    return _untrained(str(recipe), None, tmp_path / "trained.safetensors")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for unetmm at width 8, as nobody has trained them."""
    return _untrained("unetmm", 8, tmp_path_factory.mktemp("weights") / "mine.safetensors")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of four small pictures, of which one is too small to train on."""
    from skimage import io

    from tests.train.toys import toy_photographs

    path = tmp_path / "photographs"
    path.mkdir()
    for index, picture in enumerate(toy_photographs([(24, 32), (40, 20), (16, 16), (12, 40)])):
        io.imsave(path / f"{index}.png", picture, check_contrast=False)
    return path


def _untrained(model: str, width: int | None, path: Path) -> Path:
    # torch is not everywhere, and most commands are tested without it.
    from edgeunet.models import build_network
    from edgeunet.models.weights import save_weights

    recipe = load_recipe(model).with_width(width)
    save_weights(build_network(recipe, seed=3), recipe, path)
    return path
