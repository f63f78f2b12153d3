"""Kernels that onnxruntime fuses on every processor: products, norms, activations and splits.

A product and a bias become ``Gemm``, the parts of a norm ``LayerNormalization``, or
``SimplifiedLayerNormalization`` without a mean, those of a Gelu ``Gelu``, slices that cover a
tensor ``Split``, a sum and its norm ``SkipLayerNormalization``, x * sigmoid(x) ``QuickGelu``. A
product takes in transpositions and factors around it: ``FusedMatMul``. What was in between is
never allocated. Derived from the optimized graphs and the allocations of version 1.32
(``tests/imitation/test_fused_kernels.py``).
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

from edgeunet.graph.summary import TO_FIRST, GraphView
from edgeunet.imitation.kernel_graph import KernelGraph
from edgeunet.imitation.kernels import Kernel, Scratch, earlier

_FACTORS = ("Mul", "Div")
# Transpositions are moved past these, which compute number by number.
_NUMBER_BY_NUMBER = frozenset(
    {"Abs", "Clip", "Erf", "Exp", "LeakyRelu", "Neg", "Relu", "Sigmoid", "Sqrt", "Tanh"}
)
_OF_TWO = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"})
_LATE = frozenset({"Erf", "Gather", "LayerNormalization", "MatMul", "Sigmoid", "Slice", "Sqrt"})
_ROWS_FIRST = (0, 2, 1)
_FLOATS = ("float32", "float16")


def fuse_early(kernels: Sequence[Kernel], view: GraphView) -> list[Kernel]:
    """Return the kernels with what is fused before activations are fused with convolutions."""
    kinds = collections.Counter(kernel.op_type for kernel in kernels)
    if not (kinds["MatMul"] or kinds["Sqrt"] or kinds["Transpose"] > 1):
        return list(kernels)
    graph = _Fusing(kernels, view)
    graph.each(("MatMul",), ("Add",), graph.biased_product)
    graph.each(("Sqrt",), ("ReduceMean", "Div"), graph.norm)
    graph.each(("Transpose",), ("Gather",), graph.transposition_of_parts)
    graph.each(("Transpose",), (), graph.transposition_that_is_undone)
    graph.each(("Transpose",), ("Reshape",), graph.transposition_of_rows)
    return graph.left()


def fuse_late(kernels: Sequence[Kernel], view: GraphView) -> list[Kernel]:
    """Return the kernels with what is fused after activations are fused with convolutions."""
    if _LATE.isdisjoint(kernel.op_type for kernel in kernels):
        return list(kernels)
    graph = _Fusing(kernels, view)
    graph.each(("Erf",), (), graph.gelu)
    graph.each(("Sqrt",), ("ReduceMean", "Div"), graph.norm_without_mean)
    graph.split()
    graph.each(("MatMul",), ("Transpose",), graph.transposed_product)
    graph.each(("LayerNormalization",), ("Add",), graph.norm_of_sum)
    graph.each(("Sigmoid",), ("Mul",), graph.quick_gelu)
    graph.each(("MatMul", "FusedMatMul"), (), graph.scaled_product)
    return graph.left()


class _Fusing(KernelGraph):
    """The kernels of a graph while they are fused."""

    def biased_product(self, product: Kernel) -> None:
        """Fuse the product with a matrix and the sum after it.

        The sum's other term has a number for every column, or fits the product of two matrices.
        """
        add = self.only_reader(product)
        if add is None or add.op_type != "Add" or product.node is None:
            return
        left, right = product.node.inputs[:2]
        term = _other(add, product.outputs[0])
        if term is None or self.view.tensor(left).dtype not in _FLOATS:
            return
        rows, columns, bias = self.shape(left), self.shape(right), self.shape(term)
        fits = len(columns) == 2 and bias == columns[1:]
        if len(columns) == len(rows) == 2:
            fits = fits or bias in {(1, columns[1]), (rows[0], 1), (rows[0], columns[1])}
        if not fits:
            return
        others = [name for name in add.inputs if name == term]
        fused = self.fuse("Gemm", [product, add], [*product.inputs, *others])
        if len(rows) != 2:
            # It is the product of two matrices, between two reshapes.
            self.rank += 2
            fused.rank = self.rank
            if fused.outputs[0] in self.view.outputs:
                # The last reshape copies this to the caller.
                fused.scratch = (Scratch(self.view.tensor(fused.outputs[0]).size_bytes),)

    def norm(self, root: Kernel) -> None:
        """Fuse (x - mean) / sqrt(mean of squares + e) * weight + bias over the last axis."""
        parts = self._root_norm(root)
        apart = parts and self.maker(parts[0].inputs[0], "Sub")
        end = parts and self.only_reader(parts[-1])
        if not (apart and end) or len(apart.inputs) != 2 or end.op_type != "Add":
            return
        x, mean_name = apart.inputs
        mean = self.maker(mean_name, "ReduceMean")
        if mean is None or mean.inputs != [x] or not self._are_rows(end.weights, x):
            return
        parts = [mean, apart, *parts, end]
        if self._is_mean_of_rows(mean) and not self.read_elsewhere(parts):
            self.fuse("LayerNormalization", parts, [x])

    def norm_without_mean(self, root: Kernel) -> None:
        """Fuse x / sqrt(mean of squares + e) * weight over the last axis."""
        parts = self._root_norm(root)
        if parts and not self.read_elsewhere(parts):
            self.fuse("SimplifiedLayerNormalization", parts, parts[0].inputs[:1])

    def _root_norm(self, root: Kernel) -> list[Kernel]:
        """Return the kernels of such a norm around a root, in order; nothing for other roots."""
        plus = self.maker(root.inputs[0], "Add")
        variance = plus and self.maker(plus.inputs[0], "ReduceMean")
        squares = variance and self.maker(variance.inputs[0], "Pow", "Mul")
        quotient = self.only_reader(root)
        product = quotient and self.only_reader(quotient)
        if not (plus and variance and squares and quotient and product):
            return []
        x = squares.inputs[0]
        if quotient.op_type != "Div" or quotient.inputs != [x, root.outputs[0]]:
            return []
        if product.op_type != "Mul" or not self._are_rows(product.weights, x):
            return []
        found = [squares, variance, plus, root, quotient, product]
        return found if self._is_mean_of_rows(variance) else []

    def _is_mean_of_rows(self, mean: Kernel) -> bool:
        """Return whether it is over the last axis, and no transposition was taken out before."""
        return not mean.perm and self.shape(mean.outputs[0]) == (
            *self.shape(mean.inputs[0])[:-1],
            1,
        )

    def _are_rows(self, weights: Sequence[str], name: str) -> bool:
        """Return whether a kernel's weights are one number for every column of a tensor."""
        return [self.shape(one) for one in weights] == [self.shape(name)[-1:]]

    def transposition_of_rows(self, transposed: Kernel) -> None:
        """Move a transposition of (N, H * W, C) behind the reshape to (N, C, H, W) after it."""
        reshape = self.only_reader(transposed)
        if reshape is None or reshape.op_type != "Reshape" or transposed.perm != _ROWS_FIRST:
            return
        before, after = self.shape(transposed.outputs[0]), self.shape(reshape.outputs[0])
        if len(after) != 4 or before[:2] != after[:2]:
            return
        between, made = transposed.outputs[0], reshape.outputs[0]
        self.read(reshape, between, transposed.inputs[0])
        reshape.over = reshape.inputs[0]
        self.make(reshape, [between])
        self.read(transposed, transposed.inputs[0], between)
        self.make(transposed, [made])
        transposed.perm = TO_FIRST

    def transposition_of_parts(self, transposed: Kernel) -> None:
        """Transpose what is taken of a transposed tensor, in place of the whole tensor."""
        name, perm = transposed.outputs[0], transposed.perm
        readers = self.readers.get(name, [])
        taken = [one for one in readers if one.op_type == "Gather" and one.part is not None]
        if not taken or len(taken) < len(readers) or name in self.view.outputs or not perm:
            return
        for gather in taken:
            assert gather.part is not None
            axis, start, end = gather.part
            made = gather.outputs[0]
            gather.part = (perm[axis], start, end)
            self.read(gather, name, transposed.inputs[0])
            self.make(gather, [earlier(made)])
            kept = [one for one in perm if one != perm[axis]]
            if len(self.shape(made)) == len(perm):
                kept = list(perm)
            order = tuple(sorted(kept).index(one) for one in kept)
            self.rank += 1
            after = Kernel("Transpose", [earlier(made)], [made], self.rank, perm=order)
            self.readers.setdefault(earlier(made), []).append(after)
            self.make(after, [made])
            self.kernels.append(after)
        self.drop(transposed)

    def transposition_that_is_undone(self, first: Kernel) -> None:
        """Take out a transposition and its inverses, whatever is between that can do without.

        Two others in a row become one.
        """
        name = first.outputs[0]
        after = self.only_reader(first)
        if after is not None and after.op_type == "Transpose" and first.perm and after.perm:
            both = tuple(first.perm[axis] for axis in after.perm)
            if both != tuple(range(len(both))):
                self.read(after, name, first.inputs[0])
                self.drop(first)
                after.perm = both
                return
        between, ends = self._up_to_inverses(first)
        made = {one.outputs[0] for one in between}
        if not ends or any({*one.inputs} - {*made, name} for one in between):
            return
        if any(
            self.readers[end.inputs[0]] != [end]
            for end in ends
            if end.outputs[0] in self.view.outputs
        ):
            return
        for one in between:
            one.perm = first.perm
        for reader in list(self.readers[name]):
            self.read(reader, name, first.inputs[0])
        for end in ends:
            source, result = end.inputs[0], end.outputs[0]
            self.drop(end)
            if result in self.view.outputs:
                self.make(self.makers[source], [result])
                continue
            for reader in list(self.readers.get(result, ())):
                self.read(reader, result, source)
        self.drop(first)

    def _up_to_inverses(self, first: Kernel) -> tuple[list[Kernel], list[Kernel]]:
        """Return what computes on a transposed tensor, and the inverse transpositions behind.

        There are none of these if it goes anywhere else.
        """
        between: dict[int, Kernel] = {}
        ends: dict[int, Kernel] = {}
        names = [first.outputs[0]]
        while names:
            name = names.pop()
            if name in self.view.outputs:
                return [], []
            for reader in self.readers.get(name, ()):
                if reader.op_type == "Transpose":
                    if [first.perm[axis] for axis in reader.perm] != sorted(first.perm):
                        return [], []
                    ends[id(reader)] = reader
                elif id(reader) not in between:
                    if not self._takes_any_order(reader):
                        return [], []
                    between[id(reader)] = reader
                    names += reader.outputs
        return list(between.values()), list(ends.values())

    def _takes_any_order(self, kernel: Kernel) -> bool:
        """Return whether a kernel computes the same with its axes in another order."""
        if kernel.op_type in _NUMBER_BY_NUMBER or kernel.op_type in _OF_TWO:
            return True
        ranks = {len(self.shape(name)) for name in (kernel.inputs[0], kernel.outputs[0])}
        return kernel.op_type.startswith("Reduce") and len(ranks) == 1

    def gelu(self, erf: Kernel) -> None:
        """Fuse 0.5 * x * (1 + erf(x / sqrt(2))), with the 0.5 first or last."""
        inner, plus = self.maker(erf.inputs[0], *_FACTORS), self.only_reader(erf)
        product = plus and self.only_reader(plus)
        if not (inner and plus and product) or not self._is_scaled(inner):
            return
        if plus.op_type != "Add" or not self._has_scalar(plus) or product.op_type != "Mul":
            return
        x, other = inner.inputs[0], _other(product, plus.outputs[0])
        half = self.only_reader(product) if other == x else self.maker(other or "", "Mul")
        if half is None or half.op_type != "Mul" or not self._is_scaled(half):
            return
        parts = (
            [inner, erf, plus, product, half] if other == x else [half, inner, erf, plus, product]
        )
        if (other == x or half.inputs == [x]) and not self.read_elsewhere(parts):
            self.fuse("Gelu", parts, [x])

    def split(self) -> None:
        """Fuse the slices of a tensor along one axis that have every element of it once."""
        if sum(kernel.op_type in ("Slice", "Gather") for kernel in self.kernels) < 2:
            return
        made = [one.outputs[0] for one in self.running() if len(one.outputs) == 1]
        for name in (*self.view.inputs, *made):
            readers = self.readers.get(name, [])
            slices = [one for one in readers if one.op_type in ("Slice", "Gather")]
            parts = {one.part: one for one in slices if one.part is not None}
            if len(parts) < 2 or len(parts) < len(slices):
                continue
            spans = sorted(parts)
            axis = spans[0][0]
            ends = [(axis, 0), *((axis, end) for _, _, end in spans)]
            starts = [*(span[:2] for span in spans), (axis, self.shape(name)[axis])]
            if starts == ends:
                kernels = [parts[span] for span in spans]
                self.fuse("Split", kernels, [name], [one.outputs[0] for one in kernels])

    def transposed_product(self, product: Kernel) -> None:
        """Fuse the transpositions of what a product reads into it."""
        found = False
        for name in tuple(product.inputs):
            maker, passed = self._transposition(name)
            if maker is None or not _fits_product(maker.perm):
                continue
            if passed and len(self.readers[maker.outputs[0]]) > 1:
                continue
            reader = passed[-1] if passed else product
            self.read(reader, maker.outputs[0], maker.inputs[0])
            self.drop_unread(maker)
            found = True
        if found:
            self.rank += 1
            product.op_type, product.rank = "FusedMatMul", self.rank

    def norm_of_sum(self, norm: Kernel) -> None:
        """Fuse the sum of two tensors (N, L, C) into the norm that alone reads it."""
        add = self.maker(norm.inputs[0], "Add")
        if add is None or len(add.inputs) != 2 or self.only_reader(add) is not norm:
            return
        first, second = map(self.shape, add.inputs)
        if first == second and len(first) == 3:
            self.fuse("SkipLayerNormalization", [add, norm], list(add.inputs))

    def quick_gelu(self, sigmoid: Kernel) -> None:
        """Fuse x * sigmoid(x), also with a factor before the sigmoid."""
        product = self.only_reader(sigmoid)
        if product is None or product.op_type != "Mul":
            return
        x, parts = sigmoid.inputs[0], [sigmoid, product]
        factor = self.maker(x, "Mul")
        if factor is not None and self._is_scaled(factor) and self.only_reader(factor) is sigmoid:
            x = factor.inputs[0]
            parts.insert(0, factor)
        if _other(product, sigmoid.outputs[0]) == x:
            self.fuse("QuickGelu", parts, [x])

    def scaled_product(self, product: Kernel) -> None:
        """Fuse factors of what a product reads, and one of its result, into it."""
        found = False
        for name in tuple(product.inputs):
            factor = self.maker(name, *_FACTORS)
            if factor is not None and self._is_scaled(factor):
                self.read(product, name, factor.inputs[0])
                self.drop_unread(factor)
                found = True
        after = self.only_reader(product)
        if after is not None and after.op_type in _FACTORS and self._is_scaled(after):
            self.drop(after)
            self.make(product, list(after.outputs))
            found = True
        if found:
            self.rank += 1
            product.op_type, product.rank = "FusedMatMul", self.rank

    def _transposition(self, name: str) -> tuple[Kernel | None, list[Kernel]]:
        """Return the transposition that a tensor comes from, and what computes on it since.

        The latter is in backward order.
        """
        passed: list[Kernel] = []
        maker = self.makers.get(name)
        while maker is not None and (maker.op_type in _NUMBER_BY_NUMBER or self._is_scaled(maker)):
            if self.only_reader(maker) is None:
                return None, []
            passed.append(maker)
            maker = self.makers.get(maker.inputs[0])
        if maker is None or maker.op_type != "Transpose" or maker.outputs[0] in self.view.outputs:
            return None, []
        return maker, passed

    def _is_scaled(self, kernel: Kernel) -> bool:
        """Return whether a kernel multiplies or divides by one number that is a weight."""
        return kernel.op_type in _FACTORS and self._has_scalar(kernel)

    def _has_scalar(self, kernel: Kernel) -> bool:
        if len(kernel.weights) != 1 or len(kernel.inputs) != 1:
            return False
        first = kernel.weights[0] if kernel.node is None else kernel.node.inputs[0]
        # One number that comes first in a quotient is no factor.
        if kernel.op_type == "Div" and first == kernel.weights[0]:
            return False
        shape = self.shape(kernel.weights[0])
        return set(shape) <= {1} and len(shape) <= len(self.shape(kernel.inputs[0]))


def _other(kernel: Kernel, name: str) -> str | None:
    """Return what a kernel of two operands reads beside ``name``; None if that is the same."""
    names = [one for one in (*kernel.inputs, *kernel.weights) if one != name]
    return names[0] if len(names) == 1 else None


def _fits_product(perm: Sequence[int]) -> bool:
    """Return whether a product can read its operand as it was before a transposition.

    The last axis stays one of the last two, and the axes before these keep their order.
    """
    rank = len(perm)
    if rank < 2 or rank - 1 not in perm[-2:]:
        return False
    return rank == 2 or list(perm[:-2]) in ([*range(rank - 2)], [*range(1, rank - 1)])
