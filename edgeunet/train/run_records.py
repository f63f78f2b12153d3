"""Records of a training run: its options, its progress and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeunet.train.burst_pairs import Burst
from edgeunet.train.clip_folders import Clip
from edgeunet.train.fake_quantization import FakeQuantization
from edgeunet.train.initial import Initial
from edgeunet.train.samples import Sample
from edgeunet.train.views import Figure

SAVE_EVERY = 500
"""Steps between two checkpoints."""

SAVE_CLIPS_EVERY = 100
"""The same of a run on clips, whose steps take longer."""


@dataclass(frozen=True)
class Progress:
    """The state of a run after one step, as it is reported.

    step: number of steps done.
    steps: number of steps of the whole run.
    loss: joint loss of the last step.
    figures: figures of the last validation; empty before the first.
    seconds: time spent, earlier sessions included.
    """

    step: int
    steps: int
    loss: float
    figures: Mapping[str, float]
    seconds: float


def _no_report(progress: Progress) -> None:
    """Ignore the progress."""


def _no_notice(text: str) -> None:
    """Ignore the notice."""


@dataclass(frozen=True)
class TrainingOptions:
    """Options of ``loop.train``.

    bursts: scenes that are trained on without clean images.
    clips, held_out_clips: to train on and to validate on, for a recipe with ``temporal``.
    validation: held-out samples that figures are measured on.
    resume: go on from the checkpoint; without one, start from the beginning.
    init: file of weights to begin with; None for random weights.
    mixed_precision: "no", "fp16" or "bf16".
    fake_quantization: needed if, and only if, the schedule is ``quantized_for`` an engine.
    save_every: number of steps between two checkpoints.
    report: called after every step.
    notice: called with text that a person should read.
    """

    bursts: Sequence[Burst] = ()
    clips: Sequence[Clip] = ()
    held_out_clips: Sequence[Clip] = ()
    validation: Sequence[Sample] = ()
    resume: bool = False
    init: Path | None = None
    mixed_precision: str = "no"
    fake_quantization: FakeQuantization | None = None
    save_every: int = SAVE_EVERY
    report: Callable[[Progress], None] = _no_report
    notice: Callable[[str], None] = _no_notice


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    weights: the file of averaged weights.
    images: number of images that were large enough to be trained on.
    steps: number of steps of the schedule.
    seconds: time spent, all sessions together.
    skipped_steps: number of steps whose loss or gradient was not finite.
    mixed_precision: "no", "fp16" or "bf16".
    figures: what ``measure`` returns. Empty without held-out samples, and in processes that do
        not write. After a fine-tune for 8 bits, the figures in 8 bits have the prefix ``int8_``.
    measured: descriptions of the figures.
    initial: the weights that the run began with; None for random weights.
    processes: number of processes that trained together.
    bursts: number of scenes that were trained on.
    clips: number of clips that were trained on.
    """

    weights: Path
    images: int
    steps: int
    seconds: float
    skipped_steps: int
    mixed_precision: str
    figures: Mapping[str, float] = field(default_factory=dict)
    measured: Sequence[Figure] = ()
    initial: Initial | None = None
    processes: int = 1
    bursts: int = 0
    clips: int = 0
