"""The reach of operators that look at neighbours, or move elements along rows and columns.

Each function takes a node and the spatial axes of its first input.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir

from edgeunet.graph.attributes import int_of, ints_of, text_of
from edgeunet.graph.element_ranges import (
    Axes,
    Range,
    Reach,
    Rule,
    from_cells_of,
    in_cells_of,
    same,
    unknown,
)
from edgeunet.graph.values import constant_of, static_shape

# Larger numbers in a scale come from the size of a frame, not from a network's design.
_LARGEST_SCALE_PART = 16
_SIZES = "choose a frame whose sides are multiples of the network's strides"
# A slice that leaves out a larger part of the rows or columns divides the frame.
_LARGEST_CROP = Fraction(1, 8)


def windowed(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a convolution or pool.

    Output i reads [i * stride - pad, i * stride - pad + (kernel - 1) * dilation].
    """
    _check_image(node, axes)
    rules, steps = [], []
    for which in (0, 1):
        stride = _of_pair(node, "strides", which, 1)
        span = (_kernel(node, which) - 1) * _of_pair(node, "dilations", which, 1)
        rules.append(_windowed(stride, _pad_before(node, which, stride, span), span))
        steps.append(Fraction(stride))
    return Reach(axes, (rules[0], rules[1]), (steps[0], steps[1]))


def transposed(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a transposed convolution.

    Input i writes [i * stride - pad, i * stride - pad + (kernel - 1) * dilation].
    """
    _check_image(node, axes)
    if ints_of(node, "output_shape") is not None:
        raise unknown(node, "the size of its output is written into it")
    rules, steps = [], []
    for which in (0, 1):
        stride = _of_pair(node, "strides", which, 1)
        span = (_kernel(node, which) - 1) * _of_pair(node, "dilations", which, 1)
        rules.append(_transposed(stride, _cut_before(node, which, stride, span), span))
        steps.append(Fraction(1, stride))
    return Reach(axes, (rules[0], rules[1]), (steps[0], steps[1]))


def depth_to_space(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a pixel shuffle."""
    _check_image(node, axes)
    block = int_of(node, "blocksize", 1)
    rule = from_cells_of(block)
    return Reach(axes, (rule, rule), (Fraction(1, block),) * 2)


def space_to_depth(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a pixel unshuffle."""
    _check_image(node, axes)
    block = int_of(node, "blocksize", 1)
    rule = in_cells_of(block)
    return Reach(axes, (rule, rule), (Fraction(block),) * 2)


def resized(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a Resize or Upsample.

    Linear reads the two neighbours of a position, nearest one of them, cubic the four around it.
    """
    mode = text_of(node, "mode", "nearest")
    upsample = node.op_type == "Upsample"
    where = text_of(
        node, "coordinate_transformation_mode", "asymmetric" if upsample else "half_pixel"
    )
    if where not in ("asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"):
        raise unknown(
            node,
            f"it maps coordinates by {where}, which depends on the frame size",
            "export it with align_corners=False (half_pixel), if that is how it was trained",
        )
    neighbours = {"nearest": (0, 2), "linear": (0, 2), "cubic": (-1, 3)}.get(mode)
    if neighbours is None or int_of(node, "antialias", 0):
        raise unknown(node, f"its mode {mode} is not known, or it filters what it leaves out")
    scales = [_scale(node, axis) for axis in axes]
    exact = [_is_float_exact(scale) for scale in scales]
    if mode == "nearest" and not all(exact):
        raise unknown(node, "its scale is not exact in floats, so that rounding may go either way")
    middle = 0 if where == "asymmetric" else 1
    rules = [
        same if scale == 1 and mode != "cubic" else _interpolated(scale, middle, *neighbours)
        for scale in scales
    ]
    return Reach(axes, (rules[0], rules[1]), (1 / scales[0], 1 / scales[1]))


def sliced(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a Slice."""
    shape = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    if shape is None:
        raise unknown(node, "the size of its input is not known")
    rules: list[Rule] = [same, same]
    steps = [Fraction(1), Fraction(1)]
    for axis, (start, stop, step) in bounds_of(node).items():
        if axis not in axes:
            continue
        if step < 1 or stop <= start:
            raise unknown(node, "it turns the frame round, or leaves nothing of it")
        if max(start, shape[axis] - stop) > max(8, int(shape[axis] * _LARGEST_CROP)):
            raise unknown(node, "it takes a part of the frame")
        which = axes.index(axis)
        rules[which] = _windowed(step, -start, 0)
        steps[which] = Fraction(step)
    return Reach(axes, (rules[0], rules[1]), (steps[0], steps[1]))


def padded(node: ir.Node, axes: Axes) -> Reach:
    """Return the reach of a Pad with a constant, with reflections, or with copies of the edge."""
    if text_of(node, "mode", "constant") not in ("constant", "reflect", "edge"):
        raise unknown(node, "it pads with the other end of the frame")
    pads = pads_of(node)
    return Reach(axes, (_windowed(1, pads[axes[0]][0], 0), _windowed(1, pads[axes[1]][0], 0)))


def bounds_of(node: ir.Node) -> dict[int, tuple[int, int, int]]:
    """Return (start, stop, step) of every axis that a Slice cuts, counted from the start.

    Raises GraphError when they are not constant.
    """
    shape = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    given = [constant_of(value) if value is not None else None for value in node.inputs[1:]]
    if shape is None or len(given) < 2 or given[0] is None or given[1] is None:
        raise unknown(node, "its bounds are not constant")
    starts, stops = (content.reshape(-1).tolist() for content in given[:2] if content is not None)
    sliced_axes = list(range(len(starts)))
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        if given[2] is None:
            raise unknown(node, "its axes are not constant")
        sliced_axes = given[2].reshape(-1).tolist()
    strides = [1] * len(starts)
    if len(node.inputs) > 4 and node.inputs[4] is not None:
        if given[3] is None:
            raise unknown(node, "its steps are not constant")
        strides = given[3].reshape(-1).tolist()
    found = {}
    for start, stop, axis, step in zip(starts, stops, sliced_axes, strides, strict=True):
        length = shape[int(axis) % len(shape)]
        if step > 0:
            start, stop, _ = slice(int(start), int(stop)).indices(length)
        found[int(axis) % len(shape)] = (int(start), int(stop), int(step))
    return found


def pads_of(node: ir.Node) -> dict[int, tuple[int, int]]:
    """Return the elements (before, after) that a Pad adds to every axis.

    Raises GraphError when they are not constant.
    """
    shape = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    pads = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if shape is None or pads is None:
        raise unknown(node, "its pads are not constant")
    over = list(range(len(shape)))
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = constant_of(node.inputs[3])
        if axes is None:
            raise unknown(node, "its axes are not constant")
        over = [int(axis) % len(shape) for axis in axes.reshape(-1)]
    found = dict.fromkeys(range(len(shape)), (0, 0))
    numbers = [int(pad) for pad in pads.reshape(-1)]
    for axis, before, after in zip(over, numbers, numbers[len(over) :], strict=False):
        found[axis] = (before, after)
    return found


def _windowed(stride: int, pad: int, span: int) -> Rule:
    return lambda reach: Range(
        reach.start * stride - pad, (reach.stop - 1) * stride - pad + span + 1
    )


def _transposed(stride: int, pad: int, span: int) -> Rule:
    return lambda reach: Range(
        -((span - reach.start - pad) // stride), (reach.stop - 1 + pad) // stride + 1
    )


def _interpolated(scale: Fraction, middle: int, first: int, last: int) -> Rule:
    """Return the rule of an interpolation.

    middle: 1 if positions are the middles of elements, else 0.
    first, last: the elements that are read, relative to the one at or before a position.
    """
    up, down = scale.numerator, scale.denominator

    def origin(position: Any) -> Any:
        # floor((position + 1/2) / scale - 1/2), in whole numbers.
        if middle:
            return ((2 * position + 1) * down - up) // (2 * up)
        return position * down // up

    return lambda reach: Range(origin(reach.start) + first, origin(reach.stop - 1) + last)


def _scale(node: ir.Node, axis: int) -> Fraction:
    """Return the factor of a Resize along an axis. Raises GraphError unless it is a simple one."""
    source, result = static_shape(node.inputs[0] or node.outputs[0]), static_shape(node.outputs[0])
    if source is None or result is None:
        raise unknown(node, "its sizes are not known")
    index = 1 if node.op_type == "Upsample" or len(node.inputs) == 2 else 2
    scales = constant_of(node.inputs[index]) if len(node.inputs) > index else None
    if scales is not None and scales.size:
        over = ints_of(node, "axes") or tuple(range(len(source)))
        over = tuple(one % len(source) for one in over)
        if axis not in over:
            return Fraction(1)
        given = float(scales.reshape(-1)[over.index(axis)])
        scale = Fraction(given).limit_denominator(_LARGEST_SCALE_PART)
        if abs(float(scale) - given) > 1e-6 * given:
            raise unknown(node, f"its scale {given:g} depends on the frame size", _SIZES)
    else:
        scale = Fraction(result[axis], source[axis])
    if max(scale.numerator, scale.denominator) > _LARGEST_SCALE_PART:
        raise unknown(node, f"its scale {float(scale):g} depends on the frame size", _SIZES)
    if result[axis] != math.floor(source[axis] * scale):
        raise unknown(node, "its scale and its sizes do not agree")
    return scale


def _is_float_exact(scale: Fraction) -> bool:
    return Fraction(float(np.float32(float(scale)))) == scale


def _check_image(node: ir.Node, axes: Axes) -> None:
    shape = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    if shape is None or len(shape) != 4 or axes != (2, 3):
        raise unknown(node, "its input is not (N, C, H, W)")


def _pad_before(node: ir.Node, which: int, stride: int, span: int) -> int:
    """Return the elements that a convolution or pool adds before a row or column."""
    auto = text_of(node, "auto_pad", "NOTSET")
    if auto == "NOTSET":
        return _of_pair(node, "pads", which, 0)
    if auto == "VALID":
        return 0
    shape = static_shape(node.inputs[0]) if node.inputs[0] is not None else None
    if shape is None:
        raise unknown(node, "it pads by the size of its input, which is not known")
    length = shape[2 + which]
    total = max((-(-length // stride) - 1) * stride + span + 1 - length, 0)
    return total // 2 if auto == "SAME_UPPER" else total - total // 2


def _cut_before(node: ir.Node, which: int, stride: int, span: int) -> int:
    """Return the elements that a transposed convolution leaves out before a row or column."""
    auto = text_of(node, "auto_pad", "NOTSET")
    if auto == "NOTSET":
        return _of_pair(node, "pads", which, 0)
    if auto == "VALID":
        return 0
    total = max(span + 1 + _of_pair(node, "output_padding", which, 0) - stride, 0)
    return total // 2 if auto == "SAME_UPPER" else total - total // 2


def _kernel(node: ir.Node, which: int) -> int:
    kernel = ints_of(node, "kernel_shape")
    if kernel is not None:
        return kernel[which]
    shape = static_shape(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    if shape is None:
        raise unknown(node, "the size of its kernel is not known")
    return shape[2 + which]


def _of_pair(node: ir.Node, name: str, which: int, default: int) -> int:
    numbers = ints_of(node, name)
    return default if numbers is None else numbers[which]
