"""``export`` says where INT8 is the fast path, and where it is not."""

from __future__ import annotations

import pytest

from edgeunet.cli.export_tables import about_int8
from edgeunet.processors import (
    ARM64,
    ARM64_DOT,
    AVX2,
    AVX2_VNNI,
    AVX512_VNNI,
    PROCESSOR_CLASSES,
    ProcessorClass,
)
from edgeunet.specs import Precision


@pytest.mark.parametrize(
    ("processors", "said"),
    [
        ((AVX512_VNNI,), "on x86-64 with AVX-512 and VNNI int8 takes about half the time of fp32"),
        ((AVX2_VNNI, AVX512_VNNI), "on these processors int8 takes about half the time of fp32"),
        (PROCESSOR_CLASSES, "on processors with 8-bit dot products (VNNI on x86-64, asimddp on"),
        ((ARM64_DOT, ARM64), "on processors with 8-bit dot products (VNNI on x86-64, asimddp on"),
    ],
)
def test_where_int8_is_fast_an_export_says_so(
    processors: tuple[ProcessorClass, ...], said: str
) -> None:
    for precision in (Precision.FP32, Precision.INT8):
        text = about_int8(precision, processors)
        assert text is not None
        assert text.startswith(said)
        assert ("for about 0.1 dB" in text) == (precision is Precision.FP32)


@pytest.mark.parametrize("processors", [(AVX2,), (ARM64,), (AVX2, ARM64)])
def test_elsewhere_nothing_is_promised(processors: tuple[ProcessorClass, ...]) -> None:
    assert about_int8(Precision.FP32, processors) is None
    assert "about as long as fp32" in str(about_int8(Precision.INT8, processors))
    assert about_int8(Precision.FP16, PROCESSOR_CLASSES) is None
