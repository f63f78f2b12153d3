"""``edgeunet models``: list the shipped recipes and their costs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgeunet.cli.choices import read_width
from edgeunet.cli.console import note, print_json, print_table
from edgeunet.cli.options import AsJson, Width
from edgeunet.recipes import Recipe, load_recipe, recipe_names


def command(
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="Only this recipe: a name or a path."),
    ] = None,
    width: Width = None,
    as_json: AsJson = False,
) -> None:
    """List the recipes: tasks, parameters, MACs, skips, quality."""
    names = recipe_names() if model is None else (model,)
    recipes = [load_recipe(name).with_width(read_width(width)) for name in names]
    rows = [_row(recipe) for recipe in recipes]
    if rows[0]["params"] is None:
        note('parameters and MACs are counted with torch: pip install "edgeunet[export]"')
    if as_json:
        print_json(rows)
        return
    print_table(
        "recipes: MACs at 256x256, and skip elements held for the decoder, per pixel",
        ("model", "tasks", "width", "params", "kMAC/px", "skips/px"),
        [
            (
                row["name"],
                ", ".join(row["tasks"]),
                str(row["width"]),
                _shown(row["params"], ","),
                _shown(row["macs_per_pixel"], ".1f", 1e-3),
                _shown(row["skip_elements_per_pixel"], "g"),
            )
            for row in rows
        ],
        text_columns=2,
    )
    trained = [(row["name"], row["quality"]) for row in rows if row["quality"]]
    if trained:
        print_table("trained weights", ("model", "measured"), trained, text_columns=2)


def _row(recipe: Recipe) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": recipe.name,
        "title": recipe.title,
        "width": recipe.network.width,
        "params": None,
        "macs_per_pixel": None,
        "gmacs_256x256": None,
        "skip_elements_per_pixel": None,
        "tasks": [str(task) for task in recipe.tasks],
        "quality": recipe.quality.get(str(recipe.network.width)),
    }
    # Only the counts need torch; devices without it still get the list.
    try:
        from edgeunet.models.counts import count
    except ModuleNotFoundError:
        return row
    counts = count(recipe)
    return row | {
        "params": counts.params,
        "macs_per_pixel": counts.macs_per_pixel,
        "gmacs_256x256": counts.macs / 1e9,
        "skip_elements_per_pixel": counts.skip_elements_per_pixel,
    }


def _shown(value: float | None, form: str, scale: float = 1) -> str:
    return "-" if value is None else format(value if scale == 1 else value * scale, form)
