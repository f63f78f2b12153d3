"""A module imports only from lower layers, and within its own package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.source import PACKAGE, imports_of, module_paths

# Lowest first. What stands on one line does not import each other.
LAYERS = (
    ("errors",),
    (
        *("units", "specs", "files", "names", "suffixes", "notebook", "frame_windows"),
        *("pixels", "html_page", "processors"),
    ),
    ("schedules", "images", "label_colours", "window_turns", "ort"),
    ("recipes", "boards", "charts", "photographs", "noise_models", "metrics"),
    (
        *("camera", "pairs", "label_maps", "media", "graph", "models", "doctor"),
        *("contracts", "network_facts"),
    ),
    ("noise_profile", "calibration", "analysis", "imitation", "foreign"),
    ("planning", "train"),
    ("bundle",),
    ("convert",),
    ("engine", "qat"),
    ("run", "choosing"),
    ("stream",),
    ("evaluate", "api"),
    ("cli",),
    ("__main__",),
)
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def _part_of(path: Path) -> str:
    """Return the module or sub-package directly under ``edgeunet`` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", module_paths(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_lower_layers(path: Path) -> None:
    importer = _part_of(path)
    wrong = []
    for entry in imports_of(path):
        package, _, rest = entry.name.partition(".")
        imported = rest.partition(".")[0]
        if package != "edgeunet" or imported in (importer, "__version__"):
            continue
        if importer == "__init__":
            # Lazily, in __getattr__: tests/house/test_bare_import.py proves that it is.
            assert imported == "api", f"{entry.where}: importing edgeunet imports {imported}"
            continue
        if RANKS[imported] >= RANKS[importer]:
            wrong.append(f"{entry.where}: {importer} imports {imported}")
    assert wrong == []


def test_every_module_has_a_layer_and_every_layer_a_module() -> None:
    assert {_part_of(path) for path in module_paths()} - {"__init__"} == set(RANKS)
