"""PixelUnshuffle as SpaceToDepth: the same numbers, one node, no sizes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from edgeunet.graph.unshuffle import join_unshuffles
from edgeunet.graph.values import Floats


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_same_numbers_as_torch(block: int, channels: int) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(channels * block**2, 5, 1)
    image = torch.rand(1, channels, 4 * block, 3 * block)
    with torch.no_grad():
        wanted = conv(torch.nn.functional.pixel_unshuffle(image, block)).numpy()
    model = exporter_form(conv, channels, block, image.shape)
    before = run(model, image.numpy())
    np.testing.assert_allclose(before, wanted, rtol=1e-5, atol=1e-6)
    assert join_unshuffles(model) == 1
    assert [node.op_type for node in model.graph] == ["SpaceToDepth", "Conv"]
    np.testing.assert_allclose(run(model, image.numpy()), wanted, rtol=1e-5, atol=1e-6)


def exporter_form(conv: torch.nn.Conv2d, channels: int, block: int, shape: torch.Size) -> ir.Model:
    """The three nodes that torch's exporter writes, then the convolution."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    n, c, h, w = shape
    six = [n, c, h // block, block, w // block, block]
    four = [n, c * block**2, h // block, w // block]
    weights = {
        "six": np.array(six, np.int64),
        "four": np.array(four, np.int64),
        "w": conv.weight.detach().numpy(),
        "b": np.zeros(5, np.float32) if conv.bias is None else conv.bias.detach().numpy(),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "six"], ["s"], name="split"),
        helper.make_node("Transpose", ["s"], ["t"], name="move", perm=[0, 1, 3, 5, 2, 4]),
        helper.make_node("Reshape", ["t", "four"], ["m"], name="merge"),
        helper.make_node("Conv", ["m", "w", "b"], ["y"], name="conv"),
    ]
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(a, name) for name, a in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True))


def run(model: ir.Model, x: Floats) -> Floats:
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    result: Floats = session.run(None, {"x": x})[0]
    return result
