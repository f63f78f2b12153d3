"""``edgeunet train``: a recipe's weights from a folder of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeunet.cli.choices import missing_package, read_recipe_at
from edgeunet.cli.console import note, print_json, print_table, progress, warn
from edgeunet.errors import EdgeUnetError, UsageError


class InterruptedTrainingError(EdgeUnetError):
    """A person ended a training run.

    step: how far it was. saved: the step of its checkpoint; 0 when there is none.
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
    model: Annotated[str, typer.Argument(help="A recipe's name, or a path to one.")],
    data: Annotated[
        list[Path], typer.Option("--data", help="A folder of images; may be given again.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where checkpoints and weights go.")],
    width: Annotated[
        str | None, typer.Option("--width", help="tiny, small, base, or a number of channels.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Instead of the recipe's number of steps.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")
    ] = False,
    mixed_precision: Annotated[
        str, typer.Option("--mixed-precision", help="no, bf16 or fp16 (as accelerate has it).")
    ] = "no",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train a denoising recipe; resumable, with a model card beside the weights."""
    if mixed_precision not in ("no", "bf16", "fp16"):
        raise UsageError(
            f"{mixed_precision!r} is not a mixed precision", hint="use no, bf16 or fp16"
        )
    if steps is not None and steps < 1:
        raise UsageError(f"{steps} steps train nothing", hint="give at least 1")
    recipe = read_recipe_at(model, width)
    try:
        from edgeunet.train.card import write_card
        from edgeunet.train.checkpoint import FILE_NAME
        from edgeunet.train.crops import hold_out, large_enough, load_photographs
        from edgeunet.train.interruption import TrainingInterrupted
        from edgeunet.train.loop import Progress, check_run, train, with_steps
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="training", extra="train") from error
    recipe = with_steps(recipe, steps)
    table, _ = check_run(recipe, out, resume=resume)
    if resume and not (out / FILE_NAME).exists():
        note(f"no checkpoint in {out}: starting from the beginning")
    read = load_photographs(data, broken=warn)
    usable = large_enough(read, table)
    if small := len(read) - len(usable):
        are = "is" if small == 1 else "are"
        warn(f"{_images(small)} {are} smaller than {table.crop}x{table.crop} pixels")
    photographs, validation = hold_out(usable)
    note(f"{_images(len(photographs))} to train on, {len(validation)} held out")
    with progress(" steps/s") as bar:
        task = bar.add_task("training", total=None, rate="")

        def report(state: Progress) -> None:
            psnr = "" if state.psnr is None else f" {state.psnr:.2f} dB"
            bar.update(
                task,
                total=state.steps,
                completed=state.step,
                description=f"loss {state.loss:.4f}{psnr}",
                rate=f"{state.step / max(state.seconds, 1e-9):.1f}",
            )

        try:
            outcome = train(
                recipe,
                photographs,
                out,
                validation=validation,
                resume=resume,
                mixed_precision=mixed_precision,
                report=report,
            )
        except TrainingInterrupted as error:
            raise InterruptedTrainingError(error.step, error.saved) from error
    card = write_card(outcome, recipe, model, data, held_out=len(validation))
    document = {
        "weights": str(outcome.weights),
        "card": str(card),
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 1),
        "skipped_steps": outcome.skipped_steps,
        "psnr_db_sigma25": outcome.psnr,
    }
    if as_json:
        print_json(document)
        return
    if outcome.skipped_steps:
        warn(f"{outcome.skipped_steps} steps were skipped: their loss or gradient was not finite")
    psnr = "not measured" if outcome.psnr is None else f"{outcome.psnr:.2f} dB"
    rows = [
        ("weights", str(outcome.weights)),
        ("model card", str(card)),
        ("steps", f"{outcome.steps}"),
        ("time", f"{outcome.seconds:.1f} s"),
        ("skipped steps", f"{outcome.skipped_steps}"),
        ("PSNR, held out, sigma 25", psnr),
    ]
    print_table(None, ("figure", "value"), rows)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
