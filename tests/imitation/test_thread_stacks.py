"""Which kernels copy pieces of matrices to the stacks of their threads."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx_ir")

import onnx_ir as ir

from edgeunet.graph.summary import view_of_model
from edgeunet.imitation.onnxruntime_kernels import kernels_of
from edgeunet.imitation.thread_stacks import fills_stacks
from edgeunet.processors import ARM64, AVX512_VNNI, ProcessorClass

PRODUCT = """<ir_version: 8, opset_import: ["" : 17]>
graph (float[{first}] x, float[{second}] z) => (float[{made}] y) {{ y = MatMul(x, {right}) }}"""
CONVOLUTION = """<ir_version: 8, opset_import: ["" : 17]>
graph (float[1,16,8,8] x) => (float[1,16,8,8] y)
<float[16,16,3,3] w = {{{weights}}}> {{ y = Conv<pads=[1,1,1,1]>(x, w) }}"""


def fills(text: str, processor: ProcessorClass = AVX512_VNNI) -> bool:
    view = view_of_model(ir.from_onnx_text(text))
    return fills_stacks(kernels_of(view, processor), view)


def test_a_product_with_what_is_not_packed_does() -> None:
    shapes = {"first": "4,8", "second": "8,8", "made": "4,8"}
    assert fills(PRODUCT.format(**shapes, right="z"))


@pytest.mark.parametrize(("shape", "filled"), [("8,8", False), ("2,8,8", True)])
def test_weights_are_packed_if_they_are_one_matrix(shape: str, filled: bool) -> None:
    count = 64 if shape == "8,8" else 128
    weights = f"float[{shape}] w = {{{','.join(['1'] * count)}}}"
    made = "4,8" if shape == "8,8" else "2,4,8"
    text = PRODUCT.format(first="4,8", second="1", made=made, right="w")
    assert fills(text.replace(" {", f" <{weights}> {{", 1)) is filled


def test_a_convolution_does_unless_it_works_on_blocks() -> None:
    text = CONVOLUTION.format(weights=",".join(["1"] * 16 * 16 * 9))
    assert not fills(text)
    assert fills(text, ARM64)
