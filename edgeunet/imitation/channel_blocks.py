"""Channel blocks: convolutions on x86 compute on 8 or 16 channels at once.

onnxruntime puts copies into and out of the blocks where other operators write or read, and fuses a
sum into the convolution before it: the sum then overwrites its other term. Derived from the
behaviour and the profiles of versions 1.17 to 1.32.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeunet.graph.integer import BITS
from edgeunet.graph.summary import TO_FIRST, GraphTensor, GraphView
from edgeunet.imitation.kernels import Kernel, in_blocks, in_order, source_of

ACTIVATIONS = frozenset({"Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid"})
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})
# Copies into blocks read this many channels at once.
_TOGETHER = 4


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


@dataclass
class ChannelBlocks:
    """The pass over a graph that moves convolutions, and operators around them, into blocks.

    block: the number of channels in a block.
    """

    view: GraphView
    block: int
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
            self._add("ReorderOutput", [in_blocks(name)], [name])
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
        if kernel.op_type in ACTIVATIONS or kernel.op_type == "HardSwish":
            return self._activation(kernel)
        if kernel.op_type == "Transpose" and self._to_channels_last(kernel):
            self._use(kernel.inputs)
            self._add("ReorderOutput", [in_blocks(kernel.inputs[0])], kernel.outputs)
            return True
        if kernel.op_type in ("Resize", "Upsample"):
            return self._same(kernel)
        return self._pool(kernel)

    def _convolution(self, kernel: Kernel) -> bool:
        name = kernel.inputs[0]
        shape = self._tensor(name).shape
        if len(shape) != 4 or len(kernel.inputs) != 1:
            return False
        if kernel.weights:
            kept, inputs = self._tensor(kernel.weights[0]).shape[:2]
            groups = shape[1] // inputs
        else:
            kept, inputs, groups = self._tensor(kernel.outputs[0]).shape[1], shape[1], 1
        if groups > 1:
            if not self._takes_groups(kept, inputs, groups):
                return False
        elif inputs < self.block:
            self._make(kernel, [name])
            return True
        elif inputs % _TOGETHER:
            return False
        self._make(kernel, [self._entered(name)])
        return True

    def _takes_groups(self, kept: int, inputs: int, groups: int) -> bool:
        """Return whether the convolution of several groups of channels has a form in blocks."""
        if kept % _TOGETHER:
            return False
        if inputs == 1 and kept == groups:
            return True
        return inputs % self.block == 0 and (kept // groups) % self.block == 0

    def _entered(self, name: str) -> str:
        """Return the blocked form of a tensor, with a copy into blocks if no kernel makes it."""
        if name in self.arguments:
            self._use([name])
        elif name not in self.copied:
            self.copied.add(name)
            self._add("ReorderInput", [self._before_transpose(name)], [in_blocks(name)])
        return in_blocks(name)

    def _before_transpose(self, name: str) -> str:
        """Return the input of a copy into blocks, which includes a transposition from NHWC."""
        kernel = self.makers.get(name)
        if kernel is None or kernel.op_type != "Transpose" or self.uses[name] != 1:
            return name
        shape = self._tensor(kernel.inputs[0]).shape
        from_last = self._tensor(name).shape == (shape[0], shape[-1], *shape[1:-1])
        if kernel.perm != TO_FIRST and not from_last:
            return name
        self.kernels.remove(kernel)
        return kernel.inputs[0]

    def _pool(self, kernel: Kernel) -> bool:
        if kernel.op_type not in _POOLS or not self._aligned(kernel.inputs):
            return False
        if self._tensor(kernel.inputs[0]).dtype in BITS:
            return False
        self._make(kernel, [self._entered(kernel.inputs[0])])
        return True

    def _elementwise(self, kernel: Kernel) -> bool:
        names = kernel.inputs
        if len({self._tensor(name).shape for name in names}) > 1 or len(names) != 2:
            return False
        self._use(names)
        if kernel.op_type != "Mul":
            for name, other in (names, names[::-1]):
                argument = self.arguments[name]
                maker = argument.kernel
                if maker.op_type == "Conv" and argument.uses == 1 and maker.over is None:
                    maker.inputs.append(in_blocks(other))
                    maker.over = in_blocks(other)
                    self._rename(maker, kernel.outputs[0])
                    return True
        self._make(kernel, [in_blocks(name) for name in names])
        return True

    def _activation(self, kernel: Kernel) -> bool:
        argument = self.arguments[kernel.inputs[0]]
        self._use(kernel.inputs)
        # x * hard sigmoid(x) is several operators, which are put together again unless they make an
        # output of the graph.
        whole = kernel.op_type in ACTIVATIONS or kernel.outputs[0] not in self.view.outputs
        if argument.kernel.op_type == "Conv" and argument.uses == 1 and whole:
            argument.kernel.op_type = "FusedConv"
            self._rename(argument.kernel, kernel.outputs[0])
        else:
            made = self._make(kernel, [in_blocks(kernel.inputs[0])])
            made.over = made.inputs[0]
        return True

    def _same(self, kernel: Kernel) -> bool:
        self._use(kernel.inputs)
        self._make(kernel, [in_blocks(name) for name in kernel.inputs])
        return True

    def _to_channels_last(self, kernel: Kernel) -> bool:
        shape = self._tensor(kernel.inputs[0]).shape
        wanted = (shape[0], *shape[2:], shape[1])
        return self._tensor(kernel.outputs[0]).shape == wanted

    def _aligned(self, names: Sequence[str]) -> bool:
        shapes = [self._tensor(name).shape for name in names]
        return all(len(shape) == 4 and shape[1] % self.block == 0 for shape in shapes)

    def _tensor(self, name: str) -> GraphTensor:
        return self.view.tensor(source_of(name))

    def _use(self, names: Sequence[str]) -> None:
        for name in names:
            self.arguments[name].left -= 1

    def _make(self, kernel: Kernel, inputs: list[str]) -> Kernel:
        made = self._add(kernel.op_type, inputs, [in_blocks(kernel.outputs[0])])
        uses = self.uses[kernel.outputs[0]]
        self.arguments[kernel.outputs[0]] = _Argument(made, uses, uses)
        return made

    def _rename(self, kernel: Kernel, output: str) -> None:
        """Let a kernel make the result of the kernel that is fused into it."""
        kernel.outputs = [in_blocks(output)]
        uses = self.uses[output]
        self.arguments[output] = _Argument(kernel, uses, uses)

    def _add(self, op_type: str, inputs: list[str], outputs: list[str]) -> Kernel:
        self.rank += 1
        kernel = Kernel(op_type, inputs, outputs, self.rank)
        self.kernels.append(kernel)
        return kernel
