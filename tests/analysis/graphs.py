"""Small graphs, built by hand, whose figures can be worked out with a pencil."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from edgeunet.graph.summary import GraphNode, GraphTensor, GraphView, TensorKind

Shape = tuple[int, ...]


class Builder:
    """Builds a view node by node. Tensors are FP32; weights are left out where none matters."""

    def __init__(self, **inputs: Shape) -> None:
        self._nodes: list[GraphNode] = []
        self._tensors: dict[str, GraphTensor] = {}
        self._inputs = tuple(inputs)
        for name, shape in inputs.items():
            self._tensor(name, shape, TensorKind.INPUT)

    def _tensor(self, name: str, shape: Shape, kind: TensorKind) -> None:
        self._tensors[name] = GraphTensor(name, shape, "float32", 4 * math.prod(shape), kind)

    def node(self, op_type: str, inputs: str, output: str, *shape: int) -> str:
        """Append a node; ``inputs`` are names with spaces between. Returns the output."""
        index = len(self._nodes)
        reads = tuple(inputs.split())
        self._nodes.append(GraphNode(index, f"n{index}", op_type, reads, (output,)))
        self._tensor(output, shape, TensorKind.ACTIVATION)
        return output

    def weight(self, name: str, *shape: int) -> str:
        """Add a tensor that is stored in the file. Returns its name."""
        self._tensor(name, shape, TensorKind.WEIGHT)
        return name

    def view(self, *outputs: str) -> GraphView:
        for name in outputs:
            self._tensor(name, self._tensors[name].shape, TensorKind.OUTPUT)
        return GraphView(
            "hand", self._inputs, outputs, tuple(self._nodes), tuple(self._tensors.values())
        )


def unet(channels: int, size: int, levels: int, *, attention: bool = False) -> GraphView:
    """A U-Net with added skips: C, 2C, 4C ... channels at 1, 1/2, 1/4 ... of ``size``.

    attention: every level scales its tensor by a pooled vector, as NAFNet does.
    """
    b = Builder(frame=(1, 3, size, size))
    x = b.node("Conv", "frame", "stem", 1, channels, size, size)
    skips = []
    c, s = channels, size
    for level in range(levels):
        x = b.node("Conv", x, f"enc{level}", 1, c, s, s)
        if attention:
            pool = b.node("GlobalAveragePool", x, f"pool{level}", 1, c, 1, 1)
            gate = b.node("Conv", pool, f"gate{level}", 1, c, 1, 1)
            x = b.node("Mul", f"{x} {gate}", f"scaled{level}", 1, c, s, s)
        skips.append(x)
        c, s = 2 * c, s // 2
        x = b.node("Conv", x, f"down{level}", 1, c, s, s)
    x = b.node("Conv", x, "middle", 1, c, s, s)
    for level in reversed(range(levels)):
        c, s = c // 2, s * 2
        x = b.node("ConvTranspose", x, f"up{level}", 1, c, s, s)
        x = b.node("Add", f"{x} {skips[level]}", f"sum{level}", 1, c, s, s)
        x = b.node("Conv", x, f"dec{level}", 1, c, s, s)
    b.node("Conv", x, "image", 1, 3, size, size)
    return b.view("image")


def unet_with_map(channels: int, size: int, levels: int) -> GraphView:
    """UNet--: levels are unshuffled and added into one map, expanded again before use."""
    b = Builder(frame=(1, 3, size, size))
    x = b.node("Conv", "frame", "stem", 1, channels, size, size)
    deep, small = 2 ** (levels - 1), size // 2 ** (levels - 1)
    wide = channels * deep
    held = ""
    c, s = channels, size
    for level in range(levels):
        x = b.node("Conv", x, f"enc{level}", 1, c, s, s)
        factor = s // small
        kept = max(1, wide // factor**2)
        part = b.node("Conv", x, f"rc{level}", 1, kept, s, s)
        if factor > 1:
            six = (1, kept, small, factor, small, factor)
            part = b.node("Reshape", part, f"rs{level}a", *six)
            six = (1, kept, factor, factor, small, small)
            part = b.node("Transpose", part, f"rs{level}b", *six)
            flat = (1, kept * factor**2, small, small)
            part = b.node("Reshape", part, f"rs{level}c", *flat)
        part = b.node("Conv", part, f"fuse{level}", 1, wide, small, small)
        if held:
            part = b.node("Add", f"{held} {part}", f"map{level}", 1, wide, small, small)
        held = part
        c, s = 2 * c, s // 2
        x = b.node("Conv", x, f"down{level}", 1, c, s, s)
    x = b.node("Conv", x, "middle", 1, c, s, s)
    for level in reversed(range(levels)):
        c, s = c // 2, s * 2
        x = b.node("ConvTranspose", x, f"up{level}", 1, c, s, s)
        more = b.node("Conv", held, f"iem{level}a", 1, c * (s // small) ** 2, small, small)
        more = b.node("DepthToSpace", more, f"iem{level}b", 1, c, s, s)
        x = b.node("Add", f"{x} {more}", f"sum{level}", 1, c, s, s)
        x = b.node("Conv", x, f"dec{level}", 1, c, s, s)
    x = b.node("Conv", x, "residual", 1, 3, size, size)
    b.node("Add", f"{x} frame", "image", 1, 3, size, size)
    return b.view("image")


@st.composite
def random_views(draw: st.DrawFn) -> GraphView:
    """Any graph of nodes with one or two inputs, with views, odd sizes and dead ends."""
    b = Builder(x=(8,))
    sizes = {"x": 8}
    for index in range(draw(st.integers(1, 14))):
        known = list(sizes)
        name = f"t{index}"
        if draw(st.integers(0, 3)) == 0:
            source = draw(st.sampled_from(known))
            sizes[name] = sizes[source]
            b.node("Reshape", source, name, sizes[name])
        else:
            reads = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))
            sizes[name] = draw(st.sampled_from([1, 8, 17, 64, 100]))
            b.node("Add", " ".join(reads), name, sizes[name])
    return b.view(*draw(st.lists(st.sampled_from(list(sizes)[1:]), unique=True, max_size=2)))
