"""Random graphs of supported operators, cut at random: equal to the whole frame, or refused."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeunet.errors import GraphError
from edgeunet.frame_windows import smallest_window
from edgeunet.graph.stages import FrameGraph, StageGraph
from tests.graph.foreign import Net, frame_of
from tests.graph.plain_windows import run_stages, run_whole

GRAPHS, FEW_GRAPHS = 200, 50
TOLERANCE = 2e-5
LARGEST_SIDE = 160

Sizes = dict[str, tuple[int, int]]


class Drawn:
    """A network that grows by random operators; sizes: rows and columns of every tensor."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        size = (self.number(33, 70), self.number(33, 70))
        self.net = Net(*size, seed=self.number(0, 99))
        self.sizes: Sizes = {self.net.image(): size}
        self.read: set[str] = set()

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one_of(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def grow(self) -> None:
        """Add one operator, unless its result were too small or too large."""
        kind = self.one_of(
            "conv", "conv", "conv", "up", "pool", "mean", "shuffle", "unshuffle", "resize", "crop",
            "pad", "group", "pointwise", "pointwise", "join", "join", "join", "attend", "norm",
            "rows", "softmax", "normgroup", "tokens", "cells",
        )  # fmt: skip
        x = self.draw(st.sampled_from(list(self.sizes)[-4:]))
        found = getattr(self, f"_{kind}")(x, *self.sizes[x])
        if found is None:
            return
        name, size = found
        self.sizes[name] = size
        self.read.add(x)

    def done(self) -> ir.Model:
        leaves = [name for name in self.sizes if name not in self.read]
        return self.net.done(*leaves[-3:])

    def _kept(self, rows: int, columns: int) -> bool:
        return min(rows, columns) >= 3 and max(rows, columns) <= LARGEST_SIDE

    def _conv(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        kernel, stride, dilation = self.number(1, 5), self.number(1, 3), self.number(1, 2)
        pads = [self.number(0, 3) for _ in range(4)]
        span = (kernel - 1) * dilation
        rows, columns = (
            (length + pads[i] + pads[i + 2] - span - 1) // stride + 1
            for i, length in enumerate(size)
        )
        if not self._kept(rows, columns) or min(size) <= span:
            return None
        kept = self.number(1, 4)
        y = self.net.conv(x, kept, kernel, stride=stride, dilation=dilation, pads=pads)
        return y, (rows, columns)

    def _up(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        kernel, stride = self.number(1, 4), self.number(1, 3)
        pads = [self.number(0, min(kernel - 1, 2)) for _ in range(4)]
        more = self.number(0, stride - 1)
        rows, columns = (
            (length - 1) * stride + kernel - pads[i] - pads[i + 2] + more
            for i, length in enumerate(size)
        )
        if not self._kept(rows, columns) or kernel < stride:
            return None
        y = self.net.up(x, self.number(1, 4), kernel, stride, pads=pads, output_padding=[more] * 2)
        return y, (rows, columns)

    def _pool(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        kernel, stride, up = self.number(2, 3), self.number(1, 3), self.number(0, 1)
        rows, columns = (
            (-(-(length - kernel) // stride) if up else (length - kernel) // stride) + 1
            for length in size
        )
        if not self._kept(rows, columns) or stride > kernel:
            return None
        return self.net.pool(x, kernel, stride, ceil_mode=up), (rows, columns)

    def _mean(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        kernel = self.number(1, 2) * 2 + 1
        if not self._kept(*size):
            return None
        attrs: dict[str, Any] = {"pads": [kernel // 2] * 4, "count_include_pad": self.number(0, 1)}
        y = self.net.op("AveragePool", x, kernel_shape=[kernel] * 2, **attrs)
        return y, (size[0], size[1])

    def _shuffle(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        block = self.number(2, 3)
        if not self._kept(size[0] * block, size[1] * block):
            return None
        y = self.net.conv(x, block**2, 1)
        y = self.net.op("DepthToSpace", y, blocksize=block, mode="CRD", channels=1)
        return y, (size[0] * block, size[1] * block)

    def _unshuffle(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        if size[0] % 2 or size[1] % 2 or not self._kept(size[0] // 2, size[1] // 2):
            return None
        kept = 4 * self.net.channels[x]
        y = self.net.op("SpaceToDepth", x, blocksize=2, channels=kept)
        return y, (size[0] // 2, size[1] // 2)

    def _resize(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        scale = self.draw(st.sampled_from([2.0, 1.5, 0.5, 3.0, 0.75]))
        mode = self.one_of("nearest", "linear", "cubic")
        where = self.one_of("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        rows, columns = (int(length * scale) for length in size)
        if not self._kept(rows, columns):
            return None
        return self.net.resize(x, scale, mode, where), (rows, columns)

    def _crop(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        start, left, step = self.number(0, 4), self.number(0, 4), self.number(1, 2)
        rows, columns = (-(-(length - start - left) // step) for length in size)
        if not self._kept(rows, columns):
            return None
        if self.number(0, 1):
            starts, stops = [start, start], [length - left for length in size]
        else:
            starts = [start - length for length in size]
            stops = [-left or 1 << 40] * 2
        net = self.net
        y = net.op(
            "Slice", x, net.ints(*starts), net.ints(*stops), net.ints(2, 3), net.ints(step, step)
        )
        return y, (rows, columns)

    def _pad(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        before, after = self.number(0, 2), self.number(0, 2)
        pads = self.net.ints(0, 0, before, before, 0, 0, after, after)
        y = self.net.op("Pad", x, pads, mode=self.one_of("constant", "reflect", "edge"))
        return y, (size[0] + before + after, size[1] + before + after)

    def _group(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        net = self.net
        y = net.conv(x, 4, 1)
        y = net.op("Reshape", y, net.ints(1, 2, 2, *size))
        y = net.op("Transpose", y, perm=[0, 2, 1, 3, 4])
        return net.op("Reshape", y, net.ints(1, 4, *size), channels=4), (size[0], size[1])

    def _pointwise(self, x: str, *size: int) -> tuple[str, tuple[int, int]]:
        kind = self.one_of("Relu", "Tanh", "HardSwish", "Erf", "Sigmoid", "Abs", "Softplus")
        return self.net.op(kind, x), (size[0], size[1])

    def _softmax(self, x: str, *size: int) -> tuple[str, tuple[int, int]]:
        return self.net.op("Softmax", x, axis=1), (size[0], size[1])

    def _attend(self, x: str, *size: int) -> tuple[str, tuple[int, int]]:
        mean = self.net.op("Sigmoid", self.net.op("GlobalAveragePool", x))
        return self.net.op("Mul", x, mean), (size[0], size[1])

    def _norm(self, x: str, *size: int) -> tuple[str, tuple[int, int]]:
        kept = self.net.channels[x]
        scale, bias = self.net.const(np.ones(kept)), self.net.const(np.zeros(kept))
        return self.net.op("InstanceNormalization", x, scale, bias, epsilon=0.01), (
            size[0],
            size[1],
        )

    def _normgroup(self, x: str, *size: int) -> tuple[str, tuple[int, int]]:
        """Normalise joined channels, as exporters write GroupNormalization."""
        net = self.net
        groups, epsilon = self.number(1, 2), self.draw(st.sampled_from([0.01, 1.0]))
        y = net.conv(x, 4, 1)
        y = net.op("Reshape", y, net.ints(1, groups, -1))
        scale, bias = net.const(np.ones(groups)), net.const(np.zeros(groups))
        y = net.op("InstanceNormalization", y, scale, bias, epsilon=epsilon)
        return net.op("Reshape", y, net.ints(1, 4, *size), channels=4), (size[0], size[1])

    def _tokens(self, x: str, *size: int) -> tuple[str, tuple[int, int]]:
        """Join rows and columns, work along channels or along all pixels, and part them."""
        net, (rows, columns) = self.net, size
        y = net.op("Reshape", net.conv(x, 4, 1), net.ints(1, 4, rows * columns))
        kind = self.one_of("norm", "product", "softmax", "attend")
        if kind == "norm":
            y = net.op("Transpose", y, perm=[0, 2, 1])
            scale, bias = net.const(np.ones(4)), net.const(np.zeros(4))
            y = net.op("LayerNormalization", y, scale, bias, axis=-1)
            y = net.op("MatMul", y, net.const(net.generator.standard_normal((4, 4))))
            y = net.op("Transpose", y, perm=[0, 2, 1])
        elif kind == "attend":
            scores = net.op("MatMul", y, net.op("Transpose", y, perm=[0, 2, 1]))
            scores = net.op("Softmax", net.op("Mul", scores, net.const(1e-3)), axis=-1)
            y = net.op("MatMul", scores, y)
        elif kind == "softmax":
            y = net.op("Softmax", y, axis=self.number(1, 2))
        y = net.op("Tanh", net.op("Mul", y, net.const(np.full((4, 1), 0.5))))
        return net.op("Reshape", y, net.ints(1, 4, rows, columns), channels=4), (rows, columns)

    def _cells(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        """Multiply the pixels of every cell by each other, with or without a mask."""
        side = self.number(2, 4)
        if size[0] % side or size[1] % side:
            return None
        net, high, wide = self.net, size[0] // side, size[1] // side
        y = net.op("Transpose", net.conv(x, 2, 1), perm=[0, 2, 3, 1])
        y = net.op("Reshape", y, net.ints(1, high, side, wide, side, 2))
        y = net.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5])
        y = net.op("Reshape", y, net.ints(high * wide, side**2, 2))
        scores = net.op("MatMul", y, net.op("Transpose", y, perm=[0, 2, 1]))
        mask = np.zeros((high, wide, side**2, side**2))
        mask[-1, :, 0, 1] = -self.number(0, 1)
        scores = net.op("Add", scores, net.const(mask.reshape(-1, side**2, side**2)))
        y = net.op("MatMul", net.op("Softmax", scores, axis=-1), y)
        y = net.op("Reshape", y, net.ints(1, high, wide, side, side, 2))
        y = net.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5])
        y = net.op("Reshape", y, net.ints(1, size[0], size[1], 2))
        return net.op("Transpose", y, perm=[0, 3, 1, 2], channels=2), (size[0], size[1])

    def _rows(self, x: str, *size: int) -> tuple[str, tuple[int, int]]:
        content = self.net.generator.standard_normal((size[0], 1))
        return self.net.op("Add", x, self.net.const(content)), (size[0], size[1])

    def _join(self, x: str, *size: int) -> tuple[str, tuple[int, int]] | None:
        """Join with another tensor, cropped to the same size."""
        net = self.net
        others = [name for name in self.sizes if name != x]
        if not others:
            return None
        other = self.draw(st.sampled_from(others))
        rows, columns = (min(a, b) for a, b in zip(size, self.sizes[other], strict=True))
        if min(rows, columns) * 2 < max(*size, *self.sizes[other]):
            return None
        self.read.add(other)
        pair = []
        for name in (x, other):
            if self.sizes[name] != (rows, columns):
                name = net.op(
                    "Slice", name, net.ints(0, 0), net.ints(rows, columns), net.ints(2, 3)
                )
            pair.append(name)
        if self.number(0, 1):
            return net.concat(*pair), (rows, columns)
        pair = [net.conv(name, 3, 1) for name in pair]
        return net.op(self.one_of("Add", "Mul", "Max"), *pair), (rows, columns)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[ir.Model, tuple[int, int], int, int, int]:
    """Draw (model, frame size, level, recompute, steps by which windows are longer)."""
    drawn = Drawn(draw)
    for _ in range(draw(st.integers(2, 9))):
        drawn.grow()
    if len(drawn.sizes) == 1:
        drawn.grow()
    level, recompute = draw(st.integers(1, 5)), draw(st.sampled_from([0, 0, 1, 2]))
    return drawn.done(), drawn.net.size, level, recompute, draw(st.integers(0, 2))


def windows_of(
    stages: tuple[StageGraph, ...], size: tuple[int, int], more: int
) -> Iterator[tuple[int, int] | None]:
    for stage in stages:
        rows, columns = (
            smallest_window(stage.align, halo, length) + more * stage.align
            for halo, length in zip((stage.halo_rows, stage.halo_columns), size, strict=True)
        )
        yield (rows, columns) if stage.windowed else None


def cut(model: ir.Model, level: int, recompute: int) -> tuple[StageGraph, ...] | None:
    """Return the stages; without recomputing if that is refused, None if any cut is."""
    graph = FrameGraph(model)
    for again in (recompute, 0):
        try:
            return graph.cut(min(level, graph.levels), recompute=min(again, level))
        except GraphError:
            continue
    return None


def what_becomes_of(case: tuple[ir.Model, tuple[int, int], int, int, int]) -> str:
    """Compare the windows of a graph with the whole; return what became of it."""
    model, size, level, recompute, more = case
    stages = cut(model, level, recompute)
    if stages is None:
        return "refused"
    frame = frame_of(*size)
    wanted = run_whole(model, frame)
    windows = list(windows_of(stages, size, more))
    given = run_stages(stages, frame, windows)
    for name, whole in wanted.items():
        difference = np.abs(given[name].astype(np.float64) - whole).max()
        assert difference <= TOLERANCE * max(np.abs(whole).max(), 1e-3), (name, difference)
    smaller = [w for w in windows if w is not None and (w[0] < size[0] or w[1] < size[1])]
    return "in windows" if smaller else "one window"


@pytest.mark.parametrize("count", [FEW_GRAPHS, pytest.param(GRAPHS, marks=pytest.mark.thorough)])
def test_random_graphs_in_windows_are_the_whole_graphs_or_refused(count: int) -> None:
    tally: collections.Counter[str] = collections.Counter()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=graphs())
    def check(case: tuple[ir.Model, tuple[int, int], int, int, int]) -> None:
        tally[what_becomes_of(case)] += 1

    check()
    # Most of them must have been cut, or nothing was shown.
    assert tally["in windows"] > 0.6 * tally.total(), tally
