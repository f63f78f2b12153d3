"""Runs stages window by window with the plainest code there is, to test the stages themselves."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgeunet.frame_windows import Window, windows
from edgeunet.graph.stages import Border, StageGraph
from edgeunet.graph.values import Floats
from edgeunet.specs import FRAME


def session(model: ir.Model) -> ort.InferenceSession:
    """Open a model on one thread, without messages."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run_whole(model: ir.Model, frame: Floats) -> dict[str, Floats]:
    """Run a model on a frame; return its outputs by name."""
    runner = session(model)
    names = [output.name for output in runner.get_outputs()]
    return dict(zip(names, runner.run(names, {FRAME: frame}), strict=True))


def run_stages(
    stages: Sequence[StageGraph],
    frame: Floats,
    windows_of: Sequence[tuple[int, int] | None],
) -> dict[str, Floats]:
    """Run stages in turn; return every tensor at their borders. windows_of: None runs once."""
    tensors: dict[str, Floats] = {FRAME: frame}
    size = (frame.shape[1], frame.shape[2])
    for stage, window in zip(stages, windows_of, strict=True):
        run_in_windows(stage, tensors, size, window or size)
    return tensors


def run_in_windows(
    stage: StageGraph, tensors: dict[str, Floats], size: tuple[int, int], window: tuple[int, int]
) -> None:
    """Run a stage on a frame of ``size`` pixels, and put its outputs into ``tensors``."""
    window = (min(window[0], size[0]), min(window[1], size[1])) if stage.windowed else size
    runner = session(stage.at(*window))
    names = [output.name for output in runner.get_outputs()]
    halos = (stage.halo_rows, stage.halo_columns)
    rows, columns = (
        windows(size[i], window[i], align=stage.align, halo=halos[i])
        if stage.windowed
        else [Window(0, 0, size[i])]
        for i in (0, 1)
    )
    for row in rows:
        for column in columns:
            feeds = {}
            for border in stage.inputs:
                whole = tensors[border.name]
                shape = border.shape_at(*window)
                starts = [_elements(border, one.start) for one in (row, column)]
                feeds[border.name] = whole[_index(border, starts, shape)] if border.axes else whole
            results = dict(zip(names, runner.run(names, feeds), strict=True))
            for border in stage.outputs:
                result = results[border.name]
                assert result.shape == border.shape_at(*window), border
                if border.axes is None:
                    tensors[border.name] = result
                    continue
                shape = border.shape_at(*size)
                whole = tensors.setdefault(border.name, np.full(shape, 77, result.dtype))
                spans = []
                for axis, one, length in zip(border.axes, (row, column), size, strict=True):
                    last = shape[axis] if one.last == length else _elements(border, one.last)
                    spans.append((_elements(border, one.first), last))
                starts = [_elements(border, one.start) for one in (row, column)]
                inside = [
                    (a - start, b - start) for (a, b), start in zip(spans, starts, strict=True)
                ]
                whole[_slices(border, spans)] = result[_slices(border, inside)]


def _elements(border: Border, pixels: int) -> int:
    found = Fraction(pixels) / border.stride
    assert found.denominator == 1, f"{border.name} has no element at pixel {pixels}"
    return int(found)


def _index(border: Border, starts: Sequence[int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    assert border.axes is not None
    return _slices(
        border,
        [(start, start + shape[axis]) for start, axis in zip(starts, border.axes, strict=True)],
    )


def _slices(border: Border, spans: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    assert border.axes is not None
    index = [slice(None)] * len(border.shape)
    for axis, (start, stop) in zip(border.axes, spans, strict=True):
        index[axis] = slice(start, stop)
    return tuple(index)
