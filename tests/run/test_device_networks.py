"""Real networks in windows on a simulated GPU, with held tensors and means over the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.planning.request import PlanRequest
from edgeunet.specs import Precision
from tests.convert.small import small
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import desktop, jetson
from tests.run.comparing import answers, same


@pytest.mark.parametrize(
    ("name", "frame", "gpu"),
    [
        ("nafnet", (50, 37), Gpu()),
        ("joint", (50, 37), desktop()),
    ],
)
def test_a_network_in_windows_is_the_same_on_both(
    name: str,
    frame: tuple[int, int],
    gpu: Gpu,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = PlanRequest(window=(32, 32))
    order = ExportOrder(small(name), *frame, Precision.FP32, request=request)
    bundle = draft_bundle(order, tmp_path / "made.bundle")
    # Later, because torch looks whether there is a TensorRT while it exports.
    jetson(monkeypatch, gpu=gpu).build(bundle)
    assert bundle.manifest.plan is not None
    given, wanted = answers(bundle, "tensorrt", (1,)), answers(bundle, "onnxruntime", (1,))
    assert same(given, wanted)
    assert np.ptp(given[0]["denoised"]) > 0
    gpu.finish()
