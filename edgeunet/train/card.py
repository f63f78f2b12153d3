"""Write the model card of a weight file: its data, its training and its results."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from edgeunet.files import replacing_file
from edgeunet.recipes import Recipe
from edgeunet.schedules import CameraTable, TrainTable
from edgeunet.specs import Task
from edgeunet.train.run_records import Outcome

_IMAGE_LOSSES = {
    "l1": "L1",
    "charbonnier": "Charbonnier",
    "psnr": "logarithm of each crop's mean square",
}

# Names of folders that are parts of a data set.
_PARTS = frozenset({"train", "training", "val", "validation", "test", "images", "data"})


@dataclass(frozen=True)
class Given:
    """The arguments of a run, as the user gave them, so that the card can repeat them.

    init: the initial weight file.
    held_out: number of images that were only validated on.
    qat, calibration: whether 8 bits were asked for, and the calibration set.
    bursts: folders of scenes.
    noise_profile: the file that the ranges of [train.camera] come from.
    clips: folders of clips. held_out_clips: names of those that were only validated on.
    """

    model: str
    data: Sequence[Path]
    init: Path | None = None
    held_out: int = 0
    qat: bool = False
    calibration: str | None = None
    bursts: Sequence[Path] = ()
    noise_profile: Path | None = None
    clips: Sequence[Path] = ()
    held_out_clips: Sequence[str] = ()


def write_card(outcome: Outcome, recipe: Recipe, given: Given) -> Path:
    """Write ``NAME-WIDTH.md`` beside the weights and return its path."""
    table = recipe.train
    if table is None:
        raise RuntimeError("a trained recipe has a [train] table")
    rows = [
        ("recipe", f"`{recipe.name}`, width {recipe.network.width}"),
        ("data", _data(outcome, table, given)),
        ("noise", _noise(outcome, table)),
        ("loss", _loss(recipe, table)),
        ("crops", _crops(table)),
        (
            "optimizer",
            f"AdamW, {table.learning_rate:g} to {table.final_learning_rate:g} by "
            f"cosine, weight decay {table.weight_decay:g}, average of weights {table.ema_decay:g}"
            + _statistics(table),
        ),
        ("began with", "random weights" if outcome.initial is None else f"`{outcome.initial}`"),
        ("steps", f"{outcome.steps} ({outcome.skipped_steps} skipped), {outcome.seconds:.0f} s"),
        ("machine", _machine(outcome)),
    ]
    if table.camera is not None and given.noise_profile is not None:
        rows.insert(3, ("camera", _camera(table.camera, given.noise_profile)))
    if table.frozen:
        kept = ", ".join(f"`{part}`" for part in table.frozen)
        rows.insert(-2, ("frozen, as begun with", kept))
    if table.quantized_for is not None:
        rows.insert(-1, ("8 bits", _bits(recipe, table)))
    for figure in outcome.measured:
        label = f"{figure.label} on the held-out images, {figure.noise}"
        rows.append((label, figure_text(outcome.figures.get(figure.name), figure.task)))
    lines = [
        *(f"# {outcome.weights.stem}", ""),
        *(f"{recipe.title} ({recipe.source}).", ""),
        *("| | |", "|---|---|"),
        *(f"| {name} | {value} |" for name, value in rows),
        *("", _terms(outcome, given)),
        *("", "Repeat it with:", "", "```sh", shlex.join(_command(outcome, recipe, given)), "```"),
        "",
    ]
    path = outcome.weights.with_suffix(".md")
    with replacing_file(path) as beside:
        beside.write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace")
    return path


def figure_text(figure: float | None, task: Task) -> str:
    """Return a figure with its unit."""
    if figure is None:
        return "not measured"
    return f"{figure:.2f} dB" if task is Task.DENOISE else f"{100 * figure:.1f} %"


def _data(outcome: Outcome, table: TrainTable, given: Given) -> str:
    sources = [f"`{_data_name(folder)}`" for folder in given.data]
    if table.generated:
        sources.append(f"{table.generated} drawn images (`edgeunet/train/drawings.py`)")
    parts = []
    if outcome.images or not outcome.bursts:
        parts.append(f"{outcome.images} {'image' if outcome.images == 1 else 'images'}")
    if outcome.bursts:
        sources += [f"`{_data_name(folder)}`" for folder in given.bursts]
        parts.append(f"{outcome.bursts} {'burst' if outcome.bursts == 1 else 'bursts'}")
    if outcome.clips:
        sources += [f"`{_data_name(folder)}`" for folder in given.clips]
        parts.append(f"{outcome.clips} clips")
    held_out = f"{given.held_out} more held out"
    if given.held_out_clips:
        held_out += f", and the clips {', '.join(given.held_out_clips)}"
    return f"{', '.join(sources)}: {' and '.join(parts)}, {held_out}"


def _data_name(folder: Path) -> str:
    """Return a data set's name: its folder's, with the parent's if that is just a part."""
    whole = folder.resolve()
    return f"{whole.parent.name}/{whole.name}" if whole.name in _PARTS else whole.name


def _statistics(table: TrainTable) -> str:
    if table.statistics_until == 1:
        return ""
    return f", batch norm's statistics kept from {table.statistics_until:.0%} of the steps on"


def _bits(recipe: Recipe, table: TrainTable) -> str:
    return (
        f"fine-tuned with those of an export for {table.quantized_for} (straight-through "
        "estimator, ranges of the weights begun with); the weights are floats, for any precision"
        + (", batch norm kept as it was" if recipe.network.block == "double" else "")
    )


def _noise(outcome: Outcome, table: TrainTable) -> str:
    """Return the kinds of noise that were trained on, with their shares of the crops."""
    kinds = []
    rest = 1.0
    if outcome.bursts and table.bursts_share:
        share = table.bursts_share if outcome.images else 1.0
        kinds.append(f"in {share:.0%} of the crops that of the bursts, which are also the targets")
        rest -= share
    if not rest:
        return kinds[0]
    if table.pairs_share:
        kinds.append(f"in {table.pairs_share * rest:.0%} that of real pairs, if there were any")
        rest *= 1 - table.pairs_share
    if table.camera is not None:
        kinds.append(f"in {table.camera.share * rest:.0%} through a camera ([train.camera])")
    added = _added_noise(table)
    return "; ".join([*kinds, f"else {added}"]) if kinds else added


def _added_noise(table: TrainTable) -> str:
    clipped = "not clipped"
    if table.in_bytes:
        clipped = f"in {table.in_bytes:.0%} of the crops rounded and clipped to 8 bits"
    if table.noise == "camera":
        return (
            f"camera: shot noise of gain {table.gain[0]:g}..{table.gain[1]:g} and read noise "
            f"(Foi et al. 2008, Brooks et al. 2019), blind, {clipped}"
        )
    low, high = table.sigma
    return f"additive white Gaussian, sigma {low:g}..{high:g} (8-bit units), blind, {clipped}"


def _camera(table: CameraTable, profile: Path) -> str:
    """Return the ranges that a noise profile gave."""
    fields = msgspec.structs.asdict(table)
    ranges = ", ".join(f"{name} {_range(fields[name])}" for name in fields if name != "share")
    return f"ranges fitted to the noise profile `{profile.name}`: {ranges}"


def _range(value: Any) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}"
    if isinstance(value[0], str):
        return " or ".join(value)
    return f"{value[0]:g}..{value[1]:g}"


def _loss(recipe: Recipe, table: TrainTable) -> str:
    weighting = {
        "median": "weighted by median frequency",
        "sqrt-median": "weighted by the square root of median frequency",
        "none": "not weighted",
    }[table.class_weights]
    images = _IMAGE_LOSSES[table.image_loss]
    if table.bursts_share and table.image_loss != "psnr":
        squares = "root of each crop's mean square"
        images = squares if table.bursts_share == 1 else f"{images}, in bursts {squares}"
    terms = []
    for pathway in recipe.pathways:
        what = images if pathway.head is Task.DENOISE else f"cross-entropy, {weighting}"
        if len(recipe.pathways) > 1:
            what = f"{table.weight(pathway.output):g} x `{pathway.output}`: {what}"
        terms.append(what)
    return "; ".join(terms)


def _crops(table: TrainTable) -> str:
    sizes = [f"{table.crop}x{table.crop}, batch {table.batch}"]
    for entry in table.growth:
        # One step later, because rounding could give the previous stretch.
        batch, side = table.crops_at(min(table.steps - 1, int(entry.start * table.steps) + 1))
        sizes.append(f"from {100 * entry.start:g} % of the steps {side}x{side}, batch {batch}")
    turns = "flips and quarter turns" if table.rotations else "flips"
    share = table.labelled_share
    if table.clips is not None:
        first, last = table.clips.frames
        turns += (
            f"; clips of {first} to {last} frames, growing, with as many fewer clips in a batch; "
            f"only the recurrence learns in the first {table.clips.gate_steps} steps"
        )
    whose = "them" if table.clips is None else "the clips made of photographs"
    labelled = "" if share is None else f"; {100 * share:g} % of {whose} from images with labels"
    return f"{'; '.join(sizes)}; {turns}{labelled}"


def _machine(outcome: Outcome) -> str:
    processes = "" if outcome.processes == 1 else f"{outcome.processes} processes, "
    return (
        f"torch {torch.__version__}, {processes}{_device_name()}, "
        f"mixed precision: {outcome.mixed_precision}"
    )


def _terms(outcome: Outcome, given: Given) -> str:
    fresh = given.init is None and outcome.initial is None
    if not given.data and not given.bursts and fresh:
        return "All images were drawn by edgeunet itself: the weights have no terms but its own."
    began = "" if fresh else " and the weights they began with"
    return (
        f"The weights inherit the terms of the images they were trained on{began}; check those "
        "before you use them commercially."
    )


def _command(outcome: Outcome, recipe: Recipe, given: Given) -> list[str]:
    command = ["edgeunet", "train", given.model, "--width", str(recipe.network.width)]
    command += [word for folder in given.data for word in ("--data", str(folder))]
    command += [word for folder in given.bursts for word in ("--bursts", str(folder))]
    command += [word for folder in given.clips for word in ("--clips", str(folder))]
    init = given.init
    if init is None and outcome.initial is not None and not (given.qat or given.bursts):
        # A resumed run is not given --init again.
        init = Path(outcome.initial.file)
    if init is not None:
        command += ["--init", str(init)]
    if given.noise_profile is not None:
        command += ["--noise-profile", str(given.noise_profile)]
    if given.qat and recipe.train is not None and recipe.train.quantized_for is not None:
        command += ["--qat", "--target", str(recipe.train.quantized_for)]
    if given.calibration is not None:
        command += ["--calibration", given.calibration]
    command += ["--steps", str(outcome.steps), "--mixed-precision", outcome.mixed_precision]
    # Another folder: a run does not write over an earlier one.
    return [*command, "--out", f"runs/{outcome.weights.stem}-again"]


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
