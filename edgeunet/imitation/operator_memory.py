"""What onnxruntime's kernels overwrite, and what they take beside their result, by operator.

Asked of version 1.32, operator by operator (``tests/imitation/test_operator_memory.py``), and the
same on every processor. Convolutions are in ``convolution_memory.py``.
"""

from __future__ import annotations

from edgeunet.graph.summary import GraphNode, GraphView
from edgeunet.imitation.kernels import Kernel, Scratch

_IN_PLACE = frozenset(
    {
        *("Celu", "Clip", "Elu", "HardSigmoid", "LeakyRelu", "LogSoftmax", "Relu", "Selu"),
        *("Shrink", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh", "ThresholdedRelu"),
        "Trilu",
    }
)
_ALONG_LAST = frozenset({"Softmax", "LogSoftmax", "Hardmax"})
_OF_MANY = frozenset({"Sum", "Mean", "Max", "Min"})
# Two places and two weights for every row and every column of what is enlarged.
_PLACE_BYTES = 16


def overwrites(node: GraphNode, view: GraphView) -> bool:
    """Return whether a kernel overwrites its first input, unless that is read later."""
    if node.op_type == "Cast":
        return view.tensor(node.inputs[0]).size_bytes == view.tensor(node.outputs[0]).size_bytes
    return node.op_type in _IN_PLACE


def set_scratch(kernel: Kernel, node: GraphNode, view: GraphView) -> None:
    """Set what the kernel of an operator takes while it runs, if it takes anything."""
    made = view.tensor(node.outputs[0])
    whole = Scratch(made.size_bytes)
    if node.op_type in _ALONG_LAST and node.axis not in (None, -1, len(made.shape) - 1):
        # It is computed on a transposed copy, into another one.
        kernel.scratch = (whole, whole)
    elif node.op_type == "Where":
        # What is chosen of either operand, before both are joined.
        kernel.scratch, kernel.scratch_first = (whole, whole), True
    elif node.op_type in _OF_MANY and len(node.inputs) > 2:
        # Two operands at a time.
        kernel.scratch, kernel.scratch_first = (whole,), True
    elif node.op_type == "Resize" and node.mode == "linear" and len(made.shape) == 4:
        places = sum(made.shape[2:]) * _PLACE_BYTES
        kernel.scratch = (Scratch(places, least_bytes=places),)
    elif node.op_type == "LRN":
        # Squares, and the same with channels beside the first and the last.
        kernel.scratch = (whole, Scratch(2 * made.size_bytes))
