"""A graph of kernels that fusions change: who makes a tensor, who reads it, one kernel for many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from edgeunet.graph.summary import GraphView
from edgeunet.imitation.kernels import Kernel, in_order, source_of


class KernelGraph:
    """The kernels of a graph; ``kernels`` are those that are left, and some that are not."""

    def __init__(self, kernels: Sequence[Kernel], view: GraphView) -> None:
        self.kernels = list(kernels)
        self.view = view
        self._running: list[Kernel] | None = None
        self.rank = max((kernel.rank for kernel in kernels), default=0)
        self.makers = {name: one for one in kernels for name in one.outputs}
        self.readers: dict[str, list[Kernel]] = {}
        for one in kernels:
            for name in one.inputs:
                self.readers.setdefault(name, []).append(one)

    def each(
        self, kinds: Collection[str], beside: Collection[str], fuse: Callable[[Kernel], None]
    ) -> None:
        """Call ``fuse`` with every kernel of some kinds, in the order in which they run.

        beside: kinds that the graph needs as well.
        """
        known = {kernel.op_type for kernel in self.kernels}
        if known.isdisjoint(kinds) or not known.issuperset(beside):
            return
        for kernel in self.running():
            if kernel.op_type in kinds and self.is_there(kernel):
                fuse(kernel)

    def running(self) -> list[Kernel]:
        """Return the kernels that are left, in the order in which they run."""
        if self._running is None:
            self._running = in_order(self.left())
        return self._running

    def left(self) -> list[Kernel]:
        """Return the kernels that are left, those that were added last."""
        self.kernels = [kernel for kernel in self.kernels if self.is_there(kernel)]
        return self.kernels

    def shape(self, name: str) -> tuple[int, ...]:
        return self.view.tensor(source_of(name)).shape

    def maker(self, name: str, *kinds: str) -> Kernel | None:
        found = self.makers.get(name)
        return found if found is not None and found.op_type in kinds else None

    def only_reader(self, kernel: Kernel) -> Kernel | None:
        """Return what alone reads a kernel's result, unless that leaves the graph."""
        name = kernel.outputs[0]
        readers = self.readers.get(name, ())
        if len(kernel.outputs) > 1 or len(readers) != 1 or name in self.view.outputs:
            return None
        return readers[0]

    def read_elsewhere(self, parts: Sequence[Kernel]) -> bool:
        """Return whether anything else needs what is made before the last of some kernels."""
        inside = {id(one) for one in parts}
        names = [name for one in parts[:-1] for name in one.outputs]
        if set(names).intersection(self.view.outputs):
            return True
        return any(id(one) not in inside for name in names for one in self.readers.get(name, ()))

    def is_there(self, kernel: Kernel) -> bool:
        return self.makers.get(kernel.outputs[0]) is kernel

    def fuse(
        self,
        op_type: str,
        parts: Sequence[Kernel],
        inputs: list[str],
        outputs: list[str] | None = None,
    ) -> Kernel:
        """Put one kernel in the place of several; it makes what the last of them did."""
        made = list(parts[-1].outputs) if outputs is None else outputs
        for part in parts:
            self.drop(part)
        self.rank += 1
        fused = Kernel(op_type, inputs, made, self.rank, weights=parts[-1].weights)
        for name in inputs:
            self.readers.setdefault(name, []).append(fused)
        self.make(fused, made)
        self.kernels.append(fused)
        return fused

    def make(self, kernel: Kernel, outputs: list[str]) -> None:
        self._running = None
        kernel.outputs = outputs
        self.makers.update(dict.fromkeys(outputs, kernel))

    def read(self, kernel: Kernel, name: str, instead: str) -> None:
        """Let a kernel read another tensor instead of one."""
        self._running = None
        kernel.inputs = [instead if one == name else one for one in kernel.inputs]
        self.readers[name] = [one for one in self.readers[name] if one is not kernel]
        self.readers.setdefault(instead, []).append(kernel)
        if kernel.over == name:
            kernel.over = instead

    def drop_unread(self, kernel: Kernel) -> None:
        name = kernel.outputs[0]
        if not self.readers.get(name) and name not in self.view.outputs:
            self.drop(kernel)

    def drop(self, kernel: Kernel) -> None:
        self._running = None
        for name in kernel.outputs:
            if self.makers.get(name) is kernel:
                del self.makers[name]
        for name in kernel.inputs:
            self.readers[name] = [one for one in self.readers[name] if one is not kernel]
