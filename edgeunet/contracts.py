"""The contract of a foreign network: what the tensors of its file mean.

A file says names, shapes and types. It does not say whether a picture is RGB, or whether its values
end at 1 or at 255. That is found where it can be, assumed where it cannot, shown, and stored in the
bundle. ``foreign/contract_text.py`` reads what the user says instead.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from edgeunet.recipes import ClassTable, ExportTable, ToleranceTable
from edgeunet.specs import ClassLabel, Task

Layout = Literal["nchw", "nhwc"]
Colours = Literal["rgb", "bgr", "gray"]
ResizeRule = Literal["nearest", "linear", "cubic"]
"""How logits come to the frame's size, as ONNX calls the modes of Resize."""


class OutputKind(str, enum.Enum):
    """What an output of a file is.

    IMAGE: a picture, of one or three channels.
    LABELS: a map of class numbers.
    LOGITS: a score per class, of every pixel or of the frame; or one score per pixel, of an object.
    VECTOR: numbers about the whole frame, which are handed on as they are.
    """

    IMAGE = "image"
    LABELS = "labels"
    LOGITS = "logits"
    VECTOR = "vector"

    def __str__(self) -> str:
        return self.value


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A JSON object whose keys are all known."""


class ValueRange(_Table, frozen=True):
    """How pixels become the numbers of a tensor.

    A pixel of 0..255 becomes a number of low..high. Of that the mean is subtracted, and the result
    is divided by the deviation. mean, std: one number, or one per channel in the tensor's order.
    """

    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __str__(self) -> str:
        parts = [f"{_number(self.low)}..{_number(self.high)}"]
        if any(self.mean):
            parts.append("mean=" + ",".join(map(_number, self.mean)))
        if any(value != 1.0 for value in self.std):
            parts.append("std=" + ",".join(map(_number, self.std)))
        return ",".join(parts)

    @property
    def factors(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The (factors, offsets) with which a pixel times factor plus offset is the number."""
        count = max(len(self.mean), len(self.std))
        mean, std = self.mean * (count // len(self.mean)), self.std * (count // len(self.std))
        step = (self.high - self.low) / 255.0
        return (
            tuple(step / s for s in std),
            tuple((self.low - m) / s for m, s in zip(mean, std, strict=True)),
        )


class ForeignInput(_Table, frozen=True):
    """One input of a foreign network.

    name: in the file.
    fill: the one value of an input that is the same for all frames; None for pictures.
    frames: how many pictures it holds along its channels: the frames before, oldest first, and the
        frame last.
    level: the one value of a channel behind those of the pictures, such as the strength of noise;
        None without one.
    earlier: for a picture that is an input of its own, how many frames before the frame it was;
        0 for the frame itself.
    """

    name: str
    layout: Layout = "nchw"
    colours: Colours = "rgb"
    values: ValueRange = ValueRange()
    fill: float | None = None
    frames: int = 1
    level: float | None = None
    earlier: int = 0

    def __str__(self) -> str:
        if self.fill is not None:
            return f"fill={_number(self.fill)}"
        text = f"{self.layout},{self.colours},{self.values}"
        if self.frames > 1:
            text += f",frames={self.frames}"
        if self.level is not None:
            text += f",level={_number(self.level)}"
        return f"{text},earlier={self.earlier}" if self.earlier else text

    @property
    def channels(self) -> int:
        """The number of its channels, if it is a picture."""
        pictures = (1 if self.colours == "gray" else 3) * self.frames
        return pictures + (self.level is not None)

    @property
    def is_frame(self) -> bool:
        """Whether it holds the frame, which one input does."""
        return self.fill is None and not self.earlier

    def shape(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the shape of a picture of (height, width) pixels."""
        if self.layout == "nchw":
            return 1, self.channels, height, width
        return 1, height, width, self.channels

    def ages(self) -> tuple[int, ...]:
        """Return how many frames before the frame its pictures were, in their order."""
        return tuple(range(self.earlier + self.frames - 1, self.earlier - 1, -1))


class ForeignOutput(_Table, frozen=True):
    """One output of a foreign network.

    name: in the file. output: in our graphs.
    kind: what it is in the file. head: what it is in our graphs.
    layout, colours, values: of an image.
    scale: see ``OutputFacts``.
    resize: how logits, whose size is not the frame's, come to it.
    threshold: for logits of one channel; larger scores are class 1.
    softmax: make probabilities of the frame's scores.
    """

    name: str
    output: str
    kind: OutputKind
    head: Task
    layout: Layout = "nchw"
    colours: Colours = "rgb"
    values: ValueRange = ValueRange()
    scale: int = 1
    resize: ResizeRule | None = None
    threshold: float | None = None
    softmax: bool = False
    classes: tuple[ClassTable, ...] = ()

    @property
    def labels(self) -> tuple[ClassLabel, ...]:
        return tuple(ClassLabel(entry.name, entry.colour) for entry in self.classes)

    def __str__(self) -> str:
        parts = [str(self.kind)]
        if self.kind is OutputKind.IMAGE:
            parts += [self.layout, self.colours, str(self.values)]
        if self.resize is not None:
            parts.append(self.resize)
        if self.threshold is not None:
            parts.append(f"threshold={_number(self.threshold)}")
        return ",".join(parts)


class ForeignNetwork(_Table, frozen=True):
    """A network that somebody else trained: its file and its contract.

    name: of the network, made of the file's name.
    file: the file's name without folders; for a torch module the name of its class.
    sha256: of the file, with those of its files of weights; of the exported graph for a module.
    inputs: the frame, frames before it, and inputs that are the same for all frames.
    pathways: its outputs.
    left_out: outputs of the file that the user does not want.
    halves: the file computes in 16-bit floats.
    tolerance: of the parity with the file on the same engine.
    """

    name: str
    file: str
    sha256: str
    inputs: tuple[ForeignInput, ...]
    pathways: tuple[ForeignOutput, ...]
    left_out: tuple[str, ...] = ()
    halves: bool = False
    export: ExportTable = msgspec.field(default_factory=ExportTable)
    tolerance: ToleranceTable = msgspec.field(default_factory=ToleranceTable)

    @property
    def frame(self) -> ForeignInput:
        """The input that is the frame."""
        return next(entry for entry in self.inputs if entry.is_frame)

    @property
    def earlier(self) -> int:
        """How many frames before the frame it reads."""
        return max(age for entry in self.inputs if entry.fill is None for age in entry.ages())

    @property
    def remembers(self) -> bool:
        return self.earlier > 0

    @property
    def width(self) -> int:
        return 0

    @property
    def smallest_side(self) -> int:
        return 1


def _number(value: float) -> str:
    return f"{value:.6g}"
