"""The graphs of a foreign network at any frame size and precision, in the form of our own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from edgeunet.contracts import ForeignNetwork
from edgeunet.convert.foreign_reference import ForeignReference, OpenOriginal, RunNetwork
from edgeunet.convert.network_graph import Quantize, check_precision
from edgeunet.convert.parity import ParityFigure, check_parity, parity_sheets
from edgeunet.convert.remembering_parity import clip_of
from edgeunet.foreign.house_form import to_house_form
from edgeunet.foreign.network_file import Feed, NetworkFile, feeds_of
from edgeunet.graph.divided_means import divide_means
from edgeunet.graph.fold import fold
from edgeunet.graph.half import to_half
from edgeunet.graph.opset import for_older_readers
from edgeunet.graph.rematerialise import reread_inputs
from edgeunet.graph.summary import write_model
from edgeunet.specs import FrameType, Precision, earlier_frame
from edgeunet.units import format_size

OpenRun = Callable[[tuple[int, int]], RunNetwork]
"""Opens the network as it was given, for frames of (height, width) pixels."""


class ForeignGraphs:
    """The graphs of one foreign network."""

    def __init__(
        self,
        file: NetworkFile,
        network: ForeignNetwork,
        size: tuple[int, int],
        open_run: OpenRun,
        open_original: OpenOriginal,
        title: str,
        frame_type: FrameType = FrameType.UINT8,
    ) -> None:
        """Store the network.

        size: of the frames that are exported, (height, width).
        open_run: opens the network as it was given, for the parity check.
        open_original: opens a graph of ours with the engine's plain options.
        title: of the network as it was given, for messages.
        """
        self._file, self._network = file, network
        self._size, self._open_run, self._title = size, open_run, title
        self._open_original, self._frame_type = open_original, frame_type
        self._known: dict[tuple[int, int], ir.Model] = {}

    @property
    def facts(self) -> ForeignNetwork:
        return self._network

    @property
    def base_size(self) -> tuple[int, int]:
        """The frame itself: windows leave its remainder, so that it needs no padding."""
        return self._size

    @property
    def multiple(self) -> int:
        return 1

    @property
    def levels(self) -> None:
        """None: as many as the graph has."""
        return None

    def reference(self, height: int, width: int) -> ForeignReference:
        size = (height, width)
        run, feeds = self._open_run(size), self._file.feeds(*size)
        return self._reference(run, feeds, lambda: self._in_doubles(size))

    def _in_doubles(self, size: tuple[int, int]) -> ForeignReference | None:
        model = self._file.in_doubles(*size)
        if model is None:
            return None
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            path = Path(folder) / "doubles.onnx"
            write_model(model, path)
            return self._reference(self._open_original(path), feeds_of(model))

    def _reference(
        self,
        run: RunNetwork,
        feeds: Mapping[str, Feed],
        in_doubles: Callable[[], ForeignReference | None] = lambda: None,
    ) -> ForeignReference:
        return ForeignReference(run, self._network, feeds, self._title, in_doubles)

    def further_parity(self, height: int, width: int) -> list[ParityFigure]:
        """Compare at the size that is written into the file, where another one is exported."""
        own = self._file.own_size
        if own is None or own == (height, width):
            return []
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            path = Path(folder) / "whole.onnx"
            write_model(self._floats(*own), path)
            run = self._open_original(path)
            sheets = parity_sheets(*own)
            reference, count = self.reference(*own), self._network.earlier
            earlier = clip_of(sheets[0].image, count + 1)[1:]
            reference.follow(earlier, {})
            before = {earlier_frame(count - n): e[None] for n, e in enumerate(earlier)}
            figures = check_parity(
                reference,
                lambda image: run({earlier_frame(0): image[None], **before}),
                self._network,
                Precision.FP32,
                sheets,
            )
        return [replace(f, frame=f"{f.frame} at {format_size(*own)}") for f in figures]

    def at(
        self, height: int, width: int, precision: Precision, quantize: Quantize | None = None
    ) -> ir.Model:
        """See ``Graphs``."""
        check_precision(precision, quantize)
        model = self._floats(height, width).clone()
        if precision is Precision.FP16:
            to_half(model, fp32_ops=self._network.export.fp32_ops)
        if precision is Precision.INT8 and quantize is not None:
            quantize(model)
        if self._frame_type is FrameType.FLOAT32:
            for_older_readers(model)
        return model

    def _floats(self, height: int, width: int) -> ir.Model:
        size = (height, width)
        if size not in self._known:
            model = self._file.canonical(height, width).clone()
            to_house_form(model, self._network, height, width, self._frame_type)
            fold(model)
            divide_means(model)
            reread_inputs(model, joined=self._network.remembers)
            self._known[size] = model
        return self._known[size]


def open_file(path: Path, file: NetworkFile, open_original: OpenOriginal) -> OpenRun:
    """Return what opens a file for the parity check.

    At another size than the file's own it is the file's graph with other sizes, whole, and with
    plain options.
    """

    def opened(size: tuple[int, int]) -> RunNetwork:
        if file.own_size in (None, size):
            return open_original(path)
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            resized = Path(folder) / "resized.onnx"
            write_model(file.canonical(*size), resized)
            return open_original(resized)

    return opened
