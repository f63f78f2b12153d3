"""Plain types that every layer shares.

NumPy is imported when an array is made: ``edgeunet --help`` imports this module, and starts
without NumPy.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

    Image = NDArray[np.uint8]
    """A frame: (H, W, 3) uint8 BGR, 0..255."""
else:
    Array = Image = Any

FRAME = "frame"
"""The name of a graph's input frame, (1, H, W, 3) BGR of a ``FrameType``."""


# Tensors of networks that remember frames; convert/remembering_frame.py says what they hold.
PREVIOUS, COUNT, FUSED = "previous", "count", "fused"
ALIGNED, COUNTED, MEAN = "aligned", "aligned_count", "aligned_fused"
COUNT_NEXT, FUSED_NEXT = "count_next", "fused_next"
MOVED, SHIFT, NOISE = "moved", "shift", "noise"

STATES = {COUNT: COUNT_NEXT, FUSED: FUSED_NEXT}
"""Tensors that are kept from frame to frame, to the tensor that takes their place.

PREVIOUS is kept as well: the denoised output takes its place.
"""


def earlier_frame(age: int) -> str:
    """Return the name of the tensor that keeps the frame ``age`` frames before the frame.

    It is (1, H, W, 3) uint8 BGR. For age 0 it is the frame itself.
    """
    return f"{FRAME}_{age}_before" if age else FRAME


class Precision(str, enum.Enum):
    """The number format a network computes in."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"

    def __str__(self) -> str:
        return self.value


class Engine(str, enum.Enum):
    """The library that runs a graph."""

    ONNXRUNTIME = "onnxruntime"
    TENSORRT = "tensorrt"

    def __str__(self) -> str:
        return self.value


class Calibrator(str, enum.Enum):
    """The way to choose the range of a tensor from its values on a calibration set.

    MINMAX: all values.
    PERCENTILE: all but 1e-5 of the values on each side.
    ENTROPY: the least divergence from the distribution (onnxruntime's, after TensorRT's).
    MSE: the least squared error of the values.
    """

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"
    MSE = "mse"

    def __str__(self) -> str:
        return self.value


class FrameType(str, enum.Enum):
    """The type of a graph's frames and label maps: bytes, or floats 0..255.

    TensorRT supports bytes from 8.5 on; floats are for older versions.
    """

    UINT8 = "uint8"
    FLOAT32 = "float32"

    def __str__(self) -> str:
        return self.value


class Task(str, enum.Enum):
    """The kind of answer of a pathway's head."""

    DENOISE = "denoise"
    SEGMENT = "segment"
    CLASSIFY = "classify"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and numpy dtype name of one input or output of a graph."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size_bytes(self) -> int:
        import numpy as np

        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def empty(self) -> Array:
        """Return an uninitialised array of this shape and dtype."""
        import numpy as np

        return np.empty(self.shape, dtype=self.dtype)

    def random(self, generator: np.random.Generator) -> Array:
        """Return a random array for measurements: 0..1 for floats, 0..127 for integers."""
        import numpy as np

        if np.issubdtype(np.dtype(self.dtype), np.integer):
            return generator.integers(0, 128, self.shape).astype(self.dtype)
        return generator.random(self.shape).astype(self.dtype)


@dataclass(frozen=True, eq=False)
class Pool:
    """Settings of the memory for activations.

    region_bytes: size of its region.
    dead_bytes: largest part of a piece that may stay unused.
    Sessions with the same object share the memory. onnxruntime's default, regions that double in
    size, takes about a fifth more.
    """

    region_bytes: int
    dead_bytes: int


@dataclass(frozen=True)
class ClassLabel:
    """One class of a label map: its name and the RGB colour it is drawn in (0..255)."""

    name: str
    colour: tuple[int, int, int]


class Session(Protocol):
    """One graph, loaded by one engine, with one preallocated buffer per output."""

    @property
    def engine(self) -> Engine: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run once. The returned arrays belong to the session: the next run overwrites them."""
        ...

    def write_to(self, name: str, array: Array) -> None:
        """Write an output into another array from the next run on.

        array: contiguous, of the output's shape and dtype.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
