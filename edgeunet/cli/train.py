"""``edgeunet train``: train a recipe's weights on folders of images."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from edgeunet.choosing.networks import missing_package
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.burst_training import read_bursts, write_page
from edgeunet.cli.choices import read_recipe_at
from edgeunet.cli.clip_training import read_clips_option
from edgeunet.cli.console import note, print_json, print_table, progress, warn
from edgeunet.cli.noise_training import read_init, read_noise_profile, with_noise_profile
from edgeunet.cli.options import AsJson, ImageBits, Width
from edgeunet.cli.qat import read_qat
from edgeunet.errors import EdgeUnetError, UsageError


class InterruptedTrainingError(EdgeUnetError):
    """The user ended a training run.

    step: number of steps done.
    saved: the step of its checkpoint; 0 when there is none.
    """

    exit_code = 130

    def __init__(self, step: int, saved: int) -> None:
        where = f"at step {step}" if step else "before the first step"
        if not step:
            kept = ""
        elif not saved:
            kept = "; no checkpoint saved"
        else:
            kept = "; checkpoint saved" if saved == step else f"; the checkpoint is of step {saved}"
        super().__init__(
            f"interrupted {where}{kept}",
            hint="run the command again with --resume to go on from there"
            if saved
            else "run the command again to start over",
        )


def command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A recipe's name, or a path to one.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for checkpoints and weights.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="A folder of images; with labels: images/ and labels/, or a sub-folder per "
            "class. May be given again.",
        ),
    ] = None,
    bursts: Annotated[
        list[Path] | None,
        typer.Option(
            "--bursts",
            metavar="DIR",
            help="A folder with a clip, or a sub-folder of images, per static scene. Trains "
            "without clean images, by default from the shipped weights and for 2000 steps. May be "
            "given again.",
        ),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            "--clips",
            metavar="DIR",
            help="A folder with a video, or a sub-folder of consecutive frames, per clip, for a "
            "recipe with temporal. May be given again.",
        ),
    ] = None,
    width: Width = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", help="Number of steps; default: the recipe's."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            metavar="FILE",
            help="Initial weights: tensors with the same name and shape are taken. The word "
            "shipped means the recipe's own weights, the default of --qat.",
        ),
    ] = None,
    noise_profile: Annotated[
        Path | None,
        typer.Option(
            "--noise-profile",
            metavar="FILE.toml",
            help="Train for the noise that edgeunet noise measured: it gives [train.camera].",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint in --out.")
    ] = False,
    qat: Annotated[
        bool,
        typer.Option(
            "--qat",
            help="Fine-tune trained weights with the 8 bits that export --int8 makes: a twentieth "
            "of the recipe's steps, from a tenth of its learning rate.",
        ),
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="onnxruntime|tensorrt",
            help="With --qat: onnxruntime (default) or tensorrt.",
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="SET",
            help="With --qat: the set of frames ranges are measured on.",
        ),
    ] = None,
    mixed_precision: Annotated[
        str,
        typer.Option(
            "--mixed-precision",
            metavar="no|bf16|fp16",
            help="no, bf16 or fp16 (as accelerate has it).",
        ),
    ] = "no",
    image_bits: ImageBits = None,
    as_json: AsJson = False,
) -> None:
    """Train a recipe, whatever its outputs.

    A run can be resumed, and a model card lies beside the weights.

    On several GPUs or hosts: accelerate launch -m edgeunet train ...
    """
    if mixed_precision not in ("no", "bf16", "fp16"):
        raise UsageError(
            f"{mixed_precision!r} is not a mixed precision", hint="use no, bf16 or fp16"
        )
    if steps is not None and steps < 1:
        raise UsageError(f"{steps} steps train nothing", hint="give at least 1")
    recipe = read_recipe_at(model, width)
    try:
        from edgeunet.train.card import Given, figure_text, write_card
        from edgeunet.train.checkpoint import FILE_NAME
        from edgeunet.train.fake_quantization import with_quantization
        from edgeunet.train.interruption import TrainingInterrupted
        from edgeunet.train.loop import train
        from edgeunet.train.processes import is_main_process
        from edgeunet.train.run_checks import check_run, with_steps
        from edgeunet.train.run_images import read_data
        from edgeunet.train.run_records import (
            SAVE_CLIPS_EVERY,
            SAVE_EVERY,
            Progress,
            TrainingOptions,
        )
        from edgeunet.train.views import all_figures
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="training", extra="train") from error
    given_init, init = init, read_init(init, model, recipe)
    profile = read_noise_profile(noise_profile, recipe, only_bursts=bool(bursts) and not data)
    choice = read_qat(
        recipe,
        model,
        qat=qat,
        target=target,
        calibration=calibration,
        init=init,
        mixed_precision=mixed_precision,
        going_on=resume and (out / FILE_NAME).is_file(),
    )
    if choice is None:
        recipe = with_steps(recipe, steps)
    else:
        recipe = with_quantization(recipe, choice.int8.engine, steps)
    folders = data or []
    scenes = bursts or []
    burst_choice = read_bursts(
        recipe,
        model,
        scenes,
        qat=choice is not None,
        init=init,
        steps=steps,
        beside_images=bool(folders),
        going_on=resume and (out / FILE_NAME).is_file(),
    )
    begin_with = init if choice is None else choice.init
    if burst_choice is not None:
        recipe, begin_with = burst_choice.recipe, burst_choice.init
    sequences = read_clips_option(recipe, clips, qat=qat, bursts=bool(scenes))
    table = check_run(recipe, out, resume=resume, init=begin_with)
    if not folders and not scenes and not sequences and not table.generated:
        raise UsageError(
            f"recipe {recipe.name!r} needs images to train on", hint="give --data FOLDER"
        )
    speaks = is_main_process()
    say, complain = (note, warn) if speaks else (_nothing, _nothing)
    if resume and not (out / FILE_NAME).exists():
        say(f"no checkpoint in {out}: starting from the beginning")
    recipe = with_noise_profile(recipe, profile, say, complain)
    table = recipe.train or table
    read = read_data(
        folders,
        recipe,
        table,
        bursts=scenes,
        clips=sequences,
        notice=complain,
    )
    if small := read.too_small:
        are = "is" if small == 1 else "are"
        crop = table.largest_crop
        complain(f"{_images(small)} {are} smaller than {crop}x{crop} pixels")
    labelled = read.labelled
    with_labels = "" if labelled is None else f", {labelled} of them with labels"
    trained = [_images(len(read.training))] if read.training or not read.bursts else []
    if shots := sum(len(burst.shots) for burst in read.bursts):
        trained.append(f"{shots} shots of {len(read.bursts)} scenes")
    if read.clips:
        trained.append(f"{len(read.clips)} clips")
    held_out = f"{len(read.held_out)} held out"
    if read.held_out_clips:
        names = ", ".join(clip.name for clip in read.held_out_clips)
        held_out += f", and the clips {names}"
    say(f"{' and '.join(trained)} to train on{with_labels}, {held_out}")
    figures_of_run = all_figures(recipe, read.held_out, clips=bool(read.held_out_clips))
    measured = {figure.name: figure for figure in figures_of_run}
    with progress(" steps/s") if speaks else contextlib.nullcontext() as bar:
        task = bar.add_task("training", total=None, rate="") if bar else None

        def report(state: Progress) -> None:
            if bar is None or task is None:
                return
            figures = "".join(
                f" {figure_text(figure, measured[name].task)}"
                for name, figure in state.figures.items()
            )
            bar.update(
                task,
                total=state.steps,
                completed=state.step,
                description=f"loss {state.loss:.4f}{figures}",
                rate=f"{state.step / max(state.seconds, 1e-9):.1f}",
            )

        try:
            outcome = train(
                recipe,
                read.training,
                out,
                TrainingOptions(
                    bursts=read.bursts,
                    clips=read.clips,
                    held_out_clips=read.held_out_clips,
                    save_every=SAVE_EVERY if table.clips is None else SAVE_CLIPS_EVERY,
                    validation=read.held_out,
                    resume=resume,
                    init=begin_with,
                    mixed_precision=mixed_precision,
                    fake_quantization=None if choice is None else choice.exported_bits(recipe, say),
                    report=report,
                    notice=say,
                ),
            )
        except TrainingInterrupted as error:
            raise InterruptedTrainingError(error.step, error.saved) from error
    if not speaks:
        return
    given = Given(
        *(model, folders, given_init, len(read.held_out)),
        qat=qat,
        calibration=None if choice is None else choice.set_name,
        bursts=scenes,
        noise_profile=noise_profile,
        clips=sequences,
        held_out_clips=tuple(clip.name for clip in read.held_out_clips),
    )
    card = write_card(outcome, recipe, given)
    page = None
    if scenes:
        page = write_page(
            outcome, recipe, [begin_with, shipped_weights(model, recipe)], read.held_out
        )
    if as_json:
        print_json(
            {
                "weights": str(outcome.weights),
                "card": str(card),
                "initial": outcome.initial and str(outcome.initial),
                "steps": outcome.steps,
                "seconds": round(outcome.seconds, 1),
                "skipped_steps": outcome.skipped_steps,
                "held_out_noise": "; ".join(dict.fromkeys(f.noise for f in outcome.measured)),
                "held_out": {name: outcome.figures.get(name) for name in measured},
            }
            | ({} if page is None else {"page": str(page)})
        )
        return
    if outcome.skipped_steps:
        warn(f"{outcome.skipped_steps} steps were skipped: their loss or gradient was not finite")
    rows = [
        ("weights", str(outcome.weights)),
        ("model card", str(card)),
        ("steps", f"{outcome.steps}"),
        ("time", f"{outcome.seconds:.1f} s"),
        ("skipped steps", f"{outcome.skipped_steps}"),
    ]
    if page is not None:
        rows.insert(2, ("before and after", str(page)))
    for name, figure in measured.items():
        label = f"{figure.label}, held out, {figure.noise}"
        rows.append((label, figure_text(outcome.figures.get(name), figure.task)))
    print_table(None, ("figure", "value"), rows)


def _nothing(text: str) -> None:
    """Ignore a message; of several processes only the main one writes messages."""


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
