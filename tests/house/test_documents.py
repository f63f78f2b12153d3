"""The tables of fields and recipes in the READMEs say what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeunet import __version__
from edgeunet.calibration import CalibrationSet, Member
from edgeunet.recipes import (
    ExportTable,
    NetworkTable,
    PathwayTable,
    Recipe,
    ToleranceTable,
    load_recipe,
    recipe_names,
)
from edgeunet.schedules import CameraTable, ClipsTable, GrowthTable, TrainTable
from tests.house.references import DOCUMENTS
from tests.house.source import ROOT

EXPORT = ROOT / "export" / "README.md"
_LONGEST_CELL = 160
CALIBRATION = ROOT / "calibration" / "README.md"


def _rows(path: Path, heading: str) -> dict[str, list[str]]:
    """Return name -> cells of the first table below a heading whose names are in backticks."""
    text = "\n" + path.read_text(encoding="utf-8")
    section = text[text.index(f"\n{heading}\n") + len(heading) + 1 :]
    rows: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line.startswith("#") or (rows and not line.startswith("|")):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"`[\w-]+`", cells[0]):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def _default_in_words(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
        return "all defaults" if isinstance(value, msgspec.Struct) else "empty"
    if field.default is msgspec.NODEFAULT:
        return "required"
    if field.default is None or field.default == ():
        return "none" if field.default is None else "empty"
    return field.default


def _default_as_written(cell: str) -> Any:
    if not cell.startswith("`"):
        return cell
    value = json.loads(cell.strip("`"))
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("path", "heading", "table"),
    [
        (EXPORT, "### Top level", Recipe),
        (EXPORT, "### `[network]`", NetworkTable),
        (EXPORT, "### `[[pathways]]`", PathwayTable),
        (EXPORT, "### `[export]`", ExportTable),
        (EXPORT, "### `[tolerance]`", ToleranceTable),
        (EXPORT, "### `[train]`", TrainTable),
        (EXPORT, "### `[train.camera]`", CameraTable),
        (EXPORT, "### `[train.clips]`", ClipsTable),
        (EXPORT, "### `[[train.growth]]`", GrowthTable),
        (CALIBRATION, "## Fields", CalibrationSet),
        (CALIBRATION, "### `[[members]]`", Member),
    ],
)
def test_every_field_is_listed_with_its_default(
    path: Path, heading: str, table: type[msgspec.Struct]
) -> None:
    listed = {name: _default_as_written(cells[1]) for name, cells in _rows(path, heading).items()}
    fields = msgspec.structs.fields(table)
    assert listed == {field.name: _default_in_words(field) for field in fields}


def test_every_recipe_is_listed_as_it_is() -> None:
    counts = pytest.importorskip("edgeunet.models.counts", exc_type=ImportError)
    rows = _rows(EXPORT, "# Recipes: what is shipped")
    assert tuple(sorted(rows)) == recipe_names()
    for name, cells in rows.items():
        recipe = load_recipe(name)
        network, counted = recipe.network, counts.count(recipe)
        assert cells == [
            network.block,
            network.skip,
            network.cascade,
            str(network.width),
            ", ".join(recipe.tasks),
            f"{counted.params:,}",
            f"{counted.skip_elements_per_pixel:g}",
            recipe.source,
        ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_table_cell_is_no_paragraph(document: Path) -> None:
    lines = [
        line
        for line in document.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith("|")
    ]
    cells = [cell.strip() for line in lines for cell in line.split("|")]
    assert [cell for cell in cells if len(cell) > _LONGEST_CELL] == []


def test_the_changelog_has_this_version() -> None:
    assert f"\n## [{__version__}]\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
