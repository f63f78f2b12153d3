"""``edgeunet memory`` as a person meets it: figures, files, and refusals."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx_ir")

from edgeunet.cli import verbs
from edgeunet.cli.app import main
from tests.bundle.tiny import tiny_bundle, tiny_graph

# The mean, which the labels are still made from, its rows and the rounded rows: three FP32 images.
PEAK_BYTES = 3 * (3 * 48 * 64 * 4)


@pytest.fixture(autouse=True)
def _only_this_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "VERBS", {"memory": "memory"})


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_graph(48, 64))
    return path


def memory_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["memory", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code and the two lines; nothing must be on stdout."""
    code = main(["memory", *arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    error, hint = captured.err.splitlines()[-2:]
    return code, error.removeprefix("error: "), hint.removeprefix("hint: ")


def test_a_file_is_analysed(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = memory_json(capsys, str(graph))
    pixels = 48 * 64
    assert document["model"] == "tiny.onnx"
    assert (document["size"], document["precision"]) == ("48x64", "fp32")
    assert document["peak_live_bytes"] == document["arena_bytes"] == PEAK_BYTES
    assert document["io_bytes"] == pixels * (3 + 3 + 1)
    assert (document["skip_bytes"], document["weight_bytes"]) == (0, 0)
    assert sum(t["bytes"] for t in document["live_at_peak"]) == document["peak_live_bytes"]
    assert {t["role"] for t in document["live_at_peak"]} == {"stream"}
    assert "measured_bytes" not in document


def test_a_size_fixes_the_axes_of_a_file(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    fixed = memory_json(capsys, str(graph))
    model = onnx.load(graph)
    for index, axis in enumerate(("batch", "height", "width")):
        model.graph.input[0].type.tensor_type.shape.dim[index].dim_param = axis
    onnx.save(model, graph)
    code, error, hint = failure(capsys, str(graph))
    assert (code, error) == (
        1,
        "the input 'frame' has the shape (batch, height, width, 3), so its size is not fixed",
    )
    assert hint == "give the frame's size, like --size 480x640; the batch is taken as 1"
    assert main(["memory", str(graph), "--size", "48x64", "--json", "--measure"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document.pop("measured_bytes") >= 0
    assert document == fixed
    assert "frame is taken as 1x48x64x3" in captured.err


def test_the_tables_name_every_figure(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", str(graph)]) == 0
    out = capsys.readouterr().out
    for word in ("skip", "peak live", "arena", "input/output", "weights", "lower bound"):
        assert word in out
    assert "alive at the peak" in out
    assert "108.0 KiB" in out
    assert "measured" not in out


def test_measured_figures_have_a_column_of_their_own(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", str(graph), "--measure"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if "estimated" in line and "measured" in line]
    assert any("measured: onnxruntime" in line for line in lines)
    assert any("later frames" in line for line in lines)


def test_measured_bytes_are_the_last_key(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = memory_json(capsys, str(graph), "--measure")
    assert list(document)[-1] == "measured_bytes"
    assert document["measured_bytes"] >= 0


def test_a_bundle_is_analysed_without_torch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    document = memory_json(capsys, str(bundle.path), "--size", "48x64", "--precision", "fp32")
    assert (document["model"], document["size"]) == ("tiny", "48x64")
    assert document["peak_live_bytes"] == PEAK_BYTES


def test_a_file_is_analysed_at_another_size_and_in_a_budget(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    document = memory_json(capsys, str(graph), "--size", "96x64")
    assert document["size"] == "96x64"
    assert document["peak_live_bytes"] > PEAK_BYTES
    document = memory_json(capsys, str(graph), "--size", "192x256", "--tile", "auto")
    assert document["size"] == "192x256"
    assert document["stages"]


def test_a_size_contradicts_a_bundle(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tiny_bundle(graph.parent).path
    code, error, _ = failure(capsys, str(target), "--size", "64x64")
    assert (code, error) == (
        2,
        f"a size of 64x64 contradicts {target.name}, which is fixed at 48x64",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--precision", "fp16"), "precision fp16 contradicts {}, which is fp32"),
        (("--width", "16"), "a width cannot change {}: its channels are fixed"),
    ],
)
@pytest.mark.parametrize("kind", ["file", "bundle"])
def test_a_contradiction_is_refused(
    graph: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    said: str,
    kind: str,
) -> None:
    target = graph if kind == "file" else tiny_bundle(graph.parent).path
    code, error, hint = failure(capsys, str(target), *options)
    assert (code, error) == (2, said.format(target.name))
    assert hint == f"leave the option out, or give a model's name instead of a {kind}"


def test_pictures_are_drawn_in_both_formats(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    png, svg = graph.with_suffix(".png"), graph.with_suffix(".svg")
    document = memory_json(capsys, str(graph), "--plot", str(png), "--plot", str(svg))
    assert document["model"] == "tiny.onnx"
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in svg.read_bytes()


def test_a_picture_of_an_unknown_format_is_refused_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    code, error, _ = failure(capsys, "missing.onnx", "--plot", str(tmp_path / "a.pdf"))
    assert code == 2
    assert error.startswith("cannot draw 'a.pdf'")


def test_a_picture_without_matplotlib_names_the_extra(
    graph: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "edgeunet.analysis.memory_plot", raising=False)
    code, error, hint = failure(capsys, str(graph), "--plot", "a.png")
    assert code == 1
    assert error == "--plot needs the package 'matplotlib', which is not installed"
    assert hint == 'pip install "edgeunet[plot]"'


@pytest.mark.parametrize("already_imported", [False, True])
def test_a_model_without_torch_names_the_extra(
    already_imported: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if already_imported:
        importlib.import_module("edgeunet.convert.network_plan")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "edgeunet.convert.network_graph", raising=False)
    code, error, hint = failure(capsys, "unetmm")
    assert code == 1
    assert error == "making the graph of unetmm needs the package 'torch', which is not installed"
    assert hint == 'pip install "edgeunet[export]"'


def test_a_file_without_onnx_names_the_extra(
    graph: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    code, error, hint = failure(capsys, str(graph))
    assert code == 1
    assert "reading an ONNX graph needs the package 'onnx_ir'" in error
    assert hint == 'pip install "edgeunet[memory]"'


def test_a_model_is_analysed_at_the_size_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    options = ("--size", "64x96", "--width", "tiny", "--precision", "fp16", "--measure")
    document = memory_json(capsys, "unetmm", *options)
    assert (document["model"], document["size"], document["precision"]) == (
        "unetmm", "64x96", "fp16",
    )  # fmt: skip
    assert document["skip_bytes"] == 8 * 64 * 96 // 8 * 2
    assert document["measured_bytes"] > document["peak_live_bytes"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("unetmmm",), 2, "there is no model 'unetmmm'"),
        (("nothing.onnx",), 1, "there is no file 'nothing.onnx'"),
        (("nothing.bundle",), 1, "there is no bundle folder 'nothing.bundle'"),
        (("unetmm", "--size", "480"), 2, "'480' is not a frame size"),
        (("unetmm", "--width", "0"), 2, "'0' is not a network width"),
    ],
)
def test_what_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    found, error, hint = failure(capsys, *arguments)
    assert (found, error) == (code, said)
    assert hint


def test_text_named_onnx_is_refused_in_two_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("these are words\n" * 20)
    code, error, hint = failure(capsys, str(path))
    assert code == 1
    assert error.startswith("text.onnx is not a whole ONNX model")
    assert hint == "export or copy it again"
