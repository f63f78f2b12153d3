"""The kernels that onnxruntime's CPU provider makes of a graph, and their order.

Convolutions compute on blocks of 16 channels. Copies into and out of the blocks are inserted where
other operators write or read. A convolution is fused with the activation after it, and with a sum,
whose result then overwrites the other term. Kernels run in the library's own order: depth first
from the last node of the graph, later nodes first. Derived from the behaviour and the profiles of
versions 1.17 to 1.31, on x86.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeunet.graph.summary import GraphNode, GraphView, TensorKind

_BLOCK = 16
_GROUP = 8
_BLOCKED = " in blocks"
_INTEGER, _INTEGER_CONVOLUTION = "QLinear", "QLinearConv"
_ACTIVATIONS = frozenset({"Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid"})
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})
# Kernels that overwrite their first input if nothing reads it later.
_IN_PLACE = frozenset({"Clip", "Relu", "Sigmoid", "Sqrt"})


@dataclass
class Kernel:
    """One kernel as it runs.

    rank: of the kernels that could run next, the one with the highest rank does.
    over: the input that the result overwrites, unless it is read later.
    is_view: whether the result shares the bytes of its input.
    scratch_bytes: memory allocated only while it runs.
    kept_bytes: memory for reordered weights, allocated when the graph is loaded.
    """

    op_type: str
    inputs: list[str]
    outputs: list[str]
    rank: int
    over: str | None = None
    is_view: bool = False
    scratch_bytes: int = 0
    kept_bytes: int = 0


@dataclass
class _Argument:
    """A tensor in channel blocks.

    kernel: the kernel that makes it.
    uses: number of its readers.
    left: number of its readers that do not read blocks.
    """

    kernel: Kernel
    uses: int
    left: int


def kernels_of(view: GraphView, *, late_first: bool = True) -> list[Kernel]:
    """Return the kernels of a graph in the order in which they run, without weights as inputs.

    late_first: of several copies out of blocks that could run next, take the one of the later
        tensor. The library takes them in the order of a hash table, which differs between
        processes.
    """
    fixed = {t.name for t in view.tensors if t.kind in (TensorKind.WEIGHT, TensorKind.CONSTANT)}
    nodes = [node for node in view.nodes if not fixed.issuperset(node.outputs)]
    kernels = _joined(nodes, view, fixed)
    _renumber(kernels)
    return _Blocks(view).of(kernels, late_first=late_first)


def orders_of(view: GraphView) -> list[list[Kernel]]:
    """Return the kernels in every order that ``kernels_of`` can produce, each order once."""
    late = kernels_of(view, late_first=True)
    # With fewer than two copies out of blocks there is only one order.
    if sum(kernel.op_type == "ReorderOutput" for kernel in late) < 2:
        return [late]
    return [late, kernels_of(view, late_first=False)]


def nodes_of(view: GraphView) -> list[Kernel]:
    """Return one kernel per node in the graph's order, for engines that keep that order."""
    found = []
    for node in view.nodes:
        kernel = Kernel(node.op_type, list(node.inputs), list(node.outputs), node.index)
        kernel.is_view = node.is_view
        kernel.over = node.inputs[0] if node.is_view else None
        found.append(kernel)
    return found


def bytes_of(name: str, view: GraphView) -> int:
    """Return the size in bytes of a kernel's tensor; in blocks, channels are rounded up."""
    tensor = view.tensor(name.removesuffix(_BLOCKED))
    if not name.endswith(_BLOCKED):
        return tensor.size_bytes
    channels = tensor.shape[1]
    return tensor.size_bytes // channels * (-(-channels // _BLOCK) * _BLOCK)


def source_of(name: str) -> str:
    """Return the name of the graph's tensor that a kernel's tensor is a form of."""
    return name.removesuffix(_BLOCKED)


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
        before = {id(makers[name]): makers[name] for name in kernel.inputs if name in makers}
        stack += [(one, False) for one in sorted(before.values(), key=lambda one: one.rank)]
    return done


def _renumber(kernels: Sequence[Kernel]) -> None:
    """Give integer kernels new ranks: the library creates them late, and its convolutions twice."""
    for again in (_INTEGER, _INTEGER_CONVOLUTION):
        rank = max((kernel.rank for kernel in kernels), default=0)
        for kernel in in_order(kernels):
            if kernel.op_type.startswith(again):
                rank += 1
                kernel.rank = rank


def _integer_scratch_bytes(node: GraphNode, view: GraphView) -> int:
    """Return the scratch memory of an integer convolution, as measured on processes.

    With whole groups of channels, it is one pointer per output pixel and kernel element. Otherwise
    it is one copy of the input per kernel element, and 32-bit sums.
    """
    kept, inputs, *kernel = view.tensor(node.inputs[1]).shape
    pixels = math.prod(view.tensor(node.outputs[0]).shape) // kept
    reads = math.prod(kernel) if math.prod(kernel) > 1 else 0
    if kept % _GROUP == 0 and kept > _GROUP and inputs % 4 == 0:
        return pixels * reads * 8
    return pixels * (reads * inputs + 4 * kept)


def _packed_bytes(node: GraphNode, view: GraphView) -> int:
    """Return the size of an integer convolution's weights in the order of the kernel."""
    kept, *others = view.tensor(node.inputs[1]).shape
    return -(-kept // _BLOCK) * _BLOCK * math.prod(others)


def _joined(nodes: Sequence[GraphNode], view: GraphView, fixed: set[str]) -> list[Kernel]:
    """Return one kernel per node; a convolution is fused with an activation that only it feeds."""
    users = collections.Counter(name for node in nodes for name in node.inputs)
    reader = {name: node for node in nodes for name in node.inputs}
    gone: set[int] = set()
    kernels: list[Kernel] = []
    rank = max((node.index for node in nodes), default=0)
    for node in nodes:
        if node.index in gone:
            continue
        inputs = [name for name in node.inputs if name not in fixed]
        kernel = Kernel(node.op_type, inputs, list(node.outputs), node.index)
        kernel.is_view = node.is_view and bool(inputs)
        if kernel.is_view or node.op_type in _IN_PLACE:
            kernel.over = inputs[0]
        if node.op_type == "ConvTranspose":
            kernel.scratch_bytes = _columns_bytes(node, view)
            kernel.kept_bytes = view.tensor(node.inputs[1]).size_bytes
        if node.op_type == _INTEGER_CONVOLUTION:
            kernel.scratch_bytes = _integer_scratch_bytes(node, view)
            kernel.kept_bytes = _packed_bytes(node, view)
        kernels.append(kernel)
        output = node.outputs[0]
        # Of two casts, or two reshapes, in a row only one remains.
        if (
            node.op_type in ("Cast", "Reshape")
            and users[output] == 1
            and output not in view.outputs
        ):
            after = reader[output]
            if after.op_type == node.op_type:
                gone.add(after.index)
                kernel.outputs = [after.outputs[0]]
        if node.op_type == "Conv" and users[output] == 1 and output not in view.outputs:
            after = reader[output]
            if after.op_type in _ACTIVATIONS:
                gone.add(after.index)
                rank += 1
                kernel.op_type, kernel.outputs, kernel.rank = "FusedConv", [after.outputs[0]], rank
    return kernels


def _columns_bytes(node: GraphNode, view: GraphView) -> int:
    """Return the size of the columns that a transposed convolution makes before it sums them."""
    shape = view.tensor(node.inputs[0]).shape
    per_pixel = math.prod(view.tensor(node.inputs[1]).shape[1:])
    return per_pixel * math.prod(shape[2:]) * 4


@dataclass
class _Blocks:
    """The pass over a graph that moves convolutions, and operators around them, into blocks."""

    view: GraphView
    kernels: list[Kernel] = field(default_factory=list)
    makers: dict[str, Kernel] = field(default_factory=dict)
    arguments: dict[str, _Argument] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)
    uses: collections.Counter[str] = field(default_factory=collections.Counter)
    rank: int = 0

    def of(self, kernels: list[Kernel], *, late_first: bool) -> list[Kernel]:
        self.rank = max((kernel.rank for kernel in kernels), default=0)
        self.uses.update(name for kernel in kernels for name in kernel.inputs)
        self.uses.update(self.view.outputs)
        for kernel in in_order(kernels):
            if not self._blocked(kernel):
                self.kernels.append(kernel)
                self.makers.update(dict.fromkeys(kernel.outputs, kernel))
        left = [name for name, argument in self.arguments.items() if argument.left]
        for name in left if late_first else reversed(left):
            self._add("ReorderOutput", [name + _BLOCKED], [name])
        return in_order(self.kernels)

    def _blocked(self, kernel: Kernel) -> bool:
        """Add the blocked form of a kernel; return False if it has none."""
        if kernel.op_type in ("Conv", "FusedConv"):
            return self._convolution(kernel)
        known = [self.arguments.get(name) for name in kernel.inputs]
        if not known or None in known:
            return self._pool(kernel)
        if kernel.op_type in ("Add", "Mul", "Sum"):
            return self._elementwise(kernel)
        if kernel.op_type == "Concat":
            return self._aligned(kernel.inputs) and self._same(kernel)
        if kernel.op_type in _ACTIVATIONS:
            return self._activation(kernel)
        if kernel.op_type == "Transpose" and self._to_channels_last(kernel):
            self._use(kernel.inputs)
            self._add("ReorderOutput", [kernel.inputs[0] + _BLOCKED], kernel.outputs)
            return True
        if kernel.op_type in ("Resize", "Upsample"):
            return self._same(kernel)
        return self._pool(kernel)

    def _convolution(self, kernel: Kernel) -> bool:
        shape = self.view.tensor(kernel.inputs[0]).shape
        if len(shape) != 4 or len(kernel.inputs) != 1:
            return False
        name = kernel.inputs[0]
        if shape[1] >= _BLOCK:
            name = self._in_blocks(name)
        self._make(kernel, [name])
        return True

    def _in_blocks(self, name: str) -> str:
        """Return the blocked form of a tensor, with a copy into blocks if no kernel makes it."""
        if name in self.arguments:
            self._use([name])
        elif name not in self.copied:
            self.copied.add(name)
            self._add("ReorderInput", [self._before_transpose(name)], [name + _BLOCKED])
        return name + _BLOCKED

    def _before_transpose(self, name: str) -> str:
        """Return the input of a copy into blocks, which includes a transposition from NHWC."""
        kernel = self.makers.get(name)
        if kernel is None or kernel.op_type != "Transpose" or self.uses[name] != 1:
            return name
        shape = self.view.tensor(kernel.inputs[0]).shape
        if self.view.tensor(name).shape != (shape[0], shape[-1], *shape[1:-1]):
            return name
        self.kernels.remove(kernel)
        return kernel.inputs[0]

    def _pool(self, kernel: Kernel) -> bool:
        if kernel.op_type not in _POOLS or not self._aligned(kernel.inputs):
            return False
        self._make(kernel, [self._in_blocks(kernel.inputs[0])])
        return True

    def _elementwise(self, kernel: Kernel) -> bool:
        names = kernel.inputs
        if len({self.view.tensor(name).shape for name in names}) > 1 or len(names) != 2:
            return False
        self._use(names)
        if kernel.op_type != "Mul":
            for name, other in (names, names[::-1]):
                argument = self.arguments[name]
                maker = argument.kernel
                if maker.op_type == "Conv" and argument.uses == 1 and maker.over is None:
                    maker.inputs.append(other + _BLOCKED)
                    maker.over = other + _BLOCKED
                    self._rename(maker, kernel.outputs[0])
                    return True
        self._make(kernel, [name + _BLOCKED for name in names])
        return True

    def _activation(self, kernel: Kernel) -> bool:
        argument = self.arguments[kernel.inputs[0]]
        self._use(kernel.inputs)
        if argument.kernel.op_type == "Conv" and argument.uses == 1:
            argument.kernel.op_type = "FusedConv"
            self._rename(argument.kernel, kernel.outputs[0])
        else:
            self._make(kernel, [kernel.inputs[0] + _BLOCKED])
        return True

    def _same(self, kernel: Kernel) -> bool:
        self._use(kernel.inputs)
        self._make(kernel, [name + _BLOCKED for name in kernel.inputs])
        return True

    def _to_channels_last(self, kernel: Kernel) -> bool:
        shape = self.view.tensor(kernel.inputs[0]).shape
        wanted = (shape[0], *shape[2:], shape[1])
        return self.view.tensor(kernel.outputs[0]).shape == wanted

    def _aligned(self, names: Sequence[str]) -> bool:
        shapes = [self.view.tensor(name).shape for name in names]
        return all(len(shape) == 4 and shape[1] % _BLOCK == 0 for shape in shapes)

    def _use(self, names: Sequence[str]) -> None:
        for name in names:
            self.arguments[name].left -= 1

    def _make(self, kernel: Kernel, inputs: list[str]) -> None:
        made = self._add(kernel.op_type, inputs, [kernel.outputs[0] + _BLOCKED])
        uses = self.uses[kernel.outputs[0]]
        self.arguments[kernel.outputs[0]] = _Argument(made, uses, uses)

    def _rename(self, kernel: Kernel, output: str) -> None:
        """Let a kernel make the result of the kernel that is fused into it."""
        kernel.outputs = [output + _BLOCKED]
        uses = self.uses[output]
        self.arguments[output] = _Argument(kernel, uses, uses)

    def _add(self, op_type: str, inputs: list[str], outputs: list[str]) -> Kernel:
        self.rank += 1
        kernel = Kernel(op_type, inputs, outputs, self.rank)
        self.kernels.append(kernel)
        return kernel
