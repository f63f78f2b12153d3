"""Make the quantizer of a network from its float graph and a calibration set."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgeunet.bundle.manifest import QuantizationEntry
from edgeunet.calibration import FEWEST_MEMBERS
from edgeunet.calibration.calibrators import interval_of
from edgeunet.calibration.histograms import Frames, channel_reaches, histograms_of
from edgeunet.calibration.ranges import (
    SCHEMA_VERSION,
    Ranges,
    RangesKey,
    TensorRanges,
    find_ranges,
    held_back,
    members_digest,
    ranges_path,
    write_ranges,
)
from edgeunet.contracts import ForeignNetwork
from edgeunet.convert.int8_order import Int8Order
from edgeunet.convert.network_graph import Graphs, check_frame_size
from edgeunet.convert.quantizable import graph_to_quantize
from edgeunet.convert.recalled_inputs import Recall, given_pairs, recalling
from edgeunet.convert.sensitivity import Selection, select_floats
from edgeunet.errors import RecipeError
from edgeunet.graph.equalize import factors_of, prepare, sum_small_terms_first
from edgeunet.graph.int8_placement import (
    Placement,
    Points,
    placement_of,
    points_of,
    quantization_key,
    show_points,
    weight_name,
)
from edgeunet.graph.quantized import Interval, quantize
from edgeunet.graph.summary import write_model
from edgeunet.metrics import psnr_of_error_db
from edgeunet.network_facts import NetworkFacts
from edgeunet.ort.frame_runner import Given, runner_of
from edgeunet.specs import FRAME, Array, Calibrator, Engine
from edgeunet.units import format_size

# PSNR of equal results, so that a mean is finite.
_EQUAL_DB = 100.0
_LARGEST_FACTOR = 2.0
_MODULES = re.compile(r"^(frames\.)?(network\.)?")
_MEMORY = re.compile(r"(stem|recurrence|pathways\.\d+\.(head|merges\.\d+\.reentry))\.")


@dataclass(frozen=True)
class Quantizer:
    """Quantizes the graphs of one network at every frame size in the same way.

    factors, fidelity_db: see Ranges.
    placement: at the frame size of the set.
    kept: numbers, in execution order, of the convolutions that stay in floats.
    selection: those of them that were found by measuring.
    """

    factors: tuple[float, ...]
    intervals: tuple[Interval, ...]
    engine: Engine
    calibrator: Calibrator
    fidelity_db: dict[Calibrator, float]
    placement: Placement
    kept: tuple[int, ...] = ()
    selection: Selection | None = None

    def __call__(self, model: ir.Model) -> None:
        prepare(model, self.factors)
        quantize(model, self.intervals, self.engine, kept=self.kept)


def make_quantizer(
    order: Int8Order,
    graphs: Graphs,
    report: Callable[[str], None] = lambda text: None,
) -> Quantizer:
    """Return the quantizer of a network, with stored ranges or ranges measured now.

    Raises RecipeError for a set that cannot be measured on, or for ranges of another network, and
    UsageError for a set whose frames the network does not take.
    """
    calibration, facts = order.calibration, graphs.facts
    check_frame_size(facts, calibration.height, calibration.width)
    with recalling(graphs) as recall:
        model = graph_to_quantize(graphs, calibration, recall)
        return _quantizer(order, model, facts, recall, report)


def _quantizer(
    order: Int8Order,
    model: ir.Model,
    facts: NetworkFacts,
    recall: Recall | None,
    report: Callable[[str], None],
) -> Quantizer:
    ranges = ranges_of(model, facts, order, report, recall)
    prepare(model, ranges.factors)
    chosen = order.calibrator or ranges.best(order.engine)
    intervals = ranges.intervals(order.engine, chosen)
    selection = None
    if order.max_drop_db is not None or order.on_selection is not None:
        selection = select_floats(
            model,
            facts,
            order.calibration,
            intervals,
            order.engine,
            order.max_drop_db,
            report,
            rank=order.on_selection is not None,
            recall=recall,
        )
    if selection is not None and order.on_selection is not None:
        order.on_selection(selection)
    kept = _kept(model, facts, order.engine, selection)
    placement = placement_of(model, order.engine, kept)
    for text in _reasons(placement, selection, facts, order.engine):
        report(text)
    return Quantizer(
        ranges.factors,
        intervals,
        order.engine,
        chosen,
        ranges.fidelity_db[order.engine],
        placement,
        kept,
        selection,
    )


def _kept(
    model: ir.Model, facts: NetworkFacts, engine: Engine, selection: Selection | None
) -> tuple[int, ...]:
    """Return the convolutions that stay in floats: those of the recipe and the selected ones.

    Raises RecipeError when the recipe names a part without convolutions.
    """
    names = [weight_name(node) for node in points_of(model, engine).convolutions]
    found = set() if selection is None else {layer.number for layer in selection.kept}
    if _keeps_images(facts):
        found.update(n for n, name in enumerate(names) if _handles_memory(name))
    for part in facts.export.int8_floats:
        numbers = [n for n, name in enumerate(names) if _is_in(name, part)]
        if not numbers:
            raise RecipeError(
                f"[export] int8_floats names {part!r}, which has no convolution",
                hint="name parts of the network, such as 'pathways.0.head'",
            )
        found.update(numbers)
    return tuple(sorted(found))


def _is_in(weight: str, part: str) -> bool:
    """Return whether a weight, like ``network.encoder.0.0.expand.weight_1``, is in a part."""
    return _place(weight).startswith(f"{part}.")


def _keeps_images(facts: NetworkFacts) -> bool:
    """Return whether a network remembers what it made; others keep the frames themselves."""
    return facts.remembers and not isinstance(facts, ForeignNetwork)


def _handles_memory(weight: str) -> bool:
    """Return whether a weight reads the memory beside the frame, or makes what is remembered.

    Its results are images, whose own steps are finer than 8 bits of their noise, or the gate, which
    compares images.
    """
    return _MEMORY.match(_place(weight)) is not None


def _place(weight: str) -> str:
    """Return the place of a weight in the network, whatever module the network is in."""
    return _MODULES.sub("", weight)


def _reasons(
    placement: Placement, selection: Selection | None, facts: NetworkFacts, engine: Engine
) -> Iterator[str]:
    """Yield sentences about what stays in floats, why, and the loss."""
    reason = {
        Engine.ONNXRUNTIME: "makes the image, whose own steps are finer than 8 bits of its noise",
        Engine.TENSORRT: "reads the frame, which symmetric 8 bits would coarsen",
    }[engine]
    chosen = () if selection is None else selection.kept
    for layer in chosen:
        yield f"kept in floats: {layer.name} loses {layer.loss_db:.3f} dB alone"
    for name in placement.kept:
        if any(_is_in(name, part) for part in facts.export.int8_floats):
            yield f"kept in floats: {name}, as the recipe says"
        elif _keeps_images(facts) and _handles_memory(name):
            yield f"kept in floats: {name} handles images and the memory of frames"
        elif name not in {layer.name for layer in chosen}:
            yield f"kept in floats: {name} {reason}"
    if selection is not None:
        labels = ""
        if selection.miou_points is not None:
            labels = f", {selection.miou_points:.2f} points of mIoU to the float labels"
        yield f"lost in 8 bits: {selection.loss_db:.3f} dB{labels} on frames held back"


def ranges_of(
    model: ir.Model,
    facts: NetworkFacts,
    order: Int8Order,
    report: Callable[[str], None] = lambda text: None,
    recall: Recall | None = None,
) -> Ranges:
    """Return the ranges of a float graph, stored or measured.

    model: at the frame size of the set. recall: of a network that remembers.
    Raises the RecipeErrors of ``make_quantizer``.
    """
    calibration = order.calibration
    weights, structure = quantization_key(model)
    key = RangesKey(
        model=facts.name,
        width=facts.width,
        calibration=calibration.name,
        members=members_digest(calibration),
        weights=weights,
        structure=structure,
    )
    path = None if order.folder is None else ranges_path(order.folder, key)
    shipped = None if order.shipped is None else ranges_path(order.shipped, key)
    ranges = find_ranges(shipped, path, key)
    if ranges is None:
        report(f"measuring ranges on {len(calibration.members)} frames of {calibration.name}")
        ranges = _measure(model, order, key, recall)
        if path is not None:
            try:
                write_ranges(path, ranges)
                report(f"ranges kept in {path}")
            except OSError as error:
                report(f"the ranges are not kept: {path}: {error.strerror}")
    return ranges


def quantization_entry(order: Int8Order, quantizer: Quantizer) -> QuantizationEntry:
    """Return the entry of a bundle's manifest about its quantization."""
    placement = quantizer.placement
    return QuantizationEntry(
        target=str(quantizer.engine),
        calibrator=str(quantizer.calibrator),
        members=members_digest(order.calibration),
        convolutions=placement.convolutions,
        macs_share=round(placement.share, 4),
        kept=placement.kept,
        loss_db=None if quantizer.selection is None else round(quantizer.selection.loss_db, 4),
    )


def _measure(model: ir.Model, order: Int8Order, key: RangesKey, recall: Recall | None) -> Ranges:
    calibration = order.calibration
    count = len(calibration.members)
    if count < FEWEST_MEMBERS:
        raise RecipeError(
            f"calibration set {calibration.name!r} has {count} "
            f"frame{'s' if count > 1 else ''}: ranges of so few fit only them",
            hint=f"give a set of at least {FEWEST_MEMBERS}, better some dozens",
        )
    measured_on, compared_on = held_back(calibration)

    def some(numbers: Collection[int]) -> Iterator[Given]:
        return (given for _, given in given_pairs(calibration, numbers, recall))

    # These frames stay in memory, because every compared graph runs on them.
    held = list(some(compared_on))
    if not any(map(_is_lit, held)) and not any(map(_is_lit, some(measured_on))):
        raise RecipeError(
            f"every frame of calibration set {calibration.name!r} is black "
            f"({format_size(calibration.height, calibration.width)}): nothing has a range",
            hint="give a set of frames like those the network will see",
        )
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        folder = Path(scratch)
        factors = _factors(model, folder, lambda: some(measured_on))
        model = model.clone()
        prepare(model, factors)
        shown = model.clone()
        names = show_points(shown)
        write_model(shown, folder / "shown.onnx")
        found = histograms_of(folder / "shown.onnx", names, lambda: some(measured_on))
        tensors = tuple(
            TensorRanges(
                name=name,
                intervals={
                    engine: {c: interval_of(histogram, c, engine) for c in Calibrator}
                    for engine in Engine
                },
            )
            for name, histogram in zip(names, found, strict=True)
        )
        compare = Comparison(model, folder, held)
        fidelity = {
            engine: {c: compare.fidelity_db(_of(tensors, engine, c), engine) for c in Calibrator}
            for engine in Engine
        }
    return Ranges(
        schema=SCHEMA_VERSION,
        key=key,
        frames=(len(measured_on), len(compared_on)),
        fidelity_db=fidelity,
        factors=factors,
        tensors=tensors,
    )


def _is_lit(given: Given) -> bool:
    """Return whether a frame is not black."""
    frame = given[FRAME] if isinstance(given, Mapping) else given
    return bool(frame.any())


def _factors(model: ir.Model, folder: Path, frames: Frames) -> tuple[float, ...]:
    """Return equalization factors that bring the channels of each tensor nearer to one magnitude.

    They go half of the way, and one bit at most. Otherwise a channel that is small on the set, and
    larger on other frames, would be clipped there.
    """
    summed = model.clone()
    sum_small_terms_first(summed)
    shown = summed.clone()
    names = show_points(shown)
    write_model(shown, folder / "channels.onnx")
    reaches = channel_reaches(folder / "channels.onnx", names, frames)
    found = factors_of(summed, Points(summed, Engine.ONNXRUNTIME).values, reaches)
    return tuple(min(float(f"{factor**0.5:.4g}"), _LARGEST_FACTOR) for factor in found)


class Comparison:
    """Compares quantized graphs with the float graph, on frames without range measurements."""

    def __init__(self, model: ir.Model, folder: Path, given: Sequence[Given]) -> None:
        """folder: for the files of graphs that are compared."""
        self._model, self._folder, self._given = model, folder, given
        self._names = [value.name or "" for value in model.graph.outputs]
        write_model(model, folder / "float.onnx")
        run = runner_of(folder / "float.onnx", self._names)
        self._wanted = [run(frame) for frame in given]

    def fidelity_db(
        self, intervals: Sequence[Interval], engine: Engine, kept: Collection[int] = ()
    ) -> float:
        """Return the PSNR to the float graph over all frames, of the worst output."""
        model = self._model.clone()
        quantize(model, intervals, engine, kept=kept)
        write_model(model, self._folder / "quantized.onnx")
        run = runner_of(self._folder / "quantized.onnx", self._names)
        errors = np.zeros(len(self._names))
        for frame, wanted in zip(self._given, self._wanted, strict=True):
            answers = zip(run(frame), wanted, strict=True)
            errors += [_error(given, reference) for given, reference in answers]
        worst = float(errors.max()) / len(self._wanted)
        return round(min(psnr_of_error_db(worst), _EQUAL_DB), 3)


def _error(given: Array, wanted: Array) -> float:
    """Return the mean squared error: of pixels 0..1, of probabilities, or of equality of labels."""
    if wanted.ndim == 3:
        return float(np.mean(given != wanted))
    peak = 255.0 if wanted.dtype == np.uint8 else 1.0
    return float(np.mean(((given.astype(np.float64) - wanted) / peak) ** 2))


def _of(
    tensors: Sequence[TensorRanges], engine: Engine, calibrator: Calibrator
) -> tuple[Interval, ...]:
    return tuple(tensor.intervals[engine][calibrator] for tensor in tensors)
