"""The figures of the shipped networks, exported: skips as the papers count them."""

from __future__ import annotations

import functools

import msgspec
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx_ir")

from edgeunet.analysis.memory_report import MemoryReport, analyse
from edgeunet.analysis.roles import Role
from edgeunet.convert.network_graph import graph_of_recipe
from edgeunet.graph.summary import view_of_model
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.specs import Precision

HEIGHT, WIDTH, CHANNELS = 32, 48, 8
ELEMENTS = CHANNELS * HEIGHT * WIDTH


def small(name: str) -> Recipe:
    """The recipe with one block per level and few channels: the same shape, quicker."""
    recipe = load_recipe(name)
    ones = (1,) * recipe.network.levels
    network = msgspec.structs.replace(
        recipe.network, width=CHANNELS, encoder_blocks=ones, middle_blocks=1, decoder_blocks=ones
    )
    return msgspec.structs.replace(recipe, network=network)


@functools.cache
def report_of(name: str, precision: Precision) -> MemoryReport:
    return analyse(view_of_model(graph_of_recipe(small(name), HEIGHT, WIDTH, precision)))


@pytest.mark.parametrize(
    ("name", "precision", "skip_elements", "peak_elements"),
    [
        # NAFNet's peak has no skip in it: residual C + 2C + 2C in the first block.
        ("nafnet", Precision.FP32, ELEMENTS * 15 // 8, 5 * ELEMENTS),
        # U-Net's peak is the concatenation at level 0: C + C in, 2C out.
        ("unet", Precision.FP16, ELEMENTS * 15 // 8, 4 * ELEMENTS),
        ("unetmm", Precision.FP32, ELEMENTS // 8, 3 * ELEMENTS),
    ],
)
def test_the_figures_of_a_network(
    name: str, precision: Precision, skip_elements: int, peak_elements: int
) -> None:
    report = report_of(name, precision)
    element_bytes = 4 if precision is Precision.FP32 else 2
    assert report.skip_bytes == skip_elements * element_bytes
    assert report.peak_live_bytes == peak_elements * element_bytes
    assert report.layout.optimal
    assert (report.size, report.precision) == (f"{HEIGHT}x{WIDTH}", precision)
    assert report.io_bytes == 2 * 3 * HEIGHT * WIDTH


def test_a_decoder_and_a_classifier_keep_one_set_of_skips() -> None:
    report = report_of("addunet-joint", Precision.FP32)
    assert report.skip_bytes == ELEMENTS * 15 // 8 * 4
    parts = [stage.part for stage in report.level_runs]
    assert parts == ["encoder"] * 4 + ["bottleneck"] + ["decoder"] * 4


def test_at_the_peak_of_a_u_net_the_skip_is_named() -> None:
    report = report_of("unet", Precision.FP16)
    skips = [tensor for tensor in report.live_at_peak if tensor.role is Role.SKIP]
    assert [tensor.shape for tensor in skips] == [(1, CHANNELS, HEIGHT, WIDTH)]
