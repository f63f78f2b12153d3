"""The table [train] of a recipe: how weights are trained, and checks of its values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from edgeunet.specs import Engine

SMALLEST_CROP = 16
MOST_GENERATED = 100_000

# Largest seed that torch accepts.
_LARGEST_SEED = 2**63 - 1

NoiseKind = Literal["gaussian", "camera"]
ImageLoss = Literal["l1", "charbonnier", "psnr"]
ClassWeights = Literal["median", "sqrt-median", "none"]
DemosaicKind = Literal["bilinear", "malvar", "menon"]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table whose keys are all known."""


class GrowthTable(_Table, frozen=True):
    """Another crop size from some point of the training on.

    start: share of the steps, 0..1.
    crop: side in pixels.
    batch: crops per step; None keeps about the same pixels per step, with at least one crop.
    """

    start: float
    crop: int
    batch: int | None = None


class CameraTable(_Table, frozen=True):
    """A camera's noise: the ranges that the parameters of each crop are drawn from.

    share: share of the crops that go through the camera.
    reduction: factor by which photographs are reduced first, so that their own coding is not
        visible.
    gain: of shot noise, variance per signal.
    lens: sigma of the blur, in pixels of the sensor.
    exposure: in stops below full scale.
    row: deviation of row offsets, in deviations of the read noise.
    bits: of the converter.
    red_gain, blue_gain: white balance.
    tone: strength of the S-curve, 0..1.
    resize: scale, in ``resize_share`` of the shots.
    luma_smoothing, chroma_smoothing: Gaussian sigma in pixels, for ``wide_share`` of the amplitude.
    smooths_scene: share of shots whose smoothing blurs the scene as well.
    sharpening: amount of the unsharp mask.
    halves_colours: share of shots with colours at half resolution, also in clean images.
    jpeg: quality, in ``jpeg_share`` of the shots.
    h264: constant rate factor, in ``h264_share`` of the shots.
    """

    share: float = 0.6
    reduction: tuple[float, float] = (0.5, 1.0)
    gain: tuple[float, float] = (1e-4, 2e-2)
    lens: tuple[float, float] = (0.0, 2.2)
    exposure: tuple[float, float] = (-2.0, 0.0)
    row: tuple[float, float] = (0.0, 0.3)
    bits: tuple[int, int] = (10, 14)
    red_gain: tuple[float, float] = (1.2, 2.6)
    blue_gain: tuple[float, float] = (1.2, 2.6)
    tone: tuple[float, float] = (0.0, 1.0)
    demosaic: tuple[DemosaicKind, ...] = ("bilinear", "malvar", "menon")
    resize: tuple[float, float] = (0.6, 1.2)
    resize_share: float = 0.25
    luma_smoothing: tuple[float, float] = (0.0, 2.0)
    chroma_smoothing: tuple[float, float] = (0.0, 7.0)
    wide_share: tuple[float, float] = (0.3, 1.0)
    smooths_scene: float = 0.2
    sharpening: tuple[float, float] = (0.0, 1.0)
    halves_colours: float = 0.5
    jpeg: tuple[int, int] = (80, 99)
    jpeg_share: float = 0.85
    h264: tuple[int, int] = (16, 32)
    h264_share: float = 0.1


class ClipsTable(_Table, frozen=True):
    """The clips that a network with ``temporal`` is trained on.

    frames: number of frames of a clip, at the first step and at the last.
    gate_steps: steps at first in which only what uses the memory learns.
    gate_learning_rate: in these steps, before the factor.
    rate_factor: of the learning rate of what uses the memory, in all steps.
    fused_weight: of the loss of the fused frames in the sum; without it, trust is learned slowly.
    flicker_weight: of the loss of the change from frame to frame in the sum.
    still, pans, passing: shares of clips made of photographs: still, slowly panned, and still with
        something that passes in front. The others are cut from real clips.
    cuts: share of clips with a cut to another scene.
    backwards, strides: shares of real clips that run backwards, and that leave out every other
        frame.
    """

    frames: tuple[int, int] = (3, 10)
    gate_steps: int = 300
    gate_learning_rate: float = 1e-3
    rate_factor: float = 2.0
    fused_weight: float = 1.0
    flicker_weight: float = 0.0
    still: float = 0.1
    pans: float = 0.1
    passing: float = 0.1
    cuts: float = 0.08
    backwards: float = 0.5
    strides: float = 0.25

    def frames_at(self, step: int, steps: int) -> int:
        """Return the number of frames of a clip at one of ``steps`` steps."""
        first, last = self.frames
        return min(last, first + (last - first + 1) * step // steps)


_MOST_FRAMES = 100
_CLIP_WEIGHTS = ("fused_weight", "flicker_weight")
_CLIP_SHARES = ("still", "pans", "passing", "cuts", "backwards", "strides")

# The smallest and the largest value in a range of CameraTable. Beyond them no such camera exists,
# or a small crop would need an image of thousands of pixels.
_CAMERA_RANGES: dict[str, tuple[float, float]] = {
    "reduction": (1 / 64, 1),
    "gain": (1e-9, 1),
    "lens": (0, 64),
    "exposure": (-16, 0),
    "row": (0, 100),
    "bits": (1, 16),
    "red_gain": (1 / 64, 64),
    "blue_gain": (1 / 64, 64),
    "tone": (0, 1),
    "resize": (1 / 4, 4),
    "luma_smoothing": (0, 64),
    "chroma_smoothing": (0, 64),
    "wide_share": (0, 1),
    "sharpening": (0, 100),
    # Limits of libjpeg and x264.
    "jpeg": (1, 100),
    "h264": (0, 51),
}

_CAMERA_SHARES = (
    "share",
    "resize_share",
    "smooths_scene",
    "halves_colours",
    "jpeg_share",
    "h264_share",
)

# Rounding error of the sum of two shares.
_ROUNDING = 1e-9


class TrainTable(_Table, frozen=True):
    """The training of the weights; ``export/README.md`` describes every key.

    crop: side of the square training crops, in pixels.
    sigma: range of Gaussian noise, in 8-bit units.
    gain: range of the camera's shot noise (``noise_models.add_camera``).
    weights: of the outputs' losses; 1 where not named.
    labelled_share: share of crops from images with labels; with ``clips``, of the clips made of
        photographs.
    clean_share: share of the crops with Gaussian noise that get none.
    in_bytes: share of crops whose noisy image is rounded and clipped to 8 bits.
    statistics_until: share of the steps after which batch norm keeps its statistics, so that the
        network is trained as it is deployed.
    quantized_for: the engine whose 8 bits the network is fine-tuned with.
    frozen: names of network parts that keep their initial weights.
    bursts_share: share of crops that are two shots of one burst, without a clean image.
    clips: for a network with ``temporal``.
    """

    steps: int
    batch: int = 8
    crop: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    sigma: tuple[float, float] = (0.0, 60.0)
    ema_decay: float = 0.999
    seed: int = 0
    growth: tuple[GrowthTable, ...] = ()
    noise: NoiseKind = "gaussian"
    gain: tuple[float, float] = (1e-4, 1.2e-2)
    rotations: bool = True
    image_loss: ImageLoss = "l1"
    class_weights: ClassWeights = "median"
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    labelled_share: float | None = None
    generated: int = 0
    in_bytes: float = 0.0
    statistics_until: float = 1.0
    quantized_for: Engine | None = None
    frozen: tuple[str, ...] = ()
    clean_share: float = 0.0
    camera: CameraTable | None = None
    pairs_share: float | None = None
    bursts_share: float | None = None
    clips: ClipsTable | None = None

    def keeps_statistics(self, step: int) -> bool:
        """Return whether batch norm keeps its statistics at a step."""
        return step >= self.statistics_until * self.steps

    @property
    def largest_crop(self) -> int:
        return max(self.crop, *(entry.crop for entry in self.growth), SMALLEST_CROP)

    def crops_at(self, step: int) -> tuple[int, int]:
        """Return (number of crops, their side in pixels) of one step."""
        batch, side = self.batch, self.crop
        for entry in self.growth:
            if step >= entry.start * self.steps:
                side = entry.crop
                batch = entry.batch or max(1, round(self.batch * (self.crop / side) ** 2))
        return batch, side

    def weight(self, output: str) -> float:
        """Return the weight of an output's loss in the joint loss."""
        return self.weights.get(output, 1.0)


def schedule_problems(
    table: TrainTable, outputs: Sequence[str], smallest_crop: int
) -> Iterator[str]:
    """Yield errors in a schedule. A NaN fails every comparison, so it is an error.

    outputs: the names of the recipe's outputs.
    smallest_crop: the smallest crop that reaches its bottleneck, in pixels.
    """
    low, high = table.sigma
    gain_low, gain_high = table.gain
    crop = max(smallest_crop, SMALLEST_CROP)
    starts = [entry.start for entry in table.growth]
    share = table.labelled_share
    demands = (
        (table.steps >= 1, "steps must be at least 1"),
        (table.batch >= 1, "batch must be at least 1"),
        (table.crop >= crop, f"crop must be at least {crop}"),
        (0 < table.learning_rate < math.inf, "learning_rate must be a number above 0"),
        (
            0 <= table.final_learning_rate <= table.learning_rate,
            "final_learning_rate must be from 0 to learning_rate",
        ),
        (0 <= table.weight_decay < math.inf, "weight_decay must be a number from 0"),
        (table.warmup_steps >= 0, "warmup_steps must be at least 0"),
        (0 <= low <= high <= 255, "sigma must be two numbers, rising, from 0 to 255"),
        (0 <= table.ema_decay < 1, "ema_decay must be from 0 to below 1"),
        (0 <= table.seed <= _LARGEST_SEED, f"seed must be from 0 to {_LARGEST_SEED}"),
        (0 < gain_low <= gain_high <= 1, "gain must be two numbers, rising, above 0, at most 1"),
        (share is None or 0 < share <= 1, "labelled_share must be above 0, at most 1"),
        (
            0 <= table.generated <= MOST_GENERATED,
            f"generated must be from 0 to {MOST_GENERATED}",
        ),
        (0 <= table.in_bytes <= 1, "in_bytes must be from 0 to 1"),
        (
            table.bursts_share is None or 0 < table.bursts_share <= 1,
            "bursts_share must be above 0, at most 1",
        ),
        (
            table.pairs_share is None or 0 < table.pairs_share <= 1,
            "pairs_share must be above 0, at most 1",
        ),
        (0 <= table.clean_share <= 1, "clean_share must be from 0 to 1"),
        (0 < table.statistics_until <= 1, "statistics_until must be above 0, at most 1"),
        (
            all(0 < start < 1 for start in starts) and starts == sorted(set(starts)),
            "growth must have a start above 0 and below 1 each, rising",
        ),
        (
            all(entry.crop >= crop for entry in table.growth),
            f"growth must have a crop of at least {crop} each",
        ),
        (
            all(entry.batch is None or entry.batch >= 1 for entry in table.growth),
            "growth must have a batch of at least 1 each",
        ),
        (
            all(0 <= weight < math.inf for weight in table.weights.values()),
            "weights must be numbers from 0",
        ),
        (any(table.weight(output) > 0 for output in outputs), "weights must not all be 0"),
    )
    yield from (f"[train] {what}" for holds, what in demands if not holds)
    for name in table.weights:
        if name not in outputs:
            yield f"[train.weights] names {name!r}, the outputs are: {', '.join(outputs)}"
    if table.camera is not None:
        yield from (f"[train.camera] {what}" for what in _camera_problems(table.camera))
    if table.clips is not None:
        yield from (f"[train.clips] {what}" for what in _clips_problems(table.clips))


def _clips_problems(table: ClipsTable) -> Iterator[str]:
    """Yield errors in the numbers and shares of clips. A NaN fails every comparison."""
    first, last = table.frames
    if not 2 <= first <= last <= _MOST_FRAMES:
        yield f"frames must be two numbers, rising, from 2 to {_MOST_FRAMES}"
    if table.gate_steps < 0:
        yield "gate_steps must be at least 0"
    if not 0 < table.gate_learning_rate < math.inf:
        yield "gate_learning_rate must be a number above 0"
    if not 0 < table.rate_factor < math.inf:
        yield "rate_factor must be a number above 0"
    for name in _CLIP_WEIGHTS:
        if not 0 <= getattr(table, name) < math.inf:
            yield f"{name} must be a number from 0"
    for name in _CLIP_SHARES:
        if not 0 <= getattr(table, name) <= 1:
            yield f"{name} must be from 0 to 1"
    if table.still + table.pans + table.passing > 1 + _ROUNDING:
        yield "still, pans and passing must not be more than 1 together"


def _camera_problems(table: CameraTable) -> Iterator[str]:
    """Yield errors in a camera's ranges and shares. A NaN fails every comparison."""
    for name, (least, most) in _CAMERA_RANGES.items():
        low, high = getattr(table, name)
        if not least <= low <= high <= most:
            yield f"{name} must be two numbers, rising, from {least:g} to {most:g}"
    for name in _CAMERA_SHARES:
        if not 0 <= getattr(table, name) <= 1:
            yield f"{name} must be from 0 to 1"
    if table.jpeg_share + table.h264_share > 1 + _ROUNDING:
        yield "jpeg_share and h264_share must not be more than 1 together"
    if not table.demosaic:
        yield "demosaic must name at least one kind"
