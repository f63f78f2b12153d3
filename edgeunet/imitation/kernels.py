"""Kernels as an engine runs them, and the order in which onnxruntime does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeunet.graph.summary import GraphNode, GraphView

_BLOCKED, _EARLIER = " in blocks", " before"


@dataclass(frozen=True)
class Scratch:
    """Memory that a kernel takes only while it runs.

    size_bytes: at the graph's size; it grows with the window if the kernel's result does.
    least_bytes: it is never smaller. until_bytes: a size that it never reaches; in windows where it
        would, ``beyond_bytes`` are taken instead.
    threads: the number of threads that share it, if every further one takes as much again, up to
        ``most_threads``; 0 for other memory.
    """

    size_bytes: int
    least_bytes: int = 0
    until_bytes: int | None = None
    beyond_bytes: int = 0
    threads: int = 0
    most_threads: int = 0


@dataclass(slots=True)
class Kernel:
    """One kernel as it runs.

    weights: the inputs that are weights; ``inputs`` has the others.
    rank: of the kernels that could run next, the one with the highest rank does.
    over: the input that the result overwrites, unless it is read later.
    is_view: whether the result shares the bytes of its input.
    scratch: what is taken after the outputs, in this order; scratch_first: or before them.
    kept_bytes: reordered weights in the arena, allocated when the graph is loaded.
    node: what it was in the graph; None where it was something else.
    perm, part: as of ``GraphNode``.
    """

    op_type: str
    inputs: list[str]
    outputs: list[str]
    rank: int
    over: str | None = None
    is_view: bool = False
    scratch: tuple[Scratch, ...] = ()
    kept_bytes: int = 0
    weights: tuple[str, ...] = ()
    scratch_first: bool = False
    node: GraphNode | None = None
    perm: tuple[int, ...] = ()
    part: tuple[int, int, int] | None = None


def nodes_of(view: GraphView) -> list[Kernel]:
    """Return one kernel per node in the graph's order, for engines that keep that order."""
    found = []
    for node in view.nodes:
        kernel = Kernel(node.op_type, list(node.inputs), list(node.outputs), node.index)
        kernel.is_view = node.is_view
        kernel.over = node.inputs[0] if node.is_view else None
        found.append(kernel)
    return found


def in_blocks(name: str) -> str:
    """Return the name of a tensor's form in channel blocks."""
    return name + _BLOCKED


def is_blocked(kernel: Kernel) -> bool:
    """Return whether a kernel makes a tensor in channel blocks."""
    return kernel.outputs[0].endswith(_BLOCKED)


def earlier(name: str) -> str:
    """Return the name of a tensor that the graph lacks: as large as this one, made before it."""
    return name + _EARLIER


def source_of(name: str) -> str:
    """Return the name of the graph's tensor that a kernel's tensor is a form of."""
    return name.removesuffix(_BLOCKED).removesuffix(_EARLIER)


def bytes_of(name: str, view: GraphView, channel_block: int | None) -> int:
    """Return the size in bytes of a kernel's tensor.

    channel_block: in blocks, channels are rounded up to a multiple of this.
    """
    tensor = view.tensor(source_of(name))
    if not name.endswith(_BLOCKED) or channel_block is None:
        return tensor.size_bytes
    channels = tensor.shape[1]
    return tensor.size_bytes // channels * (-(-channels // channel_block) * channel_block)


def in_order(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Return kernels in onnxruntime's order: depth first, backwards from the final ones."""
    makers = {name: kernel for kernel in kernels for name in kernel.outputs}
    read = {name for kernel in kernels for name in kernel.inputs}
    last = [kernel for kernel in kernels if not read.intersection(kernel.outputs)]
    stack = [(kernel, False) for kernel in sorted(last, key=lambda kernel: kernel.rank)]
    seen: set[int] = set()
    done: list[Kernel] = []
    while stack:
        kernel, left = stack.pop()
        if left:
            done.append(kernel)
            continue
        if id(kernel) in seen:
            continue
        seen.add(id(kernel))
        stack.append((kernel, True))
        before = [makers[name] for name in kernel.inputs if name in makers]
        if len(before) > 1:
            before.sort(key=lambda one: one.rank)
        stack += [(one, False) for one in before]
    return done
