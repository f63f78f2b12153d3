"""``edgeunet export --onnx`` from a file to a bundle that runs, equal to the file itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import edgeunet as edgeunet_api
from edgeunet.bundle import open_bundle
from edgeunet.convert.network_graph import quiet_exporter
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image
from tests.cli.command import edgeunet
from tests.foreign.exported import with_random_statistics, write_onnx
from tests.foreign.plain_networks import ESPCN, DnCNN, UNet

SIZE = (64, 96)


def picture(height: int, width: int) -> Image:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_hand(path: Path, frame: Image) -> Array:
    """The file's own answer for a BGR frame, with RGB of 0..1 before it, as papers have it."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    planes = frame[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    answer: Array = session.run(None, {"x": planes})[0]
    return answer


def image_by_hand(path: Path, frame: Image) -> Image:
    pixels = np.clip(np.rint(by_hand(path, frame) * 255), 0, 255).astype(np.uint8)
    image: Image = pixels[0].transpose(1, 2, 0)[:, :, ::-1]
    return image


def run(bundle: Path, frame: Image) -> dict[str, Array]:
    executor = Executor(open_bundle(bundle))
    try:
        return {name: array.copy() for name, array in executor.run(frame).items()}
    finally:
        executor.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("files")
    denoiser, segmenter = with_random_statistics(DnCNN()), with_random_statistics(UNet())
    return {
        "open": write_onnx(denoiser, folder / "open.onnx", dynamic=True),
        "fixed": write_onnx(denoiser, folder / "fixed.onnx", dynamo=False, opset=13),
        "unet": write_onnx(segmenter, folder / "unet.onnx", dynamo=False, opset=17, dynamic=True),
        "times3": write_onnx(ESPCN(), folder / "times3.onnx", opset=23),
    }


def test_a_denoiser_of_open_size(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "open.bundle"
    ran = edgeunet("export", "--onnx", files["open"], "--size", "37x51", "--out", target)
    assert ran.code == 0, ran.err
    assert "contract of open.onnx" in ran.out
    assert "image,nchw,rgb,0..1" in ran.out
    assert "parity of open fp32 with open.onnx, on onnxruntime" in ran.out
    manifest = open_bundle(target).manifest
    assert manifest.foreign is not None
    assert (manifest.foreign.name, manifest.foreign.file) == ("open", "open.onnx")
    assert manifest.recipe is None
    assert manifest.weights == "open.onnx"
    assert len(manifest.parity) == 9
    frame = picture(37, 51)
    difference = run(target, frame)["image"][0].astype(int) - image_by_hand(files["open"], frame)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3


def test_a_fixed_file_has_a_size_of_its_own(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "fixed.bundle"
    ran = edgeunet("export", "--onnx", files["fixed"], "--out", target, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert (document["model"], document["size"]) == ("fixed", "64x96")
    frame = picture(*SIZE)
    difference = run(target, frame)["image"][0].astype(int) - image_by_hand(files["fixed"], frame)
    assert np.abs(difference).max() <= 1


def test_another_size_is_compared_at_both(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "other.bundle"
    ran = edgeunet("export", "--onnx", files["fixed"], "--size", "41x50", "--out", target)
    assert ran.code == 0, ran.err
    frames = [entry.frame for entry in open_bundle(target).manifest.parity]
    assert len(frames) == 18
    assert sum(frame.endswith(" at 64x96") for frame in frames) == 9


def test_a_segmenter_in_windows(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "unet.bundle"
    words = ("--size", "128x192", "--tile", "auto", "--out", target)
    ran = edgeunet("export", "--onnx", files["unet"], *words)
    assert ran.code == 0, ran.err
    bundle = open_bundle(target)
    assert bundle.manifest.plan is not None
    frame = picture(128, 192)
    labels = run(target, frame)["labels"][0]
    wanted = by_hand(files["unet"], frame)[0].argmax(axis=0)
    assert (labels != wanted).mean() < 1e-3
    assert len(np.unique(labels)) > 1


def test_a_larger_image(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "times3.bundle"
    ran = edgeunet("export", "--onnx", files["times3"], "--out", target)
    assert ran.code == 0, ran.err
    frame = picture(*SIZE)
    image = run(target, frame)["image"][0]
    assert image.shape == (3 * SIZE[0], 3 * SIZE[1], 3)
    difference = image.astype(int) - image_by_hand(files["times3"], frame)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ["--onnx", "open"],
            "open.onnx takes frames of any size, and none is given",
            "say which with --size, like --size 720x1280",
        ),
        ([], "no network is given", "give --model MODEL for one of edgeunet, or --onnx FILE"),
        (["--onnx", "open", "--model", "unetmm"], "two networks are given", "give --model MODEL"),
        (["--onnx", "open", "--width", "8"], "width cannot be given for an ONNX file", "leave"),
        (
            ["--onnx", "unet", "--size", "62x95"],
            "the network does not take x (1, 3, 62, 95):",
            "it takes 60x92 and 64x96",
        ),
        (
            ["--onnx", "fixed", "--input", "z=rgb"],
            "--input z: fixed.onnx has no such tensor",
            "it has: x",
        ),
        (
            ["--onnx", "fixed", "--output", "y=labels"],
            "--output y=labels: it is (1, 3, 64, 96), and class numbers are (1, 64, 96)",
            "image, labels, logits and vector are explained",
        ),
        (
            ["--model", "unetmm", "--input", "x=rgb"],
            "what an input is can be said of an ONNX file, and unetmm is a recipe",
            "leave inputs out",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(
    files: dict[str, Path], tmp_path: Path, words: list[str], message: str, hint: str
) -> None:
    given = [files.get(word, word) for word in words]
    target = tmp_path / "refused.bundle"
    ran = edgeunet("export", *given, "--out", target)
    found, advice = ran.failure
    assert found.startswith(message)
    assert advice.startswith(hint)
    assert ran.code == 2
    assert not target.exists()


def test_a_torch_module_is_compared_with_itself(tmp_path: Path) -> None:
    torch.manual_seed(4)
    module = with_random_statistics(UNet()).train()
    target = tmp_path / "module.bundle"
    bundle = edgeunet_api.export(module, size="32x48", inputs={"x": "bgr,-1..1"}, out=target)
    assert module.training
    manifest = bundle.manifest
    assert manifest.foreign is not None
    assert manifest.foreign.file == "UNet"
    frame = picture(32, 48)
    with torch.inference_mode():
        planes = torch.from_numpy(frame.transpose(2, 0, 1)[None].astype(np.float32) / 255 * 2 - 1)
        wanted = module.eval()(planes)[0].argmax(dim=0).numpy()
    assert (run(target, frame)["labels"][0] != wanted).mean() < 1e-3


def test_weights_in_a_file_beside_it(tmp_path: Path) -> None:
    """As torch's exporter writes them unless it is told otherwise."""
    torch.manual_seed(3)
    path = tmp_path / "beside.onnx"
    with quiet_exporter():
        torch.onnx.export(
            UNet().eval(), (torch.rand(1, 3, *SIZE),), path, dynamo=True, verbose=False
        )
    weights = tmp_path / "beside.onnx.data"
    assert weights.is_file()
    for number, words in enumerate(((), ("--tile", "auto"), ("--size", "32x64"))):
        ran = edgeunet("export", "--onnx", path, *words, "--out", tmp_path / f"{number}.bundle")
        assert ran.code == 0, ran.err
    digest = open_bundle(tmp_path / "0.bundle").manifest.weights_sha256
    weights.write_bytes(weights.read_bytes()[::-1])
    ran = edgeunet("export", "--onnx", path, "--out", tmp_path / "other.bundle")
    if ran.code == 0:
        assert open_bundle(tmp_path / "other.bundle").manifest.weights_sha256 != digest
    weights.unlink()
    ran = edgeunet("export", "--onnx", path, "--out", tmp_path / "lost.bundle")
    assert ran.failure[0].startswith("the weights of beside.onnx are in ")
    assert ran.failure[1] == "copy that file beside it"


def test_weights_outside_the_folder_are_not_read(files: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(files["fixed"])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    path = tmp_path / "outside.onnx"
    path.write_bytes(model.SerializeToString())
    ran = edgeunet("export", "--onnx", path, "--out", tmp_path / "outside.bundle")
    assert ran.failure[0].endswith("'../secret', outside its folder")
