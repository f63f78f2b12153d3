"""The wheel, built through the sdist as it is published, is complete and works by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeunet.recipes import recipe_names
from tests.house.bare import RUN_BARE
from tests.house.source import PACKAGE, ROOT, module_paths

pytestmark = pytest.mark.slow

_SIZE_LIMIT_BYTES = 32 * 2**20


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    # No isolation: the build back end is already here, and a test needs no network.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_every_module_is_in_the_wheel(names: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in module_paths()}
    assert modules - names == set()
    assert "edgeunet/py.typed" in names


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("export", "*.toml"),
        ("export", "weights/*"),
        ("calibration", "*.toml"),
        ("calibration", "ranges/*.json"),
    ],
)
def test_recipes_are_in_the_wheel(names: set[str], folder: str, pattern: str) -> None:
    files = [path for path in (ROOT / folder).glob(pattern) if path.is_file()]
    wanted = {f"edgeunet/_recipes/{path.relative_to(ROOT).as_posix()}" for path in files}
    assert wanted - names == set()
    assert wanted, f"there is no {folder}/{pattern}"


@pytest.mark.parametrize("table", ["boards.toml", "doctor/jetpack.toml"])
def test_a_table_of_facts_is_in_the_wheel(table: str, names: set[str]) -> None:
    assert (PACKAGE / table).is_file()
    assert f"edgeunet/{table}" in names


def test_nothing_else_is_in_the_wheel(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {PACKAGE.name}
    assert [name for name in names if "tests/" in name or "__pycache__" in name] == []


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < _SIZE_LIMIT_BYTES


def test_the_wheel_finds_its_own_recipes(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        RUN_BARE + "import edgeunet\n"
        "print(edgeunet.__file__, file=sys.stderr)\n"
        "from edgeunet.cli import main\n"
        "sys.exit(main(['models', '--json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(str(tmp_path)), "the checkout was imported instead of the wheel"
    assert [row["name"] for row in json.loads(done.stdout)] == list(recipe_names())
