"""edgeunet from Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgeunet
from edgeunet import api
from edgeunet.media import opencv
from edgeunet.media.sources import open_source
from tests.cli.command import edgeunet as command
from tests.house.source import ROOT

SIZE = (96, 128)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> edgeunet.Bundle:
    folder = tmp_path_factory.mktemp("api")
    return edgeunet.export(
        "joint", size=SIZE, random_weights=True, width=4, out=folder / "j.bundle"
    )


@pytest.fixture(scope="module")
def network(bundle: edgeunet.Bundle) -> Iterator[edgeunet.Network]:
    with edgeunet.open_bundle(bundle.path, engine="onnxruntime", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def test_the_names_are_those_of_the_document() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(api.__all__)
    assert sorted(edgeunet.__all__) == sorted([*api.__all__, "__version__"])
    assert all(getattr(edgeunet, name) is getattr(api, name) for name in api.__all__)
    assert dir(edgeunet) == sorted(edgeunet.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'exprot'"):
        edgeunet.exprot  # type: ignore[attr-defined]  # noqa: B018


def test_importing_loads_no_other_package() -> None:
    code = (
        "import sys; import edgeunet; edgeunet.__version__; "
        "print({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    run = [sys.executable, "-S", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(re.findall(r"'(\w+)'", done.stdout)) <= {"edgeunet", "__main__"}


def test_memory_is_what_the_command_says() -> None:
    ran = command("memory", "unet", "--size", "96x128", "--tile", "64x64", "--json")
    report = edgeunet.memory("unet", size="96x128", windows=(64, 64))
    assert ran.code == 0
    assert report.document() == json.loads(ran.out)
    assert len(report.planned) > 1
    shown = report._repr_html_()
    assert "predicted" in shown
    assert shown.count("<table>") == 2
    assert all(stage.name in shown for stage in report.planned)


def test_memory_of_a_bundle_and_of_a_file(bundle: edgeunet.Bundle) -> None:
    of_bundle = edgeunet.memory(bundle.path)
    of_file = edgeunet.memory(bundle.file(bundle.manifest.stages[0].graph))
    assert of_bundle.peak_live_bytes == of_file.peak_live_bytes > 0
    assert "joint" in bundle._repr_html_()


def test_memory_of_a_torch_module() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
    report = edgeunet.memory(module, size=(32, 48))
    assert report.frame == (32, 48)
    assert report.peak_live_bytes >= 8 * 32 * 48 * 4
    assert report.weight_bytes == (8 * 3 * 9 + 8) * 4
    assert module.training


def test_a_torch_module_that_cannot_be_exported() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(edgeunet.EdgeUnetError, match="the size of Linear's images"):
        edgeunet.memory(torch.nn.Linear(2, 2))
    with pytest.raises(edgeunet.EdgeUnetError, match="torch cannot export Linear") as caught:
        edgeunet.memory(torch.nn.Linear(2, 2), size=(32, 48))
    assert caught.value.hint.startswith("it must take one (1, 3, H, W) float32 image")
    with pytest.raises(edgeunet.EdgeUnetError, match="a budget, windows or processors cannot"):
        edgeunet.memory(torch.nn.Conv2d(3, 8, 3), size=(32, 48), budget="1MiB")


def test_the_network_says_what_it_is(network: edgeunet.Network, bundle: edgeunet.Bundle) -> None:
    assert network.size == SIZE
    assert network.engine == "onnxruntime"
    assert network.outputs == ("denoised", "labels")
    assert repr(network) == "<Network j.bundle, 96x128, onnxruntime>"
    assert bundle.manifest.parity


def test_outputs_are_the_callers_own(network: edgeunet.Network, frame: NDArray[np.uint8]) -> None:
    first = network.run(frame)
    kept = {name: array.copy() for name, array in first.items()}
    network.run(255 - frame)
    assert first["denoised"].shape == (*SIZE, 3)
    assert first["labels"].shape == SIZE
    assert all(array.dtype == np.uint8 for array in first.values())
    for name, array in first.items():
        np.testing.assert_array_equal(array, kept[name])


def test_rgb_is_bgr_the_other_way_round(
    network: edgeunet.Network, frame: NDArray[np.uint8]
) -> None:
    bgr = network.run(frame)
    rgb = network.run(frame[:, :, ::-1], colours="rgb")
    np.testing.assert_array_equal(rgb["denoised"][:, :, ::-1], bgr["denoised"])
    np.testing.assert_array_equal(rgb["labels"], bgr["labels"])
    assert rgb["denoised"].flags.c_contiguous


def test_floats_are_rounded_to_bytes(network: edgeunet.Network, frame: NDArray[np.uint8]) -> None:
    floats = network.run(frame / 255, scale="unit")
    assert floats["denoised"].dtype == np.float32
    expected = network.run(frame)["denoised"]
    np.testing.assert_array_equal(np.rint(floats["denoised"] * 255), expected)
    # Values between two bytes, and outside 0..1.
    near = np.clip(frame.astype(float), 3, 250) / 255 + 0.4 / 255
    near[0, 0], near[0, 1] = -0.5, 1.5
    as_bytes = np.clip(frame, 3, 250)
    as_bytes[0, 0], as_bytes[0, 1] = 0, 255
    answer = network.run(near, scale="unit")["denoised"]
    np.testing.assert_array_equal(np.rint(answer * 255), network.run(as_bytes)["denoised"])


def test_given_arrays_are_written_into(network: edgeunet.Network, frame: NDArray[np.uint8]) -> None:
    given = np.zeros((*SIZE, 3), np.uint8)
    answer = network.run(frame, out={"denoised": given})
    assert answer["denoised"] is given
    np.testing.assert_array_equal(given, network.run(frame)["denoised"])


def test_what_run_refuses(network: edgeunet.Network, frame: NDArray[np.uint8]) -> None:
    with pytest.raises(edgeunet.EdgeUnetError, match="a frame is 95x128, j.bundle takes 96x128"):
        network.run(frame[1:])
    with pytest.raises(edgeunet.EdgeUnetError, match="float64 does not have the scale 'bytes'"):
        network.run(frame / 255)
    with pytest.raises(edgeunet.EdgeUnetError, match="uint8 does not have the scale 'unit'"):
        network.run(frame, scale="unit")
    with pytest.raises(edgeunet.EdgeUnetError, match="int64 does not have the scale"):
        network.run(frame.astype(np.int64))
    with pytest.raises(edgeunet.EdgeUnetError, match="not finite"):
        network.run(np.full((*SIZE, 3), np.nan), scale="unit")
    with pytest.raises(edgeunet.EdgeUnetError, match="no order of colours 'grb'"):
        network.run(frame, colours="grb")  # type: ignore[arg-type]
    with pytest.raises(edgeunet.EdgeUnetError, match="no scale 'float'"):
        network.run(frame, scale="float")  # type: ignore[arg-type]
    with pytest.raises(edgeunet.EdgeUnetError, match="j.bundle has no output 'clean'"):
        network.run(frame, out={"clean": frame})
    with pytest.raises(edgeunet.EdgeUnetError, match="the array for 'labels' is uint8"):
        network.run(frame, out={"labels": np.zeros((1, *SIZE), np.uint8)})


def test_a_closed_network(bundle: edgeunet.Bundle, frame: NDArray[np.uint8]) -> None:
    opened = edgeunet.open_bundle(str(bundle.path), engine="onnxruntime", threads=1)
    opened.close()
    with pytest.raises(edgeunet.EdgeUnetError, match="j.bundle was closed"):
        opened.run(frame)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "fp8"}, "there is no precision 'fp8'"),
        ({"calibration": "photographs"}, "are for INT8, and the export is fp32"),
        ({"max_drop_db": 0.1}, "are for INT8, and the export is fp32"),
        ({"precision": "int8", "engine": "openvino"}, "there is no engine 'openvino'"),
        ({"frame_type": "float16"}, "there is no frame type 'float16'"),
        ({"budget": "64MiB", "board": "orin-nano-4gb"}, "both give a byte limit"),
        ({"budget": 0}, "a budget of 0 bytes"),
        ({"windows": (0, 64)}, "windows of 0x64 hold no pixel"),
        ({"width": 5}, "there are no shipped weights for unetmm at width 5"),
        ({"weights": "w.safetensors", "random_weights": True}, "contradict each other"),
        ({"size": "480"}, "480"),
    ],
)
def test_what_export_refuses(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(edgeunet.EdgeUnetError, match=message) as caught:
        edgeunet.export("unetmm", out=tmp_path / "x.bundle", **arguments)  # type: ignore[arg-type]
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_an_unknown_network() -> None:
    with pytest.raises(edgeunet.EdgeUnetError, match="unetnn"):
        edgeunet.memory("unetnn")
    assert "unetmm" in edgeunet.network_names()


def test_a_bundle_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(edgeunet.EdgeUnetError, match="there is no bundle folder"):
        edgeunet.open_bundle(tmp_path / "none.bundle")


def test_export_tells_what_it_does(tmp_path: Path) -> None:
    told: list[str] = []
    bundle = edgeunet.export(
        "unet",
        size=(96, 128),
        width=4,
        random_weights=True,
        windows=(32, 32),
        out=str(tmp_path / "u.bundle"),
        on_note=told.append,
    )
    assert bundle.manifest.plan is not None
    assert bundle.path == tmp_path / "u.bundle"
    assert "planning" in told


def test_frames_of_files(tmp_path: Path) -> None:
    images = [np.full((16, 24, 3), value, np.uint8) for value in (10, 20, 30)]
    for number, image in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(opencv.encode_image(image, ".png"))
    read = list(edgeunet.frames(tmp_path))
    assert [int(frame[0, 0, 0]) for frame in read] == [10, 20, 30]
    assert len(list(edgeunet.frames(str(tmp_path), limit=2))) == 2
    assert list(edgeunet.frames(tmp_path, limit=0)) == []
    assert len(list(edgeunet.frames("test://?frames=4"))) == 4
    with pytest.raises(edgeunet.EdgeUnetError, match="no file or folder"):
        next(edgeunet.frames(tmp_path / "none.mp4"))
    with pytest.raises(edgeunet.EdgeUnetError, match="-1 is not a number of frames"):
        next(edgeunet.frames(tmp_path, limit=-1))


def test_frames_close_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    opened = open_source("test://?frames=3")
    monkeypatch.setattr(opened, "close", lambda: closed.append(True))
    monkeypatch.setattr(api, "open_source", lambda text, size: opened)
    reading = edgeunet.frames("test://")
    next(reading)
    assert not closed
    reading.close()  # type: ignore[attr-defined]
    assert closed
