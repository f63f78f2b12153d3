"""Trainings of a few steps on toys, which can be stopped anywhere."""

from __future__ import annotations

from pathlib import Path

from edgeunet.recipes import Recipe
from edgeunet.train.loop import train
from edgeunet.train.run_records import Outcome, Progress, TrainingOptions
from tests.train.toys import labelled_samples, toy_samples

STOP = 6


def run(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    stop_at: int | None = None,
    stop: type[BaseException] = KeyboardInterrupt,
    save_every: int = STOP // 2,
    init: Path | None = None,
) -> Outcome:
    """Train on toys; stop_at: the step after which ``stop`` is raised."""

    def report(progress: Progress) -> None:
        if progress.step == stop_at:
            raise stop

    return train(
        recipe,
        [*labelled_samples(classes=8), *toy_samples([(20, 24)])],
        out,
        TrainingOptions(
            validation=labelled_samples([(20, 28)], classes=8),
            resume=resume,
            save_every=save_every,
            report=report,
            init=init,
        ),
    )
