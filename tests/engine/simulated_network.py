"""Parser and networks of a simulated TensorRT: tensors and layers of an ONNX graph."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from tests.engine.simulated_attributes import Guarded

if TYPE_CHECKING:
    from tests.engine.simulated_tensorrt import Simulation

_CODES = {1: "FLOAT", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF"}


class DataType(enum.Enum):
    FLOAT, HALF, INT8, INT32, INT64, BOOL, UINT8 = range(7)


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    is_shape_tensor: bool = False

    @property
    def dtype(self) -> DataType:
        return DataType[self.kind]


class Layer(Guarded):
    """A node of the graph. A type for what is no float is refused, as it makes no sense."""

    _class = "ILayer"

    def __init__(
        self, simulation: Simulation, given: list[Tensor | None], made: list[Tensor]
    ) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_given", given)
        object.__setattr__(self, "_made", made)
        object.__setattr__(self, "_told", [])

    @property
    def num_inputs(self) -> int:
        return len(self._given)

    @property
    def num_outputs(self) -> int:
        return len(self._made)

    def get_input(self, index: int) -> Tensor | None:
        return self._given[index]  # type: ignore[no-any-return]

    def get_output(self, index: int) -> Tensor:
        return self._made[index]  # type: ignore[no-any-return]

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        assert name == "precision"
        self._tell(value)

    def set_output_type(self, index: int, kind: DataType) -> None:
        assert 0 <= index < self.num_outputs
        self._tell(kind)

    def _tell(self, kind: DataType) -> None:
        for tensor in (*self._given, *self._made):
            assert tensor is None or tensor.dtype in (DataType.FLOAT, DataType.HALF), tensor
        self._told.append(kind.name)


class Network(Guarded):
    _class = "INetworkDefinition"

    def __init__(self, simulation: Simulation, flags: int) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_flags", flags)
        object.__setattr__(self, "_in", [])
        object.__setattr__(self, "_out", [])
        object.__setattr__(self, "_layers", [])
        object.__setattr__(self, "_name", "")

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_layer(self, index: int) -> Layer:
        return self._layers[index]  # type: ignore[no-any-return]

    @property
    def num_inputs(self) -> int:
        return len(self._in)

    @property
    def num_outputs(self) -> int:
        return len(self._out)

    def get_input(self, index: int) -> Tensor:
        return self._in[index]  # type: ignore[no-any-return]

    def get_output(self, index: int) -> Tensor:
        return self._out[index]  # type: ignore[no-any-return]


class ParserError(Guarded):
    _class = "ParserError"

    def __init__(self, simulation: Simulation, index: int, node: onnx.NodeProto) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_found", (index, node))

    def desc(self) -> str:
        return f"No importer registered for op: {self._found[1].op_type}"

    def node(self) -> int:
        return int(self._found[0])

    def node_name(self) -> str:
        return str(self._found[1].name)

    def node_operator(self) -> str:
        return str(self._found[1].op_type)


class Parser(Guarded):
    _class = "OnnxParser"

    def __init__(self, simulation: Simulation, network: Network, logger: Any) -> None:
        super().__init__(simulation)
        object.__setattr__(self, "_network", network)
        object.__setattr__(self, "_errors", [])

    def parse_from_file(self, path: str) -> bool:
        simulation = self._simulation
        if simulation.version == "8.6.2":
            assert self._network._flags & 1, "8.x needs EXPLICIT_BATCH"
        try:
            model = onnx.load(path)
        except Exception:
            return True  # as the real one: nothing is found, and no error
        graph = model.graph
        for index, node in enumerate(graph.node):
            if node.op_type.startswith("NoSuch"):
                self._errors.append(ParserError(simulation, index, node))
        self._network._in.extend(map(_tensor, graph.input))
        self._network._out.extend(map(_tensor, graph.output))
        object.__setattr__(self._network, "_name", Path(path).stem)
        if not self._errors:
            self._network._layers.extend(_layers(simulation, model))
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]  # type: ignore[no-any-return]


def _layers(simulation: Simulation, model: onnx.ModelProto) -> Iterator[Layer]:
    """Yield a layer for every constant and every node; a convolution holds its own weights."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    named = (*graph.input, *graph.output, *graph.value_info)
    known = {value.name: _tensor(value) for value in named}
    for constant in graph.initializer:
        shape = tuple(constant.dims)
        known[constant.name] = Tensor(constant.name, shape, _CODES[constant.data_type])
        yield Layer(simulation, [], [known[constant.name]])
    for node in graph.node:
        names = node.input[:1] if node.op_type in ("Conv", "ConvTranspose") else node.input
        given = [known[name] if name else None for name in names]
        yield Layer(simulation, given, [known[name] for name in node.output])


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    return Tensor(value.name, tuple(d.dim_value for d in kind.shape.dim), _CODES[kind.elem_type])
