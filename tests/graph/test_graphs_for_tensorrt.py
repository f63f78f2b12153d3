"""What TensorRT's parser wants of graphs: floats before slices, one type at every operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort

from edgeunet.graph.for_engine import finish
from edgeunet.graph.half import to_half
from edgeunet.specs import Engine

SLICED = """
<ir_version: 8, opset_import: ["": 17]>
g (uint8[1, 4, 6, 3] frame) => (float[1, 1, 2, 3] y)
<int64[4] first = {0, 1, 2, 0}, int64[4] last = {1, 2, 4, 3}>
{
    part = Slice (frame, first, last)
    y = Cast <to = 1> (part)
}
"""

# As a mask of moved windows that is too large to be folded.
FILLED = """
<ir_version: 8, opset_import: ["": 17]>
g (uint8[1, 4, 6, 3] frame) => (float[1, 4, 6, 3] y)
<int64[4] sides = {1, 4, 6, 3}, int64[1, 1] where = {0},
 float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}
>
{
    x = Cast <to = 1> (frame)
    p = MatMul (x, w)
    mask = ConstantOfShape <value = float[1] {2.0}> (sides)
    marked = ScatterND (mask, where, p)
    sum = Add (marked, p)
    y = Sqrt (sum)
}
"""


def answer(model: ir.Model) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    frame = np.random.default_rng(0).integers(0, 255, (1, 4, 6, 3), dtype=np.uint8)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    found = session.run(None, {"frame": frame})[0]
    return found


def test_bytes_are_floats_before_they_are_sliced() -> None:
    model = ir.from_proto(onnx.parser.parse_model(SLICED))
    made = finish(model.clone(), Engine.TENSORRT)
    assert [node.op_type for node in made.graph] == ["Cast", "Slice"]
    np.testing.assert_array_equal(answer(made), answer(model))
    kept = finish(model.clone(), Engine.ONNXRUNTIME)
    assert [node.op_type for node in kept.graph] == ["Slice", "Cast"]


def test_what_is_filled_has_the_type_of_its_number(tmp_path: Path) -> None:
    proto = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(FILLED))
    model = ir.from_proto(proto)
    half = model.clone()
    to_half(half)
    made = ir.to_proto(half)
    onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    np.testing.assert_allclose(answer(half), answer(model), rtol=2e-3)
