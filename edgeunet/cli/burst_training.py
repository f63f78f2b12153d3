"""The options of ``edgeunet train --bursts``, and its page of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.choosing.shipped_weights import no_shipped_weights, shipped_weights
from edgeunet.errors import UsageError
from edgeunet.files import replacing_file, sha256_of
from edgeunet.html_page import figure_of, html_of
from edgeunet.recipes import Recipe

if TYPE_CHECKING:
    from edgeunet.train.before_after import Shown
    from edgeunet.train.run_records import Outcome
    from edgeunet.train.samples import Sample

PAGE_NAME = "before-after.html"


@dataclass(frozen=True)
class BurstChoice:
    """The recipe with a schedule for bursts, and the initial weights.

    init: None for a resumed run, and if the recipe itself has a schedule for bursts.
    """

    recipe: Recipe
    init: Path | None


def read_bursts(
    recipe: Recipe,
    model: str,
    folders: Sequence[Path],
    *,
    qat: bool,
    init: Path | None,
    steps: int | None,
    beside_images: bool,
    going_on: bool,
) -> BurstChoice | None:
    """Return the choice for a training on bursts; None for any other training.

    A recipe whose [train] has ``bursts_share`` keeps its schedule and its initial weights. Any
    other is fine-tuned from trained weights.
    going_on: the run is resumed from a checkpoint, which has weights.
    """
    planned = recipe.train is not None and recipe.train.bursts_share is not None
    if not folders:
        if planned:
            raise UsageError(
                f"recipe {recipe.name!r} is trained on bursts", hint="give --bursts FOLDER"
            )
        return None
    if qat:
        raise UsageError(
            "--qat and --bursts are two fine-tunes",
            hint="run one with --bursts, then one with --qat, --data and --init",
        )
    from edgeunet.train.burst_pairs import with_bursts

    weights = init
    if weights is None and not going_on and not planned:
        weights = shipped_weights(model, recipe)
        if weights is None:
            raise no_shipped_weights(
                recipe,
                because="--bursts fine-tunes a trained network",
                hint="give weights with --init; or set bursts_share and steps in the recipe's "
                "[train] to begin with random ones",
            )
    return BurstChoice(with_bursts(recipe, steps, beside_images=beside_images), weights)


def write_page(
    outcome: Outcome,
    recipe: Recipe,
    candidates: Sequence[Path | None],
    held_out: Sequence[Sample],
) -> Path | None:
    """Write ``before-after.html`` beside the weights; None without held-out real noisy images.

    candidates: files that may hold the initial weights; the one with their hash is used.
    """
    from edgeunet.train.before_after import before_and_after

    begun = outcome.initial
    before = next(
        (
            path
            for path in candidates
            if path is not None
            and begun is not None
            and path.is_file()
            and sha256_of(path) == begun.sha256
        ),
        None,
    )
    rows = before_and_after(recipe, before, outcome.weights, held_out)
    if not rows:
        return None
    title = f"{outcome.weights.stem}: held-out shots before and after training"
    text = (
        f"{outcome.steps} steps. PSNR is that of the whole held-out image to its reference, the "
        "mean of all other shots (of a real pair, its clean image); what noise the reference still "
        "has counts as an error. Pictures are central windows."
    )
    body = f'<p class="legend">{escape(text)}</p>' + "".join(_scene(row) for row in rows)
    path = outcome.weights.parent / PAGE_NAME
    with replacing_file(path) as beside:
        beside.write_text(html_of(title, body), encoding="utf-8", errors="backslashreplace")
    return path


def _scene(row: Sequence[Shown]) -> str:
    from edgeunet.photographs import png_of

    parts = []
    for shown in row:
        figure = "" if shown.psnr_db is None else f", {shown.psnr_db:.2f} dB"
        parts.append(figure_of(png_of(shown.pixels), shown.title, f"{shown.title}{figure}"))
    return f'<div class="scene">{"".join(parts)}</div>\n'
