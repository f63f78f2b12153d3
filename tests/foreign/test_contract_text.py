"""What a person says about tensors is read, or refused in words that say what works."""

from __future__ import annotations

import pytest

from edgeunet.contracts import OutputKind, ValueRange
from edgeunet.errors import UsageError
from edgeunet.foreign.contract_text import read_contract


def test_all_that_can_be_said_of_an_input() -> None:
    text = "x=nhwc,bgr,-1..1,mean=0.485,0.456,0.406,std=0.229,0.224,0.225"
    (said,) = read_contract([text], []).inputs
    assert (said.name, said.layout, said.colours, said.low_high) == ("x", "nhwc", "bgr", (-1, 1))
    assert said.mean == (0.485, 0.456, 0.406)
    assert said.std == (0.229, 0.224, 0.225)


def test_what_is_not_said_stays_as_it_was_found() -> None:
    (said,) = read_contract(["x=0..255"], []).inputs
    found = ValueRange(mean=(0.5,), std=(0.25,))
    assert said.values(found) == ValueRange(low=0, high=255, mean=(0.5,), std=(0.25,))


def test_a_quotient_is_a_number() -> None:
    said = read_contract(["sigma=fill=25/255"], []).inputs[0]
    assert said.fill == pytest.approx(25 / 255)
    assert read_contract(["x=mean=127/255,1/2,0.4"], []).inputs[0].mean == (127 / 255, 0.5, 0.4)


def test_outputs() -> None:
    one, two = read_contract([], ["y=logits,nearest", "z=none"]).outputs
    assert (one.kind, one.resize, one.left_out) == (OutputKind.LOGITS, "nearest", False)
    assert two.left_out
    assert read_contract([], ["m=logits,threshold=0.3"]).outputs[0].threshold == 0.3


@pytest.mark.parametrize(
    ("inputs", "outputs", "message", "hint"),
    [
        (["x"], [], "--input 'x' does not say what a tensor is", "like --input NAME=nchw"),
        (["x="], [], "--input 'x=' does not say what a tensor is", "like"),
        (["x=nchv"], [], "--input x: 'nchv' is not known", "did you mean 'nchw'?"),
        (["x=image"], [], "--input x: 'image' is not known", "known: nchw, nhwc"),
        (["x=rgb", "x=bgr"], [], "--input x is given twice", "say all of it once"),
        (["x=1..0"], [], "--input x: 1..0 is no range", "the value of black, then"),
        (["x=std=0"], [], "--input x: std must be above 0", "like std="),
        (["x=mean=1,2"], [], "--input x: mean has 2 numbers", "one per channel"),
        (["x=fill=1/0"], [], "--input x: 'fill=1/0' is not known", "fill="),
        ([], ["y=labelz"], "--output y: 'labelz' is not known", "did you mean 'labels'?"),
    ],
)
def test_what_cannot_be_read_is_refused(
    inputs: list[str], outputs: list[str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_contract(inputs, outputs)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_a_range_is_a_factor_and_an_offset() -> None:
    values = ValueRange(low=-1, high=1, mean=(0.5, 0.25, 0.0), std=(2.0,))
    factors, offsets = values.factors
    for pixel in (0, 128, 255):
        for factor, offset, mean in zip(factors, offsets, values.mean, strict=True):
            wanted = (pixel / 255 * 2 - 1 - mean) / 2
            assert pixel * factor + offset == pytest.approx(wanted)
    assert str(values) == "-1..1,mean=0.5,0.25,0,std=2"
