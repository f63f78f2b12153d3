"""Find the level of every node in the U, and the node at which the bottleneck begins.

A level is a (height, width) at which convolutions work. Tensors of one position that are made from
pooled values alone (channel attention, a classification head) belong to no level.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeunet.graph.summary import GraphNode, GraphTensor, GraphView, TensorKind

_CONV_OPS = frozenset({"Conv", "FusedConv", "QLinearConv", "ConvInteger"})
_POOL_OPS = frozenset(
    {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "ReduceMean", "ReduceSum", "ReduceMax"}
)

Spatial = tuple[int, int]


def spatial_of(tensor: GraphTensor) -> Spatial | None:
    """Return the (height, width) of an (N, C, H, W) tensor, None for another rank."""
    return (tensor.shape[2], tensor.shape[3]) if len(tensor.shape) == 4 else None


@dataclass(frozen=True)
class LevelRun:
    """Consecutive steps ``[start, end)`` at one level.

    part: encoder, bottleneck or decoder.
    scale: height of the largest level over the height of this one. In the report of a frame plan, a
        run is the steps of one stage: ``part`` is the stage's name, and ``scale`` is 1.
    """

    part: str
    scale: int
    start: int
    end: int

    @property
    def label(self) -> str:
        return f"1/{self.scale}"


@dataclass(frozen=True)
class Levels:
    """The levels of a graph.

    sizes: (height, width) of every level, the largest first.
    bottleneck_step: the first node whose output is at the deepest level; None without levels.
    ancestors, descendants: steps that the bottleneck's first node depends on, and that depend on
        it; both include it.
    runs: the steps, divided into levels.
    """

    sizes: tuple[Spatial, ...]
    bottleneck_step: int | None
    ancestors: frozenset[int]
    descendants: frozenset[int]
    runs: tuple[LevelRun, ...]


def levels_of(view: GraphView) -> Levels:
    """Find the levels. A graph whose convolutions all work at one size has no bottleneck."""
    pooled = _pooled(view)
    sizes = {
        spatial
        for node in view.nodes
        if node.op_type in _CONV_OPS
        for name in node.outputs
        if (spatial := spatial_of(view.tensor(name))) is not None and name not in pooled
    }
    ordered = tuple(sorted(sizes, key=lambda size: (-size[0] * size[1], size)))
    deepest = ordered[-1] if ordered else (0, 0)
    if len(ordered) < 2 or deepest[0] * deepest[1] == ordered[0][0] * ordered[0][1]:
        return Levels(ordered, None, frozenset(), frozenset(), ())
    first = next(
        node.index
        for node in view.nodes
        if any(
            spatial_of(view.tensor(name)) == deepest and name not in pooled for name in node.outputs
        )
    )
    ancestors, descendants = _ancestors(view, first), _descendants(view, first)
    runs = _runs(view, ordered, pooled, first, ancestors | descendants)
    return Levels(ordered, first, ancestors, descendants, runs)


def _pooled(view: GraphView) -> frozenset[str]:
    """Return the tensors with at most one position that are made from pooled values alone."""
    pooled: set[str] = set()
    for name in view.inputs:
        if spatial_of(view.tensor(name)) in (None, (1, 1)):
            pooled.add(name)
    fixed = (TensorKind.WEIGHT, TensorKind.CONSTANT)
    for node in view.nodes:
        data = [name for name in node.inputs if view.tensor(name).kind not in fixed]
        whole = bool(data) and all(name in pooled for name in data)
        for name in node.outputs:
            if spatial_of(view.tensor(name)) in (None, (1, 1)) and (
                whole or node.op_type in _POOL_OPS
            ):
                pooled.add(name)
    return frozenset(pooled)


def _ancestors(view: GraphView, step: int) -> frozenset[int]:
    found = {step}
    needed = set(view.nodes[step].inputs)
    for node in reversed(view.nodes[:step]):
        if needed.intersection(node.outputs):
            found.add(node.index)
            needed.update(node.inputs)
    return frozenset(found)


def _descendants(view: GraphView, step: int) -> frozenset[int]:
    found = {step}
    made = set(view.nodes[step].outputs)
    for node in view.nodes[step + 1 :]:
        if made.intersection(node.inputs):
            found.add(node.index)
            made.update(node.outputs)
    return frozenset(found)


def _runs(
    view: GraphView,
    sizes: tuple[Spatial, ...],
    pooled: frozenset[str],
    first: int,
    main_path: frozenset[int],
) -> tuple[LevelRun, ...]:
    """Divide the steps into runs at one level.

    Steps beside the main path belong to the level that they serve. In the encoder, this is the
    level before them (a skip that is reduced); in the decoder, the level after them (a map that is
    expanded).
    """
    known = {
        node.index: level
        for node in view.nodes
        if node.index in main_path and (level := _level_of(view, node, sizes, pooled)) is not None
    }
    following = {}
    level = None
    for step in reversed(range(len(view.nodes))):
        level = following[step] = known.get(step, level)
    level = following[0] or 0
    runs: list[LevelRun] = []
    for step in range(len(view.nodes)):
        level = known.get(step, level)
        ahead = following[step]
        if step > first and step not in main_path and ahead is not None:
            level = ahead
        part = "encoder" if step < first else "decoder"
        if step >= first and level == len(sizes) - 1:
            part = "bottleneck"
        scale = max(1, round(sizes[0][0] / sizes[level][0]))
        if runs and (runs[-1].part, runs[-1].scale) == (part, scale):
            runs[-1] = LevelRun(part, scale, runs[-1].start, step + 1)
        else:
            runs.append(LevelRun(part, scale, step, step + 1))
    return tuple(runs)


def _level_of(
    view: GraphView, node: GraphNode, sizes: tuple[Spatial, ...], pooled: frozenset[str]
) -> int | None:
    for name in node.outputs:
        spatial = spatial_of(view.tensor(name))
        if spatial in sizes and name not in pooled:
            return sizes.index(spatial)
    return None
