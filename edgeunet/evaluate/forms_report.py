"""Compares several forms of one network on the same images: quality, cost, and worst images.

The first form is the reference, for example FP32 before FP16 and INT8. All figures but the times
are
the same in every run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import UsageError
from edgeunet.evaluate.backends import Answer, Backend, BundleBackend, Head, head_of
from edgeunet.evaluate.evaluation import (
    Levels,
    Result,
    Row,
    comparable,
    noisy_image,
)
from edgeunet.evaluate.protocol import NoiseKind, given_in_words, level_in_words
from edgeunet.evaluate.truth import DataSet, Sample
from edgeunet.network_facts import NetworkFacts
from edgeunet.pixels import as_bytes
from edgeunet.run.promises import promise_of
from edgeunet.specs import Task
from edgeunet.stream.meter import IDENTICAL_DB
from edgeunet.units import format_size

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Side of the windows in pixels: small enough to see single pixels and to keep the page small.
WINDOW = 160
_PSNR, _PIXELS = "PSNR", "pixel accuracy"
# Differences in pictures are multiplied by this.
GAIN = 8


@dataclass(frozen=True)
class Costs:
    """Size and memory of a network, in bytes; None where it is unknown.

    disk: all files of the bundle.
    weights, skip, held, peak_live, arena: computed from the graphs, see ARCHITECTURE.md.
    predicted: expected memory of a run: on this processor, or on the GPU that the plan is for.
    """

    disk: int | None = None
    weights: int | None = None
    skip: int | None = None
    held: int | None = None
    peak_live: int | None = None
    arena: int | None = None
    predicted: int | None = None


@dataclass(frozen=True)
class Candidate:
    """One form of the network and its results on every data set.

    name, engine, precision, weights: what it is.
    frame: (height, width) it takes; None for any size.
    costs: size and memory.
    results: one per data set.
    frame_ms: median time of a frame in the evaluation, in milliseconds.
    macs_share: share of the multiply-accumulates that are in 8 bits, 0..1; None without any.
    quantized_for: the engine that an INT8 graph was made for.
    """

    name: str
    engine: str
    precision: str
    weights: str
    frame: tuple[int, int] | None
    costs: Costs
    results: tuple[Result, ...]
    frame_ms: float
    macs_share: float | None = None
    quantized_for: str | None = None


@dataclass(frozen=True)
class Spot:
    """An image at one noise level, and what a candidate loses there.

    sigma: in 8-bit units; None for a camera's own noise.
    figure: the candidate's figure.
    loss: the reference's figure minus the candidate's; 0 for the reference itself.
    measure: PSNR (figures in dB) or pixel accuracy (shares, 0..1).
    """

    image: str
    noise: str
    sigma: float | None
    figure: float
    loss: float
    measure: str

    @property
    def in_db(self) -> bool:
        """Whether the figure is a PSNR."""
        return self.measure == _PSNR


@dataclass(frozen=True)
class Panel:
    """A picture of a scene.

    pixels: (h, w, 3) uint8 RGB.
    starts_row: it begins a new row of pictures.
    """

    title: str
    pixels: Pixels
    starts_row: bool = False


@dataclass(frozen=True)
class Scene:
    """The window of a spot where a candidate differs most, as pictures.

    top, left: the window's corner in the image, in pixels.
    """

    spot: Spot
    top: int
    left: int
    panels: tuple[Panel, ...]


@dataclass
class Timed:
    """A backend that records the duration of each run, in seconds.

    name: its name in the report.
    """

    backend: Backend
    name: str
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = self.backend.engine
        self.precision, self.weights = self.backend.precision, self.backend.weights
        self.network, self.heads = self.backend.network, self.backend.heads
        self.kinds, self.frame = self.backend.kinds, self.backend.frame
        self.scale = self.backend.scale

    def run(self, image: NDArray[np.uint8] | NDArray[np.float32]) -> Answer:
        start = time.perf_counter()
        answer = self.backend.run(image)
        self.seconds.append(time.perf_counter() - start)
        return answer

    def close(self) -> None:
        self.backend.close()


def check_alike(first: Backend, other: Backend) -> None:
    """Raise UsageError when two networks cannot be compared: other sizes or other outputs."""
    if other.frame != first.frame:
        sizes = [
            "frames of any size" if b.frame is None else format_size(*b.frame)
            for b in (first, other)
        ]
        raise UsageError(
            f"{other.name} takes {sizes[1]}, {first.name} {sizes[0]}: their images would differ",
            hint="export them with one --size, or give it to a MODEL with --size HxW",
        )
    if other.scale != first.scale:
        raise UsageError(
            f"{other.name} makes images of {other.scale} times the frame's size, {first.name} of "
            f"{first.scale} times",
            hint="compare forms of one network",
        )
    outputs = [
        sorted((head.output, str(head.task), head.classes) for head in backend.heads)
        for backend in (first, other)
    ]
    if outputs[0] != outputs[1]:
        names = [", ".join(head.output for head in b.heads) for b in (first, other)]
        raise UsageError(
            f"{other.name} answers with {names[1]}, {first.name} with {names[0]}",
            hint="compare forms of one network",
        )


def _predicted(manifest: Manifest) -> int | None:
    if manifest.cpu is None:
        return manifest.plan.predicted_bytes if manifest.plan else None
    return promise_of(manifest).predicted_bytes


def candidate_of(backend: Timed, results: Sequence[Result]) -> Candidate:
    """Return the candidate of a backend that was evaluated on every data set."""
    source = backend.backend
    costs, share, target = Costs(), None, None
    if isinstance(source, BundleBackend):
        manifest, memory = source.bundle.manifest, source.bundle.manifest.memory
        quantization = manifest.quantization
        costs = Costs(
            disk=sum(source.bundle.file(name).stat().st_size for name in manifest.files),
            weights=memory.weight_bytes,
            skip=memory.skip_bytes,
            held=memory.held_bytes if manifest.plan else None,
            peak_live=memory.peak_live_bytes,
            arena=memory.arena_bytes,
            predicted=_predicted(manifest),
        )
        if quantization is not None:
            share, target = quantization.macs_share, quantization.target
    return Candidate(
        name=backend.name,
        engine=backend.engine,
        precision=backend.precision,
        weights=backend.weights,
        frame=backend.frame,
        costs=costs,
        results=tuple(results),
        frame_ms=1e3 * median(backend.seconds),
        macs_share=share,
        quantized_for=target,
    )


def worst_spots(first: Result, result: Result, count: int) -> list[Spot]:
    """Return the spots where a candidate loses most, the worst first.

    For the reference itself they are the spots with the lowest figures.
    count: the most spots; each image is in at most one. Empty when there are no figures.
    """
    known = {(row.image, row.noise, row.sigma): row for row in first.rows}
    spots = []
    for row in result.rows:
        own = _figure(row)
        before = _figure(known[row.image, row.noise, row.sigma])
        if own is None or before is None:
            continue
        measure = _PIXELS if row.psnr_db is None else _PSNR
        spots.append(Spot(row.image, row.noise, row.sigma, own, before - own, measure))
    is_reference = result is first
    spots.sort(
        key=lambda spot: (
            spot.figure if is_reference else -spot.loss,
            spot.image,
            spot.sigma or 0.0,
        )
    )
    chosen: dict[str, Spot] = {}
    for spot in spots:
        chosen.setdefault(spot.image, spot)
    return list(chosen.values())[:count]


def _figure(row: Row) -> float | None:
    return row.pixel_accuracy if row.psnr_db is None else min(row.psnr_db, IDENTICAL_DB)


def scenes_of(
    spots: Sequence[Spot], data: DataSet, levels: Levels, first: Backend, other: Backend
) -> list[Scene]:
    """Run both networks on the images of the spots again, and return a scene for each.

    data: the data set, opened again.
    """
    wanted = {spot.image: spot for spot in spots}
    found = {}
    for sample in data:
        spot = wanted.get(sample.name)
        if spot is not None:
            found[spot.image] = _scene(spot, sample, levels, first, other)
        if len(found) == len(wanted):
            break
    return [found[spot.image] for spot in spots if spot.image in found]


def _scene(spot: Spot, sample: Sample, levels: Levels, first: Backend, other: Backend) -> Scene:
    noisy = noisy_image(sample, NoiseKind(spot.noise), spot.sigma, seed=levels.seed)
    answers = [first.run(noisy)] if first is other else [first.run(noisy), other.run(noisy)]
    titles = [first.name] if first is other else [first.name, other.name]
    level = level_in_words(spot.noise, spot.sigma)
    before = as_bytes(comparable(noisy, first.scale))
    pictures = [("clean", sample.clean), (f"{given_in_words(first.scale)}, {level}", before)]
    denoised = [as_bytes(a.denoised) for a in answers if a.denoised is not None]
    pictures += list(zip(titles, denoised, strict=False))
    reference = denoised[0] if len(denoised) > 1 else sample.clean
    difference = np.zeros(sample.clean.shape, np.uint8)
    if denoised:
        apart = denoised[-1].astype(np.int16) - reference
        difference = np.clip(128 + GAIN * apart, 0, 255).astype(np.uint8)
        than = titles[0] if len(denoised) > 1 else "clean"
        pictures.append((f"{titles[-1]} minus {than}, {GAIN}-fold", difference))
    amount = np.abs(difference.astype(np.int16) - 128).sum(axis=0)
    images = len(pictures)
    head = head_of(first, Task.SEGMENT)
    if head is not None and all(a.labels is not None for a in answers):
        labels = [a.labels for a in answers if a.labels is not None]
        if sample.labels is not None:
            pictures.append(("true labels", _coloured(sample.labels, head, first.network)))
        for title, drawn in zip(titles, labels, strict=True):
            pictures.append((f"labels, {title}", _coloured(drawn, head, first.network)))
        if not denoised:
            truth = labels[0] if len(labels) > 1 else sample.labels
            amount = (labels[-1] != truth).astype(np.int16)
    top, left = _busiest(amount)

    def cut(planes: Pixels) -> Pixels:
        window = planes[:, top : top + WINDOW, left : left + WINDOW]
        return np.ascontiguousarray(window.transpose(1, 2, 0))

    panels = tuple(
        Panel(title, cut(planes), starts_row=number == images)
        for number, (title, planes) in enumerate(pictures)
    )
    return Scene(spot, top, left, panels)


def _busiest(amount: NDArray[np.int16]) -> tuple[int, int]:
    """Return (top, left) of the window with the largest sum."""
    table = np.zeros((amount.shape[0] + 1, amount.shape[1] + 1), np.int64)
    table[1:, 1:] = amount.astype(np.int64).cumsum(axis=0).cumsum(axis=1)
    height, width = (min(side, WINDOW) for side in amount.shape)
    sums = table[height:, width:] - table[:-height, width:]
    sums = sums - table[height:, :-width] + table[:-height, :-width]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top), int(left)


def _coloured(labels: Pixels, head: Head, network: NetworkFacts) -> Pixels:
    """Return a label map as (3, H, W) uint8 RGB; void pixels are black."""
    palette = np.zeros((256, 3), np.uint8)
    for number, (_, colour) in enumerate(_colours(head, network)):
        palette[number] = colour
    return np.ascontiguousarray(palette[labels].transpose(2, 0, 1))


def colours_of(backend: Backend) -> tuple[tuple[str, Colour], ...]:
    """Return the classes of a network's label maps with their colours, 8-bit RGB."""
    head = head_of(backend, Task.SEGMENT)
    return () if head is None else _colours(head, backend.network)


def _colours(head: Head, network: NetworkFacts) -> tuple[tuple[str, Colour], ...]:
    found = next((p.labels for p in network.pathways if p.output == head.output), ())
    return tuple((label.name, label.colour) for label in found)
