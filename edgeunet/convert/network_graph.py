"""Export a recipe's network as an ONNX graph from frames to answers."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import onnx_ir as ir
import onnxscript  # noqa: F401 - torch's exporter imports it late; without it nothing may begin
import torch

from edgeunet.convert.alignment_graph import alignment_graph
from edgeunet.convert.frame_module import FrameModule, TorchReference
from edgeunet.convert.parity import ParityFigure, Reference
from edgeunet.convert.remembering_frame import (
    FuseModule,
    RememberingModule,
    RememberingParts,
    remembering_parts,
    shape_of,
)
from edgeunet.convert.remembering_parity import RememberingReference
from edgeunet.errors import EdgeUnetError, UsageError
from edgeunet.graph.fold import fold
from edgeunet.graph.half import to_half
from edgeunet.graph.opset import for_older_readers, lower_opset
from edgeunet.graph.prefixes import prefix_names
from edgeunet.graph.receptive import spatial_axes
from edgeunet.graph.rematerialise import reread_inputs
from edgeunet.graph.resize import at_sizes
from edgeunet.graph.unshuffle import join_unshuffles
from edgeunet.graph.values import static_shape
from edgeunet.models import Network, build_network
from edgeunet.models.weights import load_weights
from edgeunet.network_facts import NetworkFacts
from edgeunet.recipes import Recipe
from edgeunet.specs import FRAME, FrameType, Precision
from edgeunet.units import LARGEST_SIDE, format_size

# What torch's exporter writes; graph/opset.py lowers it to what the oldest TensorRT reads.
_TORCH_OPSET = 18
# Base size in bottleneck pixels: it needs no padding and has several rows at the deepest level.
_BASE_CELLS = 4
# torch has no exception of its own for memory that the CPU does not have.
_NO_MEMORY = re.compile(r"allocate memory|tried to allocate|DefaultCPUAllocator", re.IGNORECASE)


def network_for_export(recipe: Recipe, weights: Path | None) -> Network:
    """Return the recipe's network in evaluation mode. weights: None for random weights."""
    network = build_network(recipe)
    if weights is not None:
        load_weights(network, weights)
    return network.eval()


def frame_module(
    network: Network, recipe: Recipe, frame_type: FrameType = FrameType.UINT8
) -> FrameModule:
    """Return the network behind BGR frames; the network itself is changed to BGR order."""
    network.reverse_image_channels()
    return FrameModule(network, recipe, frame_type).eval()


def check_frame_size(facts: NetworkFacts, height: int, width: int) -> None:
    """Raise UsageError for a frame that is too small for the network, or too large."""
    smallest = facts.smallest_side
    if min(height, width) < smallest:
        raise UsageError(
            f"a frame of {format_size(height, width)} pixels is too small for {facts.name}",
            hint=f"height and width must be at least {smallest}",
        )
    if max(height, width) > LARGEST_SIDE:
        raise UsageError(
            f"{format_size(height, width)} pixels is too large a frame",
            hint=f"height and width may be at most {LARGEST_SIDE}",
        )


@contextlib.contextmanager
def within_memory(facts: NetworkFacts, height: int, width: int) -> Iterator[None]:
    """Turn torch's failures to allocate memory into an EdgeUnetError with a hint."""
    try:
        yield
    except RuntimeError as error:
        # The exporter wraps the error that names the cause.
        if not _NO_MEMORY.search(f"{error} {error.__cause__}"):
            raise
        width_text = f" at width {facts.width}" if facts.width else ""
        raise EdgeUnetError(
            f"out of memory: {facts.name}{width_text} and "
            f"{format_size(height, width)} pixels does not fit on this machine",
            hint="use a smaller --size or --width",
        ) from error


Quantize = Callable[[ir.Model], object]
"""Turns a float graph into an INT8 one, in place."""


def check_precision(precision: Precision, quantize: object | None = None) -> None:
    """Raise UsageError for INT8 without a quantizer."""
    if precision is Precision.INT8 and quantize is None:
        raise UsageError(
            "an INT8 graph needs the ranges of its tensors",
            hint="edgeunet export --int8 measures them on a calibration set",
        )


class Graphs(Protocol):
    """The graphs of one network, at any frame size and precision.

    base_size: a frame, (height, width), without padding, whose graph planners cut.
    multiple: rows and columns of a frame in windows are padded to multiples of this.
    levels: the number of levels that the graph can be cut at; None for as many as it has.
    reference: what parity is checked against.
    """

    @property
    def facts(self) -> NetworkFacts: ...

    @property
    def base_size(self) -> tuple[int, int]: ...

    @property
    def multiple(self) -> int: ...

    @property
    def levels(self) -> int | None: ...

    def reference(self, height: int, width: int) -> Reference: ...

    def further_parity(self, height: int, width: int) -> list[ParityFigure]:
        """Return parity at other sizes than that of the exported frame."""
        ...

    def at(
        self, height: int, width: int, precision: Precision, quantize: Quantize | None = None
    ) -> ir.Model:
        """Return a new graph for frames of (height, width) pixels; it belongs to the caller.

        quantize: for INT8. Raises UsageError for INT8 without it.
        """
        ...


class NetworkGraphs:
    """The graphs of one recipe's network, at any frame size and precision.

    torch's exporter, which takes seconds, runs once for all frames that need no padding, and once
    for each size that does.
    """

    def __init__(
        self,
        module: FrameModule | RememberingModule,
        recipe: Recipe,
        parts: RememberingParts | None = None,
    ) -> None:
        """Store the network. parts: of one that remembers; ``module`` is then one of them."""
        self.module = module
        self.recipe = recipe
        self.parts = parts
        self._exported: dict[tuple[int, int], ir.Model] = {}
        self._fusing: ir.Model | None = None

    @property
    def facts(self) -> NetworkFacts:
        return self.recipe

    @property
    def multiple(self) -> int:
        return 1 << self.recipe.network.levels

    @property
    def levels(self) -> int:
        return self.recipe.network.levels

    def reference(self, height: int, width: int) -> Reference:
        if self.parts is not None:
            return RememberingReference(self.parts, self.recipe)
        if not isinstance(self.module, FrameModule):
            raise TypeError("only the parts of a network that remembers are no frame module")
        return TorchReference(self.module, self.recipe)

    def further_parity(self, height: int, width: int) -> list[ParityFigure]:
        return []

    @property
    def base_size(self) -> tuple[int, int]:
        """A small frame, (height, width), without padding, whose graph planners cut."""
        side = _BASE_CELLS << self.recipe.network.levels
        return side, side

    def at(
        self, height: int, width: int, precision: Precision, quantize: Quantize | None = None
    ) -> ir.Model:
        """Return a new graph for frames of (height, width) pixels; it belongs to the caller.

        A network that remembers has a graph for frames that need no padding only.
        quantize: for INT8. Raises UsageError for INT8 without it.
        """
        check_precision(precision, quantize)
        model = self._floats(height, width)
        if precision is Precision.FP16:
            to_half(model, fp32_ops=self.recipe.export.fp32_ops)
        if precision is Precision.INT8 and quantize is not None:
            quantize(model)
        if self.module.frame_type is FrameType.FLOAT32:
            for_older_readers(model)
        return model

    def _floats(self, height: int, width: int) -> ir.Model:
        levels = self.recipe.network.levels
        needs_padding = any(side % (1 << levels) for side in (height, width))
        if needs_padding:
            return self._export(height, width).clone()
        base = self._export(*self.base_size)
        return resized(base, self.base_size, (height, width))

    def aligning(self, height: int, width: int) -> ir.Model:
        """Return the graph that aligns the memory of a network that remembers.

        height, width: of the frame, or of a window of it. The graph is for this size only, and
        always in FP32, because it counts pixels.
        Raises ValueError for a network that remembers nothing.
        """
        if self.parts is None:
            raise ValueError("a network without temporal has no parts before it")
        return alignment_graph(height, width, fuse=self.parts.fuse.recurrence.fuse)

    def fusing(self, precision: Precision) -> ir.Model:
        """Return the graph that fuses the memory of a network that remembers, of the base size.

        Raises ValueError for a network that remembers nothing.
        """
        if self.parts is None:
            raise ValueError("a network without temporal has no parts before it")
        fusing = self._export_fusing(self.parts.fuse).clone()
        if precision is Precision.FP16:
            to_half(fusing, fp32_ops=self.recipe.export.fp32_ops)
        prefix_names(fusing, "fuse.")
        return fusing

    def _export_fusing(self, part: FuseModule) -> ir.Model:
        if self._fusing is None:
            size = self.base_size
            self._fusing = _exported_part(part, part.inputs, part.outputs, *size, "fuse")
        return self._fusing

    def _export(self, height: int, width: int) -> ir.Model:
        size = (height, width)
        if size not in self._exported:
            inputs = (FRAME,) if self.parts is None else self.parts.network.inputs
            self._exported[size] = _exported(self.module, self.recipe, height, width, inputs)
        return self._exported[size]


def graphs_of_recipe(
    recipe: Recipe, weights: Path | None = None, frame_type: FrameType = FrameType.UINT8
) -> NetworkGraphs:
    """Return the graphs of a recipe's network. weights: None for random weights."""
    network = network_for_export(recipe, weights)
    if network.recurrence is None:
        return NetworkGraphs(frame_module(network, recipe, frame_type), recipe)
    if frame_type is not FrameType.UINT8:
        raise UsageError(
            f"{recipe.name} remembers frames in bytes, so it has no float frames",
            hint="export without --frame float",
        )
    network.reverse_image_channels()
    parts = remembering_parts(network, recipe)
    return NetworkGraphs(parts.network, recipe, parts)


def graph_of_recipe(
    recipe: Recipe,
    height: int,
    width: int,
    precision: Precision,
    *,
    weights: Path | None = None,
) -> ir.Model:
    """Return the graph of a recipe at one frame size, with random weights unless given.

    Raises UsageError for a frame that is too small, or for INT8.
    """
    check_frame_size(recipe, height, width)
    with within_memory(recipe, height, width):
        return graphs_of_recipe(recipe, weights).at(height, width, precision)


def resized(model: ir.Model, base: tuple[int, int], size: tuple[int, int]) -> ir.Model:
    """Return a copy of a graph for frames of another size.

    base, size: (height, width) of the frame in pixels, now and wanted. Inputs of a fraction of the
    frame's size keep that fraction.
    """
    sizes = {}
    for value, axes in spatial_axes(model.graph).items():
        shape = static_shape(value)
        if value.is_graph_input() and shape is not None:
            rows, columns = (shape[axis] * side for axis, side in zip(axes, size, strict=True))
            sizes[value.name or ""] = rows // base[0], columns // base[1]
    return at_sizes(model, sizes)


def _exported(
    module: FrameModule | RememberingModule,
    recipe: Recipe,
    height: int,
    width: int,
    inputs: Sequence[str] = (FRAME,),
) -> ir.Model:
    """Export an FP32 graph, lower its opset, fold constants, and reread the frame."""
    in_floats = module.frame_type is FrameType.FLOAT32
    outputs = [pathway.output for pathway in recipe.pathways]
    model = _exported_part(
        module,
        inputs,
        outputs,
        height,
        width,
        f"{recipe.name}-{recipe.network.width}",
        dtype=torch.float32 if in_floats else torch.uint8,
    )
    reread_inputs(model, joined=len(inputs) > 1)
    return model


def _exported_part(
    module: torch.nn.Module,
    inputs: Sequence[str],
    outputs: Sequence[str],
    height: int,
    width: int,
    name: str,
    *,
    dtype: torch.dtype = torch.uint8,
) -> ir.Model:
    """Export an FP32 graph of frames and counts, lower its opset, and fold constants."""
    examples = tuple(torch.zeros(shape_of(one, height, width)).to(dtype) for one in inputs)
    with quiet_exporter():
        program = torch.onnx.export(
            module,
            examples,
            dynamo=True,
            opset_version=_TORCH_OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    # The exporter's own values compare like arrays; those of a clone compare by identity.
    model = program.model.clone()
    _forget_sources(model)
    lower_opset(model)
    join_unshuffles(model)
    fold(model)
    model.graph.name = name
    return model


def _forget_sources(model: ir.Model) -> None:
    """Remove the exporter's metadata: stack traces with paths of this machine."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Suppress the exporter's own messages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
