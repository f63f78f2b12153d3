"""Bundles for float frames give the outputs of bundles for uint8 frames, on every engine."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from edgeunet.bundle import Bundle, open_bundle, write_bundle
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.trtexec import trtexec_commands
from edgeunet.errors import BundleError, SourceError, UsageError
from edgeunet.planning.request import PlanRequest
from edgeunet.run.executor import Executor
from edgeunet.run.source_size import check_size
from edgeunet.specs import FrameType, Precision
from tests.convert.small import small
from tests.engine.simulated_gpu import Gpu
from tests.engine.simulated_jetson import desktop, jetson
from tests.media.clips import picture
from tests.run.comparing import answers, same

FRAME = (50, 37)
WINDOWS = PlanRequest(window=(32, 32))


def draft(folder: Path, frame_type: FrameType, request: PlanRequest = WINDOWS) -> Bundle:
    order = ExportOrder(
        small("joint"), *FRAME, Precision.FP32, request=request, frame_type=frame_type
    )
    return draft_bundle(order, folder / f"{frame_type}.bundle")


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return draft(tmp_path_factory.mktemp("floats"), FrameType.FLOAT32)


@pytest.fixture(scope="module")
def in_bytes(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return draft(tmp_path_factory.mktemp("bytes"), FrameType.UINT8)


def test_windows_of_floats_are_windows_of_bytes(windowed: Bundle, in_bytes: Bundle) -> None:
    assert windowed.manifest.plan is not None
    given = answers(windowed, "onnxruntime")
    assert {array.dtype.name for array in given[0].values()} == {"uint8"}
    assert np.ptp(given[0]["denoised"]) > 0
    assert same(given, answers(in_bytes, "onnxruntime"))


def test_inputs_and_outputs_are_floats_and_older_versions_read_the_graphs(windowed: Bundle) -> None:
    for stage in windowed.manifest.stages:
        assert {entry.dtype for entry in (*stage.inputs, *stage.outputs)} == {"float32"}
        model = onnx.load(windowed.file(stage.graph))
        assert [entry.version for entry in model.opset_import if not entry.domain] == [13]
        onnx.checker.check_model(model, full_check=True)
        assert "Round" not in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("gpu", [Gpu(), desktop()], ids=["integrated", "discrete"])
def test_a_gpu_runs_float_frames(
    windowed: Bundle, gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(shutil.copytree(windowed.path, tmp_path / windowed.path.name))
    jetson(monkeypatch, gpu=gpu).build(bundle)
    assert same(answers(bundle, "tensorrt"), answers(bundle, "onnxruntime"))
    gpu.finish()


def test_whole_frames_and_their_buffers(in_bytes: Bundle, tmp_path: Path) -> None:
    bundle = draft(tmp_path, FrameType.FLOAT32, PlanRequest(whole=True))
    assert same(answers(bundle, "onnxruntime"), answers(in_bytes, "onnxruntime"))
    executor = Executor(bundle, threads=1)
    image = picture(1, *FRAME)
    first = executor.run(image)["denoised"]
    assert executor.run(image)["denoised"] is first
    tracemalloc.start()
    executor.run(image)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < image.nbytes
    executor.close()


def test_a_manifest_that_says_another_type_than_its_graphs(
    windowed: Bundle, tmp_path: Path
) -> None:
    files: dict[str, bytes | Path] = {
        name: windowed.file(name).read_bytes() for name in windowed.manifest.files
    }
    wrong = msgspec.structs.replace(windowed.manifest, frame_type=FrameType.UINT8)
    with pytest.raises(BundleError, match="its plan has no uint8 frame of 64x48 pixels"):
        open_bundle(write_bundle(tmp_path / "x.bundle", wrong, files).path)


def test_the_hint_for_another_size_keeps_the_floats(windowed: Bundle) -> None:
    with pytest.raises(SourceError) as caught:
        check_size(windowed, "x.png", 64, 64)
    assert caught.value.hint.endswith("--fp32 --frame float")


class TestTrtexec:
    def test_old_versions_build_float_frames(self, windowed: Bundle) -> None:
        options = BuildOptions(workspace_bytes=256 << 20)
        encode, *_ = trtexec_commands(windowed, options, "8.2.1")
        engine = f"{windowed.path}/engines/encode.plan"
        assert encode == (
            f"trtexec --onnx={windowed.path}/encode.onnx --saveEngine={engine} --workspace=256 "
            "--buildOnly"
        )
        newer, *_ = trtexec_commands(windowed, options, "8.4.1")
        assert newer.endswith("--memPoolSize=workspace:256 --buildOnly")

    def test_bytes_are_refused_with_the_option_that_helps(self, in_bytes: Bundle) -> None:
        with pytest.raises(UsageError) as caught:
            trtexec_commands(in_bytes, BuildOptions(), "8.2.1")
        assert caught.value.message == (
            "TensorRT 8.2.1 has no uint8 tensors, and the frames of this bundle are uint8"
        )
        assert caught.value.hint.startswith("export it with --frame float")

    def test_the_oldest_versions_read_no_bundle(self, windowed: Bundle) -> None:
        with pytest.raises(UsageError, match="TensorRT 7.1.3 does not read a bundle's graphs"):
            trtexec_commands(windowed, BuildOptions(), "7.1.3")
