"""Small networks of others, restated in house form with random weights: uint8 frame to answers.

They are written as ONNX nodes, so that a test sees exactly the operators it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from edgeunet.graph.values import Floats
from edgeunet.specs import FRAME


class Net:
    """A graph under construction. Methods add an operator and return the name of its result."""

    def __init__(self, height: int, width: int, seed: int = 0, opset: int = 17) -> None:
        self.size = (height, width)
        self.opset = opset
        self.generator = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels: dict[str, int] = {}

    def const(self, content: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(content, dtype), name))
        return name

    def ints(self, *numbers: int) -> str:
        return self.const(numbers, np.int64)

    def op(
        self, kind: str, *inputs: str, channels: int | None = None, outputs: int = 1, **attrs: Any
    ) -> Any:
        """Add a node. channels: of its results; those of its first input unless given."""
        names = [f"{kind.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(kind, inputs, names, name=f"n{len(self.nodes)}", **attrs)
        )
        kept = channels if channels is not None else self.channels.get(inputs[0], 0)
        self.channels.update(dict.fromkeys(names, kept))
        return names[0] if outputs == 1 else names

    def image(self) -> str:
        """Return the frame as floats, (1, 3, H, W), 0..1."""
        x = self.op("Cast", FRAME, to=TensorProto.FLOAT, channels=3)
        x = self.op("Transpose", x, perm=[0, 3, 1, 2])
        return str(self.op("Mul", x, self.const(1 / 255)))

    def conv(
        self, x: str, kept: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1,
        group: int = 1, pads: Sequence[int] | None = None, **attrs: Any,
    ) -> str:  # fmt: skip
        weight = self.weight(kept, self.channels[x] // group, kernel)
        bias = self.const(0.1 * self.generator.standard_normal(kept))
        if "auto_pad" not in attrs:
            side = dilation * (kernel - 1) // 2
            attrs["pads"] = list(pads) if pads is not None else [side] * 4
        return str(
            self.op(
                "Conv", x, weight, bias, channels=kept, strides=[stride] * 2,
                dilations=[dilation] * 2, group=group, **attrs,
            )
        )  # fmt: skip

    def weight(self, kept: int, channels: int, kernel: int, *, last: bool = False) -> str:
        shape = (channels, kept, kernel, kernel) if last else (kept, channels, kernel, kernel)
        scale = (2 / (channels * kernel**2)) ** 0.5
        return self.const(scale * self.generator.standard_normal(shape))

    def up(self, x: str, kept: int, kernel: int = 2, stride: int = 2, **attrs: Any) -> str:
        weight = self.weight(kept, self.channels[x], kernel, last=True)
        return str(
            self.op("ConvTranspose", x, weight, channels=kept, strides=[stride] * 2, **attrs)
        )

    def relu(self, x: str) -> str:
        return str(self.op("Relu", x))

    def block(self, x: str, kept: int, kernel: int = 3, **attrs: Any) -> str:
        return self.relu(self.conv(x, kept, kernel, **attrs))

    def pool(self, x: str, kernel: int = 2, stride: int = 2, **attrs: Any) -> str:
        attrs = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, **attrs}
        return str(self.op("MaxPool", x, **attrs))

    def concat(self, *xs: str) -> str:
        total = sum(self.channels[x] for x in xs)
        return str(self.op("Concat", *xs, axis=1, channels=total))

    def resize(self, x: str, scale: float, mode: str = "linear", where: str = "half_pixel") -> str:
        scales = self.const([1, 1, scale, scale])
        rounding: dict[str, Any] = {"nearest_mode": "floor"} if mode == "nearest" else {}
        attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": where}
        return str(self.op("Resize", x, "", scales, **attributes, **rounding))

    def done(self, *outputs: str) -> ir.Model:
        """Return the model with these outputs, and the shapes of all tensors."""
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        proto = helper.make_model(
            helper.make_graph(
                self.nodes,
                "foreign",
                [helper.make_tensor_value_info(FRAME, TensorProto.UINT8, [1, *self.size, 3])],
                infos,
                self.weights,
            ),
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=8,
        )
        for info in proto.graph.output:
            info.type.Clear()
        proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
        return ir.from_proto(proto)


def dncnn(net: Net) -> ir.Model:
    """A residual denoiser without descents (Zhang et al. 2017)."""
    image = net.image()
    x = net.block(image, 8)
    for _ in range(3):
        x = net.block(x, 8)
    return net.done(net.op("Sub", image, net.conv(x, 3)))


def srcnn(net: Net) -> ir.Model:
    """Three convolutions of 9, 1 and 5 pixels, the first without padding (Dong et al. 2014)."""
    x = net.block(net.image(), 8, 9, pads=[0] * 4)
    return net.done(net.conv(net.block(x, 6, 1), 3, 5))


def espcn(net: Net, factor: int = 3) -> ir.Model:
    """Super-resolution by a pixel shuffle (Shi et al. 2016)."""
    x = net.block(net.block(net.image(), 8, 5), 6)
    x = net.conv(x, 3 * factor**2)
    return net.done(net.op("DepthToSpace", x, blocksize=factor, mode="CRD", channels=3))


def espcn_small(net: Net) -> ir.Model:
    return espcn(net, 2)


def unet(net: Net) -> ir.Model:
    """Two descents and transposed convolutions (Ronneberger et al. 2015)."""
    first = net.block(net.image(), 6)
    second = net.block(net.pool(first), 8)
    x = net.block(net.pool(second), 12)
    x = net.block(net.concat(second, net.up(x, 8)), 8)
    x = net.block(net.concat(first, net.up(x, 6)), 6)
    return net.done(net.conv(x, 3, 1))


def w_shape(net: Net) -> ir.Model:
    """Two U-Nets in a row, the second of which reads all of the first (FastDVDnet, HINet)."""
    x = image = net.image()
    kept: list[str] = []
    for _ in range(2):
        first = net.block(x, 6)
        deep = net.block(net.conv(first, 8, stride=2), 8)
        if kept:
            deep = net.op("Add", deep, kept[0])
        kept = [deep]
        deep = net.block(deep, 8)
        up = net.op("DepthToSpace", net.conv(deep, 24, 1), blocksize=2, mode="CRD", channels=6)
        x = net.block(net.op("Add", first, up), 6)
    return net.done(net.op("Add", image, net.conv(x, 3)))


def segmenter(net: Net) -> ir.Model:
    """Class scores and labels at a quarter of the frame, with pyramid pooling of one element."""
    stem = net.block(net.block(net.image(), 8, stride=2), 8, stride=2)
    x = net.block(net.block(stem, 12, stride=2), 12, dilation=2)
    mean = net.block(net.op("GlobalAveragePool", x), 4, 1, pads=[0] * 4)
    rows, columns = (side // 8 for side in net.size)
    mean = net.op(
        "Resize", mean, "", net.const([1, 1, rows, columns]), mode="linear",
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    x = net.block(net.concat(x, mean), 8, 1)
    x = net.block(net.concat(net.resize(x, 2), stem), 8)
    scores = net.conv(x, 5, 1)
    labels = net.op("ArgMax", scores, axis=1, keepdims=0)
    return net.done(scores, net.op("Cast", labels, to=TensorProto.UINT8))


def squeezed(net: Net) -> ir.Model:
    """Channel attention at every level (Hu et al. 2018)."""

    def attended(x: str) -> str:
        kept = net.channels[x]
        mean = net.block(net.op("GlobalAveragePool", x), 2, 1)
        return str(net.op("Mul", x, net.op("Sigmoid", net.conv(mean, kept, 1))))

    first = attended(net.block(net.image(), 6))
    x = attended(net.block(net.pool(first), 8))
    x = attended(net.block(net.op("Add", first, net.up(x, 6)), 6))
    return net.done(net.conv(x, 3))


def normalized(net: Net) -> ir.Model:
    """Instance normalisation, which needs the whole frame, at full resolution."""
    x = net.conv(net.image(), 6)
    scale, bias = net.const(np.ones(6)), net.const(np.zeros(6))
    x = net.relu(net.op("InstanceNormalization", x, scale, bias))
    x = net.block(net.pool(x), 8)
    return net.done(net.conv(net.resize(x, 2, "nearest", "asymmetric"), 3))


def channels_last(net: Net) -> ir.Model:
    """Layer normalisation and products over channels in (N, H, W, C) (ConvNeXt)."""
    x = net.conv(net.image(), 8, 4, stride=4, pads=[0] * 4)
    y = net.conv(x, 8, 7, group=8)
    y = net.op("Transpose", y, perm=[0, 2, 3, 1])
    y = net.op("LayerNormalization", y, net.const(np.ones(8)), net.const(np.zeros(8)), axis=-1)
    y = net.op("MatMul", y, net.const(net.generator.standard_normal((8, 16))), channels=16)
    half = net.op("Mul", y, net.op("Erf", y))
    y = net.op("MatMul", half, net.const(net.generator.standard_normal((16, 8))), channels=8)
    x = net.op("Add", x, net.op("Transpose", y, perm=[0, 3, 1, 2]))
    return net.done(net.resize(net.conv(x, 3), 4))


def shuffled(net: Net) -> ir.Model:
    """Channel shuffles by Reshape, a focus by slices, reflections, PRelu (ShuffleNet, YOLO)."""
    image = net.image()
    parts = [
        net.op(
            "Slice", image, net.ints(a, b), net.ints(1 << 40, 1 << 40), net.ints(2, 3),
            net.ints(2, 2),
        )
        for a in (0, 1) for b in (0, 1)
    ]  # fmt: skip
    x = net.block(net.concat(*parts), 8, 1)
    x = net.op("Pad", x, net.ints(0, 0, 2, 2, 0, 0, 2, 2), mode="reflect")
    x = net.op("PRelu", net.conv(x, 8, 5, pads=[0] * 4), net.const(np.full((8, 1, 1), 0.2)))
    rows, columns = (side // 2 for side in net.size)
    x = net.op("Reshape", x, net.ints(1, 2, 4, rows, columns))
    x = net.op("Transpose", x, perm=[0, 2, 1, 3, 4])
    x = net.op("Reshape", x, net.ints(1, 8, rows, columns), channels=8)
    one, other = net.op("Split", x, net.ints(4, 4), axis=1, outputs=2, channels=4)
    x = net.concat(net.block(one, 4), other)
    return net.done(net.conv(net.resize(x, 2, "cubic"), 3))


def thirds(net: Net) -> ir.Model:
    """Strides of three, and a scale of one and a half."""
    x = net.block(net.conv(net.image(), 8, 3, stride=3, pads=[0] * 4), 8)
    y = net.block(net.resize(x, 1.5), 6)
    return net.done(net.conv(net.resize(y, 2), 3), net.op("Sigmoid", net.conv(x, 2, 1)))


def cropped(net: Net) -> ir.Model:
    """Crops with bounds that count from either end, before convolutions that add zeros."""
    rows, columns = net.size
    x = net.block(net.image(), 6)
    x = net.op("Slice", x, net.ints(3, 2 - columns), net.ints(rows - 2, 1 << 40), net.ints(2, -1))
    return net.done(net.conv(net.block(x, 6), 3))


def with_positions(net: Net) -> ir.Model:
    """A map of numbers that belong to the frame's pixels is added (position embeddings)."""
    x = net.block(net.image(), 6)
    shape = (1, 1, *net.size)
    x = net.op("Add", x, net.const(net.generator.standard_normal(shape)))
    return net.done(net.conv(net.op("Tanh", x), 3))


def one_way(net: Net) -> ir.Model:
    """Pooling over columns alone, which gives rows and columns different strides."""
    x = net.block(net.image(), 6)
    y = net.op("MaxPool", x, kernel_shape=[1, 2], strides=[1, 2])
    y = net.op(
        "Resize", net.block(y, 6), "", net.const([1, 1, 1, 2]), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    return net.done(net.conv(net.op("Add", x, y), 3))


def attending(net: Net) -> ir.Model:
    """Attention of every position to every other at a quarter of the frame (Wang et al. 2018)."""
    first = net.block(net.image(), 6)
    deep = net.block(net.conv(first, 8, 4, stride=4, pads=[0] * 4), 8)
    rows, columns = (side // 4 for side in net.size)

    def flat(x: str) -> str:
        return str(net.op("Reshape", x, net.ints(1, 8, rows * columns)))

    scores = net.op("MatMul", net.op("Transpose", flat(net.conv(deep, 8, 1)), perm=[0, 2, 1]),
                    flat(net.conv(deep, 8, 1)))  # fmt: skip
    weights = net.op("Softmax", net.op("Mul", scores, net.const(0.3)), axis=-1)
    mixed = net.op(
        "MatMul", flat(net.conv(deep, 8, 1)), net.op("Transpose", weights, perm=[0, 2, 1])
    )
    deep = net.op("Add", deep, net.op("Reshape", mixed, net.ints(1, 8, rows, columns), channels=8))
    return net.done(net.conv(net.op("Add", first, net.up(deep, 6, 4, 4)), 3))


def corners(net: Net) -> ir.Model:
    """Interpolation with aligned corners, whose weights depend on the size of the frame."""
    first = net.block(net.image(), 6)
    deep = net.block(net.pool(net.block(net.pool(first), 8)), 8)
    x = net.resize(deep, 4, where="align_corners")
    x = net.block(net.concat(first, x), 6)
    return net.done(net.conv(x, 3), net.op("Sigmoid", net.resize(net.conv(deep, 1), 2)))


def uneven(net: Net) -> ir.Model:
    """Descents that round up, and an ascent to the size of the skip, whatever that is."""
    first = net.block(net.image(), 6)
    second = net.block(first, 8, stride=2)
    deep = net.op("AveragePool", second, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    deep = net.pool(net.block(deep, 8), ceil_mode=1)
    sizes = net.ints(1, 8, *(-(-side // 2) for side in net.size))
    x = net.op("Resize", net.block(deep, 8), "", "", sizes, mode="linear",
               coordinate_transformation_mode="half_pixel")  # fmt: skip
    x = net.block(net.op("Max", second, x), 6)
    return net.done(net.conv(x, 3))


NETWORKS: dict[str, Callable[[Net], ir.Model]] = {
    make.__name__: make
    for make in (
        dncnn, srcnn, espcn, espcn_small, unet, w_shape, segmenter, squeezed, normalized,
        channels_last, shuffled, thirds, cropped, with_positions, one_way, attending, corners,
        uneven,
    )
}  # fmt: skip


def frame_of(height: int, width: int, seed: int = 0) -> Floats:
    """Return a random frame (1, H, W, 3) uint8."""
    drawn = np.random.default_rng(seed).integers(0, 256, (1, height, width, 3))
    return drawn.astype(np.uint8)
