"""``edgeunet triton``: what is written is what the server's own schema reads."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]
from onnx import TensorProto, helper

from edgeunet.bundle import Bundle, open_bundle, write_bundle
from edgeunet.bundle.manifest import Manifest
from edgeunet.bundle.triton_repository import CONFIG
from edgeunet.engine import open_session
from edgeunet.specs import Task
from tests.bundle.tiny import tiny_graph, tiny_manifest, windowed_bundle
from tests.cli.command import contents, edgeunet

ALL = (Task.DENOISE, Task.SEGMENT, Task.CLASSIFY)


@pytest.fixture(scope="session")
def schema() -> Any:
    """The server's ModelConfig, from its client package without the rest of that package."""
    found = importlib.util.find_spec("tritonclient")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs tritonclient")
    path = Path(next(iter(found.submodule_search_locations))) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        # It was generated for an older protobuf than the one that is installed.
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module


def _config(folder: Path, schema: Any) -> Any:
    return text_format.Parse((folder / CONFIG).read_text(encoding="utf-8"), schema.ModelConfig())


def _bundle(folder: Path, *, graph: bytes | None = None, name: str = "tiny") -> Bundle:
    manifest = tiny_manifest(24, 32, ALL)
    return write_bundle(
        folder / f"{name}.bundle", manifest, {"graph.onnx": graph or tiny_graph(24, 32, ALL)}
    )


def test_a_model_repository(tmp_path: Path, schema: Any) -> None:
    bundle = _bundle(tmp_path)
    ran = edgeunet("triton", bundle.path, tmp_path / "models", "--json")
    assert ran.code == 0, ran.err
    folder = tmp_path / "models" / "tiny"
    assert json.loads(ran.out) == {
        "model": "tiny",
        "folder": str(folder),
        "config": str(folder / CONFIG),
        "version": 1,
        "backend": "onnxruntime",
        "max_batch": 0,
        "instances": 1,
    }
    assert sorted(contents(folder)) == [
        *("1", "1/model.onnx", CONFIG, "labels-labels.txt", "labels-scores.txt"),
    ]
    assert (folder / "1/model.onnx").read_bytes() == bundle.file("graph.onnx").read_bytes()
    assert (folder / "labels-scores.txt").read_text(encoding="utf-8") == "blue\ngreen\nred\n"
    config = _config(folder, schema)
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 0)
    types = schema.DataType
    (frame,) = config.input
    assert (frame.name, frame.data_type, list(frame.dims)) == (
        *("frame", types.Value("TYPE_UINT8"), [1, 24, 32, 3]),
    )
    outputs = {
        o.name: (types.Name(o.data_type), list(o.dims), o.label_filename) for o in config.output
    }
    assert outputs == {
        "denoised": ("TYPE_UINT8", [1, 24, 32, 3], ""),
        "labels": ("TYPE_UINT8", [1, 24, 32], ""),
        "scores": ("TYPE_FP32", [1, 3], "labels-scores.txt"),
    }
    (group,) = config.instance_group
    assert (group.count, group.kind) == (1, schema.ModelInstanceGroup.KIND_AUTO)
    assert config.version_policy.latest.num_versions == 1
    assert not config.HasField("dynamic_batching")
    assert f"tritonserver --model-repository={tmp_path / 'models'}" in ran.err


def test_dynamic_batching(tmp_path: Path, schema: Any) -> None:
    """The batched graph gives for each frame what the graph of one frame gives."""
    bundle = _bundle(tmp_path)
    words = ("--max-batch", 4, "--queue-delay", 2000, "--instances", 2, "--device", "gpu")
    ran = edgeunet("triton", bundle.path, tmp_path, "--name", "many", *words)
    assert ran.code == 0, ran.err
    assert "a run of 4 frames takes 4 times the activations" in ran.err
    config = _config(tmp_path / "many", schema)
    assert config.max_batch_size == 4
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert [list(tensor.dims) for tensor in (*config.input, *config.output)] == [
        *([24, 32, 3], [24, 32, 3], [24, 32], [3]),
    ]
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, schema.ModelInstanceGroup.KIND_GPU)
    _check_frames_stay_apart(tmp_path / "many/1/model.onnx", bundle.file("graph.onnx"), (24, 32))


def _check_frames_stay_apart(batched: Path, single: Path, size: tuple[int, int]) -> None:
    onnx.checker.check_model(batched, full_check=True)
    model = onnx.load(batched)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    import onnxruntime

    frames = np.random.default_rng(5).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(batched, providers=["CPUExecutionProvider"])
    together = session.run(None, {"frame": frames})
    names = [output.name for output in session.get_outputs()]
    with open_session(single, threads=1) as one:
        for index in range(3):
            alone = one.run({"frame": frames[index : index + 1]})
            for name, result in zip(names, together, strict=True):
                assert result.shape[0] == 3
                np.testing.assert_array_equal(result[index : index + 1], alone[name], strict=True)


@pytest.mark.slow
def test_an_export_is_served(tmp_path: Path, schema: Any) -> None:
    pytest.importorskip("torch")
    exported = edgeunet(
        *("export", "--model", "joint", "--width", 8, "--size", "32x48", "--random-weights"),
        *("--fp16", "--out", tmp_path / "small.bundle", "--triton", tmp_path / "models"),
    )
    assert exported.code == 0, exported.err
    config = _config(tmp_path / "models" / "small", schema)
    assert [output.name for output in config.output] == ["denoised", "labels"]
    graph = (
        tmp_path / "small.bundle" / open_bundle(tmp_path / "small.bundle").manifest.stages[0].graph
    )
    assert (tmp_path / "models/small/1/model.onnx").read_bytes() == graph.read_bytes()
    ran = edgeunet(
        "triton", tmp_path / "small.bundle", tmp_path / "models", "--name", "many", "--max-batch", 8
    )
    assert ran.code == 0, ran.err
    _check_frames_stay_apart(tmp_path / "models/many/1/model.onnx", graph, (32, 48))


def test_a_graph_laid_out_for_one_frame_is_refused(tmp_path: Path) -> None:
    model = onnx.load_from_string(tiny_graph(24, 32, ALL))
    rows = helper.make_tensor("to_rows", TensorProto.INT64, [3], [24, 32, 3])
    back = helper.make_tensor("to_frame", TensorProto.INT64, [4], [1, 24, 32, 3])
    model.graph.initializer.extend([rows, back])
    model.graph.node.insert(
        0, helper.make_node("Reshape", ["frame", "to_rows"], ["laid"], name="lay")
    )
    model.graph.node.insert(1, helper.make_node("Reshape", ["laid", "to_frame"], ["whole"]))
    next(node for node in model.graph.node if node.op_type == "Cast").input[0] = "whole"
    bundle = _bundle(tmp_path, graph=model.SerializeToString())
    before = contents(tmp_path)
    assert edgeunet("triton", bundle.path, tmp_path / "models", "--max-batch", "2").failure == (
        "the graph cannot take several frames at once: Reshape 'lay' works on one frame only",
        "leave --max-batch out; more --instances run frames side by side",
    )
    assert contents(tmp_path) == before


def test_versions_share_one_config(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path)
    words = ("triton", bundle.path, tmp_path / "models")
    assert edgeunet(*words).code == 0
    written = contents(tmp_path / "models")
    version = str(tmp_path / "models/tiny/1")
    assert edgeunet(*words).failure == (
        "tiny has a version 1 already",
        f"edgeunet triton takes --model-version 2; or remove {version!r}",
    )
    assert edgeunet(*words, "--model-version", 3, "--instances", 2).failure == (
        "tiny is served with another config.pbtxt, and all its versions share it",
        "give another --name, or the same options as before",
    )
    assert contents(tmp_path / "models") == written
    assert edgeunet(*words, "--model-version", 3).code == 0
    added = {**written, "tiny/3": None, "tiny/3/model.onnx": written["tiny/1/model.onnx"]}
    assert contents(tmp_path / "models") == added
    assert "--model-version 4" in edgeunet(*words, "--model-version", 3).failure[1]


def test_what_is_no_model_is_not_written_into(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path)
    (tmp_path / "models/tiny").mkdir(parents=True)
    (tmp_path / "models/tiny/notes.txt").touch()
    folder = str(tmp_path / "models" / "tiny")
    assert edgeunet("triton", bundle.path, tmp_path / "models").failure == (
        f"{folder!r} exists and is no model of a repository, so nothing is written there",
        "give another --name, or another folder",
    )


def test_a_repository_that_is_a_file(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path)
    (tmp_path / "models").touch()
    message, hint = edgeunet("triton", bundle.path, tmp_path / "models").failure
    assert message == f"{tmp_path / 'models'}: Not a directory"
    assert hint == "a file is in the way: choose another folder"


def test_a_bundle_in_windows_is_refused(tmp_path: Path) -> None:
    bundle = windowed_bundle(tmp_path)
    assert edgeunet("triton", bundle.path, tmp_path / "models").failure == (
        "tiny runs in windows (once, twice), and Triton runs a model once per request: nothing in "
        "it runs a graph over the windows of a frame",
        "export it for whole frames: --tile none, and no --budget",
    )
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ("--backend", "tensort"),
            "there is no backend 'tensort'",
            "did you mean 'tensorrt'? known: onnxruntime, tensorrt",
        ),
        (
            ("--device", "npu"),
            "there is no device 'npu'",
            "did you mean 'gpu'? known: auto, gpu, cpu",
        ),
        (
            ("--name", "../up"),
            "'../up' cannot be the name of a model",
            "use letters, digits, '_', '.' and '-'",
        ),
        (("--max-batch", "-1"), "--max-batch -1 is out of range", "give 0 to 1024"),
        (("--instances", "0"), "--instances 0 is out of range", "give 1 to 64"),
        (("--model-version", "0"), "--model-version 0 is out of range", "give 1 to 2147483647"),
        (
            ("--queue-delay", "100"),
            "--queue-delay waits for frames to batch, and there is no batch",
            "give --max-batch, or leave --queue-delay out",
        ),
        (
            ("--backend", "tensorrt", "--device", "cpu"),
            "the tensorrt backend does not run on a processor",
            "give --device gpu, or --backend onnxruntime",
        ),
        (
            ("--backend", "tensorrt", "--max-batch", "2"),
            "--max-batch needs a plan for several frames, and edgeunet build makes plans for one",
            "leave --max-batch out, or give --backend onnxruntime",
        ),
    ],
)
def test_what_cannot_be_asked(
    words: tuple[str, ...], message: str, hint: str, tmp_path: Path
) -> None:
    bundle = _bundle(tmp_path)
    ran = edgeunet("triton", bundle.path, tmp_path / "models", *words)
    assert ran.code == 2
    assert ran.failure == (message, hint)
    assert not (tmp_path / "models").exists()


def test_a_plan_that_was_not_built(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path)
    words = ("triton", bundle.path, tmp_path / "models", "--backend", "tensorrt")
    build = f"build it on the server's GPU: edgeunet build {bundle.path}"
    assert edgeunet(*words).failure == (
        "tiny.bundle has no TensorRT plan for stage 'frame'",
        build,
    )


def _planned(bundle: Bundle, **changes: Any) -> Manifest:
    from edgeunet.engine.trt.plans import MemoryLines, PlanInfo, digest_of, write_plan

    plan = b"a plan"
    facts: dict[str, Any] = {
        "stage": "frame",
        "provider": "tensorrt",
        "version": "10.3.0",
        "gpu": "NVIDIA L4",
        "compute_capabilities": ("8.9",),
        "flags": (),
        "graph_sha256": bundle.manifest.files["graph.onnx"],
        "bundle_digest": bundle.manifest.digest,
        "plan_sha256": digest_of(plan),
        "plan_bytes": len(plan),
        "memory": MemoryLines(),
    }
    write_plan(bundle, plan, PlanInfo(**{**facts, **changes}))
    return bundle.manifest


def test_a_plan_is_served(tmp_path: Path, schema: Any) -> None:
    bundle = _bundle(tmp_path)
    _planned(bundle)
    ran = edgeunet("triton", bundle.path, tmp_path / "models", "--backend", "tensorrt")
    assert ran.code == 0, ran.err
    assert "the plan is for TensorRT 10.3.0 and NVIDIA L4 only" in ran.err
    assert (tmp_path / "models/tiny/1/model.plan").read_bytes() == b"a plan"
    assert _config(tmp_path / "models/tiny", schema).backend == "tensorrt"


@pytest.mark.parametrize(
    ("changes", "message", "option"),
    [
        (
            {"provider": "tensorrt-rtx"},
            "the plan of tiny.bundle was built by tensorrt-rtx, and Triton's backend is TensorRT",
            " --provider tensorrt",
        ),
        (
            {"plan_sha256": "0" * 64},
            "the plan of stage 'frame' is not the one that was built (its SHA-256 differs)",
            "",
        ),
        ({"bundle_digest": "0" * 64}, "the plan of stage 'frame' was built for another bundle", ""),
        (
            {"plan_bytes": 99},
            "the plan of stage 'frame' is cut short: 6 of 99 bytes are there",
            "",
        ),
    ],
)
def test_a_plan_that_does_not_belong_here(
    changes: dict[str, Any], message: str, option: str, tmp_path: Path
) -> None:
    bundle = _bundle(tmp_path)
    _planned(bundle, **changes)
    ran = edgeunet("triton", bundle.path, tmp_path / "models", "--backend", "tensorrt")
    build = f"build it again on the server's GPU: edgeunet build {bundle.path}{option}"
    assert ran.failure == (message, build)
    assert not (tmp_path / "models").exists()


def test_an_export_in_windows_says_so_before_the_work(tmp_path: Path) -> None:
    words = ("export", "--model", "unetmm", "--random-weights", "--tile", "auto")
    assert edgeunet(*words, "--triton", tmp_path / "models").failure == (
        "--triton serves whole frames, and --budget, --tile, --board and --tune plan windows",
        "leave them out, or give --tile none",
    )


def test_an_export_whose_model_cannot_be_written_says_so_before_the_work(tmp_path: Path) -> None:
    assert edgeunet("triton", _bundle(tmp_path).path, tmp_path / "models").code == 0
    before = contents(tmp_path)
    words = ("export", "--model", "unetmm", "--random-weights", "--triton", tmp_path / "models")
    message, _ = edgeunet(*words, "--out", tmp_path / "new" / "tiny.bundle").failure
    assert message == "tiny has a version 1 already"
    assert edgeunet(*words, "--out", tmp_path / "my own.bundle").failure == (
        "'my own' cannot be the name of a model",
        "use letters, digits, '_', '.' and '-'",
    )
    assert contents(tmp_path) == before
