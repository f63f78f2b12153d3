"""What onnxruntime's threads take as their stacks while kernels run.

From onnxruntime's source, 1.32 (``core/mlas/lib/sgemm.cpp`` and ``convolve.cpp``): a product of
float matrices copies a piece of its second matrix, of 128 rows and columns, to the stack of every
thread, unless that matrix is a single one of weights, which is packed when the graph is loaded. A
convolution without channel blocks is such a product; one in blocks is none. Pages of a stack stay
once they were used, and every stage's session has threads of its own. Measured: 72 KiB for each
thread of a stage with such a product, and none for those of others.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgeunet.graph.summary import GraphView, TensorKind
from edgeunet.imitation.kernels import Kernel, is_blocked

STACK_BYTES = 72 << 10

_PRODUCTS = frozenset({"FusedGemm", "FusedMatMul", "Gemm", "MatMul"})
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "FusedConv"})
_CONSTANT = (TensorKind.WEIGHT, TensorKind.CONSTANT)


def fills_stacks(kernels: Iterable[Kernel], view: GraphView) -> bool:
    """Return whether threads of a graph copy pieces of matrices to their stacks."""
    products = {
        node.outputs[0]
        for node in view.nodes
        if node.op_type in _PRODUCTS and not _is_packed(node.inputs[1], view)
    }
    return any(
        kernel.outputs[0] in products
        or (kernel.op_type in _CONVOLUTIONS and not is_blocked(kernel))
        for kernel in kernels
    )


def _is_packed(name: str, view: GraphView) -> bool:
    tensor = view.tensor(name)
    return tensor.kind in _CONSTANT and len(tensor.shape) == 2
