"""Draw an ONNX graph operator by operator, with the shape of everything known at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.tape import Tape

_OPSET = 17
_IR_VERSION = 8

Numbers = float | NDArray[np.float32]


class Drawing:
    """A graph that grows by one operator at a time; float32 where nothing else is said."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tape = Tape()
        self._inputs: list[ir.Value] = []
        self._outputs: list[ir.Value] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def input(self, name: str, kind: ir.DataType, shape: Sequence[int]) -> ir.Value:
        value = ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(shape))
        self._inputs.append(value)
        return value

    def output(self, name: str, value: ir.Value) -> None:
        value.name = name
        self._outputs.append(value)

    def model(self) -> ir.Model:
        """Return what was drawn. Nothing may be drawn afterwards."""
        graph = ir.Graph(
            self._inputs,
            self._outputs,
            nodes=self._tape.nodes,
            initializers=self._tape.initializers,
            opset_imports={"": _OPSET},
            name=self._name,
        )
        return ir.Model(graph, ir_version=_IR_VERSION, producer_name="edgeunet")

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        if value.shape is None:
            raise ValueError(f"{value.name} has no shape")
        return tuple(int(length) for length in value.shape.numpy())

    def op(self, kind: str, *inputs: ir.Value, **attributes: int | str | list[int]) -> ir.Value:
        """Return what an operator makes of its inputs.

        Elementwise operators, Transpose, AveragePool without padding, GridSample and reductions of
        ``axes`` are known.
        """
        made = self._tape.op(kind, inputs, attributes)
        first = self.shape(inputs[0])
        shape: Sequence[int]
        if kind == "Transpose":
            shape = [first[axis] for axis in _list(attributes["perm"])]
        elif kind == "AveragePool":
            sides, steps = (_list(attributes[name]) for name in ("kernel_shape", "strides"))
            fitting = zip(first[2:], sides, steps, strict=True)
            shape = [*first[:2], *((length - side) // step + 1 for length, side, step in fitting)]
        elif kind == "GridSample":
            shape = [*first[:2], *self.shape(inputs[1])[1:3]]
        elif kind in ("ArgMin", "ReduceMax"):
            gone = _list(attributes["axes"]) if "axes" in attributes else [attributes["axis"]]
            shape = [1 if axis in gone else length for axis, length in enumerate(first)]
        else:
            shape = np.broadcast_shapes(*(self.shape(value) for value in inputs))
        kinds = {"ArgMin": ir.DataType.INT64}
        return self._typed(made, shape, kinds.get(kind, ir.DataType.FLOAT))

    def one(self) -> ir.Value:
        return self._constant(np.array(1.0, np.float32))

    def add(self, value: ir.Value, numbers: Numbers) -> ir.Value:
        return self.op("Add", value, self._constant(np.asarray(numbers, np.float32)))

    def multiply(self, value: ir.Value, numbers: Numbers) -> ir.Value:
        return self.op("Mul", value, self._constant(np.asarray(numbers, np.float32)))

    def cast(self, value: ir.Value, kind: ir.DataType) -> ir.Value:
        made = self._tape.op("Cast", [value], {"to": int(kind)})
        return self._typed(made, self.shape(value), kind)

    def reshape(self, value: ir.Value, shape: Sequence[int]) -> ir.Value:
        made = self._tape.op("Reshape", [value, self._whole(shape)])
        return self._typed(made, shape, value.dtype)

    def slice(self, value: ir.Value, ranges: Mapping[int, tuple[int, int]]) -> ir.Value:
        """Return a part. ranges: first and end of every axis that is cut."""
        starts, ends = zip(*ranges.values(), strict=True)
        words = [self._whole(numbers) for numbers in (starts, ends, tuple(ranges))]
        made = self._tape.op("Slice", [value, *words])
        shape = list(self.shape(value))
        for axis, (start, end) in ranges.items():
            shape[axis] = end - start
        return self._typed(made, shape, value.dtype)

    def concat(self, values: Sequence[ir.Value], *, axis: int) -> ir.Value:
        made = self._tape.op("Concat", values, {"axis": axis})
        shape = list(self.shape(values[0]))
        shape[axis] = sum(self.shape(value)[axis] for value in values)
        return self._typed(made, shape, values[0].dtype)

    def summed(self, value: ir.Value, *, axes: Sequence[int]) -> ir.Value:
        made = self._tape.op("ReduceSum", [value, self._whole(axes)], {"keepdims": 1})
        shape = [1 if axis in axes else n for axis, n in enumerate(self.shape(value))]
        return self._typed(made, shape, value.dtype)

    def replicated(self, value: ir.Value, before: int, after: int) -> ir.Value:
        """Return (N, C, H, W) with its border repeated before and after rows and columns."""
        pads = self._whole((0, 0, before, before, 0, 0, after, after))
        made = self._tape.op("Pad", [value, pads], {"mode": "edge"})
        shape = list(self.shape(value))
        shape[2:] = [length + before + after for length in shape[2:]]
        return self._typed(made, shape, value.dtype)

    def _whole(self, numbers: Sequence[int]) -> ir.Value:
        return self._constant(np.array(numbers, np.int64))

    def _constant(self, numbers: NDArray[np.float32] | NDArray[np.int64]) -> ir.Value:
        key = (numbers.dtype.str, numbers.shape, numbers.tobytes())
        if key not in self._constants:
            name = f"{self._name}_constant_{len(self._constants)}"
            self._constants[key] = self._tape.initializer(ir.tensor(numbers, name=name), name)
        return self._constants[key]

    def _typed(self, value: ir.Value, shape: Sequence[int], kind: ir.DataType | None) -> ir.Value:
        number = len(self._tape.nodes)
        node = value.producer()
        if kind is None or node is None:
            raise ValueError("only what an operator makes of typed values has a type")
        node.name = f"{self._name}_{number}"
        value.name = f"{self._name}_value_{number}"
        value.shape, value.type = ir.Shape(shape), ir.TensorType(kind)
        return value


def _list(value: int | str | list[int]) -> list[int]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list")
    return value
