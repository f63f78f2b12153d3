"""Does the graph say what the network says? On real frames and on extreme ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeunet.charts import CHARTS, charts
from edgeunet.errors import ParityError
from edgeunet.metrics import psnr_db
from edgeunet.network_facts import NetworkFacts, OutputFacts
from edgeunet.photographs import fill_frame, shipped_photographs
from edgeunet.specs import Array, Precision, Task

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class ParityFigure:
    """One output on one frame against the network itself.

    metric: ``psnr_db`` over the uint8 frame (None when equal to the last bit),
    ``label_share`` of pixels with another class (for INT8 only those whose classes the network
    itself tells apart), ``probability`` largest difference. ``kernels_...``: an INT8 graph on
    integer kernels against the same graph in floats, see ``kernel_parity.py``.
    limit: what the recipe demands. None where nothing is demanded: of charts in INT8.
    """

    frame: str
    output: str
    metric: str
    value: float | None
    limit: float | None

    @property
    def holds(self) -> bool:
        if self.value is None or self.limit is None:
            return True
        if self.metric.endswith("_db"):
            return self.value >= self.limit
        return self.value <= self.limit


class Reference(Protocol):
    """A network in the form that it was given in: torch FP32, or a foreign file.

    title: what it is, for messages, such as ``torch FP32``.
    """

    @property
    def title(self) -> str: ...

    def answers(self, image: Frame) -> Iterator[tuple[str, Array | None, Array]]:
        """Yield (output name, floats, answer) for a frame, (H, W, 3) uint8 BGR.

        floats: what the network itself gives: (1, C, H, W) or (1, C) float32, before the softmax
            for classes. None where it gives class numbers.
        answer: in bytes, as a bundle gives it. An image may also be given before rounding, as
            (1, H, W, 3) float32 of 0..255, which tells halves.
        """
        ...

    def in_doubles(self) -> Reference | None:
        """Return the same network with its sums over the frame in float64.

        None for a network that has no such sums, or is exact in them as it is.
        """
        ...


Field = tuple[slice, slice]
"""Rows and columns of a frame."""

WHOLE: Field = (slice(None), slice(None))
# In pixels. In fields of 64x40, 8 bits changed 14 % of the labels of `joint`, more than allowed.
_SMALLEST_FIELD = 128
# Three rows of three: as many fields as there are kinds of content.
_FIELDS_ASIDE = 3
# In grey levels. Float sums of pixels that are compared are less than 1e-5 of 255 apart.
_HALF_WITHIN = 2.0**-9
FIELDS = "fields"
"""What answers about a whole frame of several fields, such as classes, are called."""
DOUBLES = "sums in float64"
"""What is added to the name of a frame on which the network itself lost digits."""


@dataclass(frozen=True)
class Sheet:
    """A frame that is run once and compared field by field.

    image: (height, width, 3) uint8 BGR. fields: where in it each named content lies.
    """

    image: Frame
    fields: Mapping[str, Field]

    @property
    def name(self) -> str:
        return next(iter(self.fields)) if len(self.fields) == 1 else FIELDS


def parity_sheets(height: int, width: int) -> list[Sheet]:
    """Return the frames that parity is checked on, of (height, width) pixels.

    A large frame has a field for each kind of content. One run then compares them all at the
    frame's own size and through all windows, in a ninth of the time. In small frames fields would
    be mostly borders, so each kind of content is a frame of its own.
    """
    if min(height, width) < _FIELDS_ASIDE * _SMALLEST_FIELD:
        frames = parity_frames(height, width)
        return [Sheet(image, {name: WHOLE}) for name, image in frames.items()]
    return [packed_sheet(height, width)]


def packed_sheet(height: int, width: int) -> Sheet:
    """Return one frame of (height, width) pixels with a field for every kind of content."""
    image = np.empty((height, width, 3), np.uint8)
    fields: dict[str, Field] = {}
    # Sides that three does not divide give fields of up to four sizes; each is drawn once.
    drawn: dict[tuple[int, int], dict[str, Frame]] = {}
    for number, name in enumerate(parity_frames(1, 1)):
        row, column = divmod(number, _FIELDS_ASIDE)
        rows, columns = _part_of(height, row), _part_of(width, column)
        sides = rows.stop - rows.start, columns.stop - columns.start
        if sides not in drawn:
            drawn[sides] = parity_frames(*sides)
        image[rows, columns] = drawn[sides][name]
        fields[name] = rows, columns
    return Sheet(image, fields)


def _part_of(length: int, number: int) -> slice:
    """Return the pixels of one of the parts that a side is divided into."""
    return slice(number * length // _FIELDS_ASIDE, (number + 1) * length // _FIELDS_ASIDE)


def parity_frames(height: int, width: int) -> dict[str, Frame]:
    """Return name -> (height, width, 3) uint8 BGR.

    Photographs, black, white, pure noise, and drawn charts of fine detail.
    """
    frames: dict[str, Frame] = {
        name: np.ascontiguousarray(fill_frame(photograph, height, width)[:, :, ::-1])
        for name, photograph in list(shipped_photographs().items())[:2]
    }
    frames["black"] = np.zeros((height, width, 3), np.uint8)
    frames["white"] = np.full((height, width, 3), 255, np.uint8)
    generator = np.random.default_rng(0)
    frames["noise"] = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    for name, chart in charts(height, width).items():
        frames[name] = np.ascontiguousarray(chart[:, :, ::-1])
    return frames


def check_parity(
    network: Reference,
    run: Callable[[Frame], Mapping[str, Array]],
    facts: NetworkFacts,
    precision: Precision,
    sheets: Sequence[Sheet],
) -> list[ParityFigure]:
    """Run both on every sheet, and return a figure per field and output.

    run: what is checked, from a frame to its outputs by name, in bytes whatever the graph has.
    An output that is no picture, such as probabilities of classes, has one figure per sheet.

    A network with means over the frame loses digits in float32, more than parity allows. A graph
    that loses fewer is right all the same: where it misses a limit, it is compared with the network
    whose sums are in float64, and that figure counts.

    Raises ParityError when the network's own answer is not finite: as bytes it would look like
    an answer, and the graph might well agree with it.
    """
    figures = []
    for sheet in sheets:
        answers = list(network.answers(sheet.image))
        given = run(sheet.image)
        found = _figures(answers, given, facts, precision, sheet)
        if not all(figure.holds for figure in found):
            closer = network.in_doubles()
            if closer is not None:
                answers = list(closer.answers(sheet.image))
                others = _figures(answers, given, facts, precision, sheet)
                found = [
                    figure if figure.holds else replace(other, frame=f"{other.frame}, {DOUBLES}")
                    for figure, other in zip(found, others, strict=True)
                ]
        figures += found
    return figures


def _figures(
    answers: Sequence[tuple[str, Array | None, Array]],
    given: Mapping[str, Array],
    facts: NetworkFacts,
    precision: Precision,
    sheet: Sheet,
) -> list[ParityFigure]:
    """Return a figure per field and output of one sheet.

    answers: of the reference. given: what is checked gives.
    Raises ParityError when the network's own answer is not finite.
    """
    figures = []
    wanted: dict[str, Array] = {}
    said: dict[str, Array | None] = {}
    for output, floats, answer in answers:
        if floats is not None and not np.isfinite(floats).all():
            raise ParityError(
                f"the network's own {output!r} is not finite on the {sheet.name} frame",
                hint="its weights are no good: train again, or export others",
            )
        wanted[output], said[output] = answer, floats
    for pathway in facts.pathways:
        one = pathway.output
        whole = {sheet.name: WHOLE} if pathway.head is Task.CLASSIFY else sheet.fields
        for name, field in whole.items():
            part, reference, float_part = (
                None if array is None else _within(array, field, pathway, channels_first=planes)
                for array, planes in ((given[one], False), (wanted[one], False), (said[one], True))
            )
            if part is None or reference is None:
                raise RuntimeError(f"the output {one!r} has no answer")
            figure = _figure(name, pathway, part, reference, float_part, facts, precision)
            figures.append(figure if demanded(name, precision) else replace(figure, limit=None))
    return figures


def _within(answer: Array, field: Field, pathway: OutputFacts, *, channels_first: bool) -> Array:
    """Return the part of an answer that belongs to a field; the whole of one without pixels.

    answer: (1, H, W, 3) or (1, H, W); (1, C, H, W) with channels_first.
    """
    if pathway.head is Task.CLASSIFY:
        return answer
    rows, columns = (_times(part, pathway.scale) for part in field)
    return answer[:, :, rows, columns] if channels_first else answer[:, rows, columns]


def _times(part: slice, scale: int) -> slice:
    """Return the pixels of a larger image that a part of the frame became."""
    return part if part == slice(None) else slice(part.start * scale, part.stop * scale)


def demanded(frame: str, precision: Precision) -> bool:
    """Whether parity on a frame is demanded; else it is measured and said.

    INT8 ranges are measured on photographs. Strokes of one pixel are beyond them, and ranges
    that reach so far have coarser steps everywhere.
    """
    return precision is not Precision.INT8 or frame not in (*CHARTS, FIELDS)


def shortfalls(figures: list[ParityFigure], facts: NetworkFacts) -> list[str]:
    """Return a sentence for every denoised chart that INT8 harms beyond the recipe's limit."""
    least = facts.tolerance.int8_db
    return [
        f"8 bits harm the {f.frame} chart: {f.output} has {f.value:.4g} dB to the network itself, "
        f"the frames that must keep the limit have {least:.4g} or more"
        for f in figures
        if f.limit is None and f.metric == "psnr_db" and f.value is not None and f.value < least
    ]


def require_parity(figures: list[ParityFigure], title: str = "torch FP32") -> None:
    """Raise ParityError with the first figure that misses its limit, and how many do.

    title: of the reference.
    """
    missed = [figure for figure in figures if not figure.holds]
    if not missed:
        return
    first = missed[0]
    raise ParityError(
        f"the exported graph differs from {title}: {first.output} on the {first.frame} frame "
        f"has {first.metric} {first.value:.4g}, the limit is {first.limit:.4g} "
        f"({len(missed)} of {len(figures)} checks missed)",
        hint="export with --fp32, or keep more in floats "
        "(fp32_ops in the recipe for FP16, --max-drop for INT8)",
    )


def _figure(
    frame: str,
    pathway: OutputFacts,
    given: Array,
    reference: Array,
    said: Array | None,
    facts: NetworkFacts,
    precision: Precision,
) -> ParityFigure:
    tolerance, int8 = facts.tolerance, precision is Precision.INT8
    if pathway.head is Task.DENOISE:
        limit = tolerance.least_db(precision)
        psnr = psnr_db(given, _in_bytes(reference, given), peak=255)
        value = None if math.isinf(psnr) else psnr
        return ParityFigure(frame, pathway.output, "psnr_db", value, limit)
    if pathway.head is Task.SEGMENT:
        other = given != reference
        if int8 and said is not None and other.any():
            # Where the network is undecided, as on a black frame, 8 bits may decide otherwise.
            other[other] = _preference(said, given, reference) > tolerance.int8_probability
        share = float(np.mean(other))
        limit = tolerance.int8_label_share if int8 else tolerance.label_share
        return ParityFigure(frame, pathway.output, "label_share", share, limit)
    worst = float(np.abs(given.astype(np.float64) - reference).max())
    # NaN compares false with everything: it must not pass as small.
    worst = math.inf if math.isnan(worst) else worst
    limit = tolerance.int8_probability if int8 else tolerance.probability
    return ParityFigure(frame, pathway.output, "probability", worst, limit)


def _in_bytes(pixels: Array, given: Array) -> Array:
    """Return the reference's image in bytes; halves are rounded as in the image that was given.

    pixels: (1, H, W, 3), uint8, or float32 before rounding. given: (1, H, W, 3) uint8.
    A network that answers 127.5 to a black frame is right with 127 and with 128: float sums in
    another order end on either side. In figures such a difference of a byte would look like a
    fault, of 48 dB where the whole frame is black.
    """
    if pixels.dtype == np.uint8:
        return pixels
    near = np.abs(given.astype(np.float32) - pixels) <= 0.5 + _HALF_WITHIN
    found: Array = np.where(near, given, np.rint(pixels)).astype(np.uint8)
    return found


def _preference(said: Array, given: Array, reference: Array) -> Array:
    """Return by how much the network holds its own class likelier, where another one is given.

    said: (1, classes, H, W), before the softmax. given, reference: (1, H, W) class indices.
    Returns (differing pixels,) float, 0..1.
    """
    other = given != reference
    scores = np.moveaxis(said, 1, 0)[:, other].astype(np.float64)
    likely = np.exp(scores - scores.max(axis=0))
    likely /= likely.sum(axis=0)
    pixels = np.arange(likely.shape[1])
    own, others = (labels[other].astype(np.intp) for labels in (reference, given))
    preference: Array = likely[own, pixels] - likely[others, pixels]
    return preference
