"""What convolutions allocate beside their result, on each class of processors.

From onnxruntime's source, 1.32 (``core/mlas/lib/convolve.cpp`` and ``convsym.cpp``,
``core/providers/cpu/quantization/qlinearconv.cc``), and equal to what it allocates when it runs
(``tests/imitation/test_traces.py``).
"""

from __future__ import annotations

import math

from edgeunet.graph.summary import GraphNode, GraphView
from edgeunet.imitation.kernels import Kernel, Scratch
from edgeunet.processors import ProcessorClass

_FLOAT = 4
# Sums of integer products, and pointers to the pixels that a kernel reads.
_SUM, _POINTER = 4, 8
# A thread's copy of what a piece of the result reads.
_PIECE_BYTES = 64 << 10
_MOST_THREADS = 16
# What a thread packs at once: columns, the least and the most rows, and its share of all rows.
_MOST_PACKED = 384
_PACKED_ROWS = (16, 48)
_PACKED_OF = 12
# A pool of bytes works on so many pixels at once.
_POOLED = 512


def float_scratch(
    kernel: Kernel, view: GraphView, processor: ProcessorClass, threads: int
) -> tuple[Scratch, ...]:
    """Return what a float convolution takes while it runs, where there are no channel blocks.

    Each thread copies what one piece of the result reads. With more filters than pixels all that is
    read is copied at once.
    """
    kept, inputs, *taps = view.tensor(kernel.weights[0]).shape
    source, made = view.tensor(kernel.inputs[0]).shape, view.tensor(kernel.outputs[0]).shape
    if math.prod(taps) == 1 and source[2:] == made[2:]:
        return ()
    groups = source[1] // inputs
    columns, pixels, filters = inputs * math.prod(taps), math.prod(made[2:]), kept // groups
    if processor.depthwise_rows and inputs == 1 and kept == groups > 1 and taps == [3, 3]:
        return (Scratch((source[3] + 2) * _FLOAT),)
    most = groups if groups > 1 else _MOST_THREADS
    count = min(threads, most)
    # What is copied at once is smaller than this.
    until = filters * columns * _FLOAT
    return (
        Scratch(
            pixels * columns * _FLOAT,
            until_bytes=until,
            beyond_bytes=count * _PIECE_BYTES,
            threads=count,
            most_threads=most,
        ),
    )


def transposed_scratch(node: GraphNode, view: GraphView) -> tuple[Scratch, ...]:
    """Return the columns that a transposed convolution makes before it sums them."""
    shape = view.tensor(node.inputs[0]).shape
    per_pixel = math.prod(view.tensor(node.inputs[1]).shape[1:])
    return (Scratch(per_pixel * math.prod(shape[2:]) * _FLOAT),)


def integer_scratch(
    node: GraphNode, view: GraphView, processor: ProcessorClass
) -> tuple[Scratch, ...]:
    """Return what an integer convolution takes while it runs.

    A direct one takes pointers to the pixels that it reads. Others take sums of 32 bits, and a copy
    of the input per kernel element.
    """
    kept, inputs, *kernel = view.tensor(node.inputs[1]).shape
    source, made = view.tensor(node.inputs[0]).shape, view.tensor(node.outputs[0]).shape
    pixels = math.prod(made) // kept
    reads = math.prod(kernel)
    in_place = reads == 1 and math.prod(source[2:]) == math.prod(made[2:])
    depthwise = inputs == 1 and source[1] == kept > 1
    if _is_direct(kept, inputs, reads, source[1] // inputs, processor):
        pointers = Scratch(pixels * reads * _POINTER)
        return () if in_place and not depthwise else (pointers,)
    sums = Scratch(pixels * kept * _SUM)
    if depthwise:
        return (sums, Scratch(pixels * reads * _POINTER))
    if in_place:
        return (sums,)
    return (sums, Scratch(pixels * reads * inputs + processor.integers.overrun_bytes))


def packing(node: GraphNode, view: GraphView, processor: ProcessorClass) -> Scratch | None:
    """Return the buffer that every thread packs an integer convolution's input into, and keeps.

    It holds as many pixels as a thread computes at once: an eighth of the result with two threads,
    a sixteenth with four, at least 16 and at most 48. A twelfth is taken for both. None for direct
    convolutions and those of single channels.
    """
    kept, inputs, *kernel = view.tensor(node.inputs[1]).shape
    reads, groups = math.prod(kernel), view.tensor(node.inputs[0]).shape[1] // inputs
    if _is_direct(kept, inputs, reads, groups, processor) or (inputs == 1 and groups == kept > 1):
        return None
    row_bytes = min(inputs * reads, _MOST_PACKED) * processor.integers.packed_number_bytes
    pixels = math.prod(view.tensor(node.outputs[0]).shape[2:])
    least, most = (row_bytes * rows for rows in _PACKED_ROWS)
    return Scratch(math.ceil(row_bytes * pixels / _PACKED_OF), least, most, most)


def pool_scratch(node: GraphNode, view: GraphView) -> tuple[Scratch, ...]:
    """Return the pointers that a pool of bytes takes; it works on a number of pixels at once."""
    source, made = view.tensor(node.inputs[0]).shape, view.tensor(node.outputs[0]).shape
    pixels = math.prod(made[2:])
    reads = math.prod(source[2:]) // pixels
    most = _POOLED * reads * _POINTER
    return (Scratch(pixels * reads * _POINTER, until_bytes=most, beyond_bytes=most),)


def packed_bytes(node: GraphNode, view: GraphView, processor: ProcessorClass) -> int:
    """Return what an integer convolution's reordered weights take in the arena.

    Only a direct one's lie there. onnxruntime reserves memory beside the arena for all others: they
    are no part of its region, though its limit counts them.
    """
    kept, inputs, *kernel = view.tensor(node.inputs[1]).shape
    reads, groups = math.prod(kernel), view.tensor(node.inputs[0]).shape[1] // inputs
    if not _is_direct(kept, inputs, reads, groups, processor):
        return 0
    if groups > 1:
        return kept * reads
    outputs = processor.integers.direct_outputs
    return -(-kept // outputs) * outputs * inputs * reads


def _is_direct(kept: int, inputs: int, reads: int, groups: int, processor: ProcessorClass) -> bool:
    """Return whether an integer convolution reads its input where it is."""
    kind = processor.integers
    if not kind.direct_outputs:
        return False
    if groups > 1:
        return inputs == 1 and kept == groups and groups % kind.direct_groups == 0
    return (
        inputs >= kind.direct_least_inputs
        and (reads > 1 or kind.direct_pointwise)
        and kept >= kind.direct_outputs
        and inputs % kind.direct_inputs_of == 0
        and kept % kind.direct_outputs_of == 0
    )
