"""What onnxruntime's threads take beside the arena while kernels run, and then keep.

From onnxruntime's source, 1.32 (``core/mlas/lib``: ``sgemm.cpp``, ``convolve.cpp``, ``qgemm.h``). A
product of float matrices copies a piece of its second matrix, of 128 rows and columns, to the stack
of every thread, unless that matrix is a single one of weights, which is packed when the graph is
loaded. A convolution without channel blocks is such a product; one in blocks is none. Measured: 72
KiB for each thread of a stage with such a product, and none for those of others. Integer
convolutions that are not direct pack pieces of what they read into a buffer of each thread.

Every stage's session has threads of its own, but for the first, which is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeunet.graph.summary import GraphView, TensorKind
from edgeunet.imitation.kernels import Kernel, is_blocked

STACK_BYTES = 72 << 10

_PRODUCTS = frozenset({"FusedGemm", "FusedMatMul", "Gemm", "MatMul"})
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "FusedConv"})
# Objects that the library keeps for a thread of a stage; 1.2 KiB were measured.
_OBJECT_BYTES = 3 << 9
# What lies beside what is packed: sums of rows and columns.
_SUMS_BYTES = 3 << 10
_CONSTANT = (TensorKind.WEIGHT, TensorKind.CONSTANT)


def stack_bytes_of(kernels: Sequence[Kernel], view: GraphView) -> int:
    """Return what each thread but the first takes on its stack for the kernels of a graph."""
    products = {
        node.outputs[0]
        for node in view.nodes
        if node.op_type in _PRODUCTS and not _is_packed(node.inputs[1], view)
    }
    fills = any(
        kernel.outputs[0] in products
        or (kernel.op_type in _CONVOLUTIONS and not is_blocked(kernel))
        for kernel in kernels
    )
    return STACK_BYTES if fills else 0


def each_further(stacks: Sequence[int], packed: Sequence[int]) -> int:
    """Return what every thread but the first takes for stages that run in turn.

    stacks, packed: what it takes for each stage on its stack, and in buffers that it packs into.
    """
    packing = sum(one + _SUMS_BYTES for one in packed if one)
    return sum(stacks) + packing + len(stacks) * _OBJECT_BYTES


def first_thread(packed: Sequence[int]) -> int:
    """Return what the caller's thread packs into; its stack is larger than kernels need."""
    most = max(packed, default=0)
    return most + _SUMS_BYTES if most else 0


def _is_packed(name: str, view: GraphView) -> bool:
    tensor = view.tensor(name)
    return tensor.kind in _CONSTANT and len(tensor.shape) == 2
