"""What kernels take for each of their threads, beside the arena."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx_ir")

import onnx_ir as ir

from edgeunet.graph.summary import view_of_model
from edgeunet.imitation.allocations import allocations_of
from edgeunet.imitation.onnxruntime_kernels import kernels_of
from edgeunet.imitation.thread_memory import (
    STACK_BYTES,
    each_further,
    first_thread,
    stack_bytes_of,
)
from edgeunet.processors import ARM64, AVX2, AVX512_VNNI, ProcessorClass
from edgeunet.specs import Engine
from tests.analysis.graphs import Builder

PRODUCT = """<ir_version: 8, opset_import: ["" : 17]>
graph (float[{first}] x, float[{second}] z) => (float[{made}] y) {{ y = MatMul(x, {right}) }}"""
CONVOLUTION = """<ir_version: 8, opset_import: ["" : 17]>
graph (float[1,16,8,8] x) => (float[1,16,8,8] y)
<float[16,16,3,3] w = {{{weights}}}> {{ y = Conv<pads=[1,1,1,1]>(x, w) }}"""


def fills(text: str, processor: ProcessorClass = AVX512_VNNI) -> bool:
    view = view_of_model(ir.from_onnx_text(text))
    found = stack_bytes_of(kernels_of(view, processor), view)
    assert found in (0, STACK_BYTES)
    return found > 0


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


def packed(processor: ProcessorClass, read: int, side: int) -> list[int]:
    """Return what a thread packs into in windows of 64, 288 and 1024 pixels."""
    b = Builder(x=(1, read, 8, 8))
    b.node("QLinearConv", f"x {b.weight('w', 16, read, side, side)}", "y", 1, 16, 8, 8)
    found = allocations_of(b.view("y"), "xy", 64, Engine.ONNXRUNTIME, processor)
    assert found.stack_bytes == 0
    return [found.packed_bytes(pixels) for pixels in (64, 288, 1024)]


def test_integers_are_packed_where_they_are_not_read_in_place() -> None:
    assert packed(AVX512_VNNI, 16, 3) == [0, 0, 0]
    # Two bytes for each of 16 to 48 rows, and 384 columns at most.
    assert packed(AVX2, 16, 3) == [16 * 9 * 2 * rows for rows in (16, 24, 48)]
    assert packed(AVX2, 16, 5) == packed(AVX2, 16, 7) == [384 * 2 * rows for rows in (16, 24, 48)]
    assert packed(AVX2, 1, 3) == [9 * 2 * rows for rows in (16, 24, 48)]


def test_stages_have_threads_of_their_own_but_for_the_first() -> None:
    assert each_further([STACK_BYTES, 0, 0], [100, 300, 0]) == (
        STACK_BYTES + 400 + 2 * 3072 + 3 * 1536
    )
    assert first_thread([100, 300, 0]) == 300 + 3072
    assert first_thread([0]) == first_thread([]) == 0
