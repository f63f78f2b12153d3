"""Makes a model for a Triton Inference Server from a bundle that runs whole frames.

REPOSITORY/NAME/config.pbtxt        names, types and shapes, number of instances, batching
REPOSITORY/NAME/1/model.onnx        or model.plan; one folder per version
REPOSITORY/NAME/labels-OUTPUT.txt   names of an output's classes, one per line

The fields are described in model_config.proto of triton-inference-server/common. A bundle that runs
in windows is refused, because Triton cannot run a graph over the windows of a frame.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeunet.bundle.folder import Bundle
from edgeunet.bundle.manifest import Manifest, OutputEntry, StageEntry, TensorEntry
from edgeunet.errors import BundleError, SinkError, UsageError
from edgeunet.files import replacing_folder
from edgeunet.specs import Engine, Task

CONFIG = "config.pbtxt"
DEVICES = {"auto": "KIND_AUTO", "gpu": "KIND_GPU", "cpu": "KIND_CPU"}

LARGEST_BATCH = 1024
LARGEST_DELAY_US = 10_000_000
LARGEST_INSTANCES = 64

_FILES = {Engine.ONNXRUNTIME: "model.onnx", Engine.TENSORRT: "model.plan"}
_TYPES = {
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class TritonOrder:
    """Options of a model.

    name: name of the model and of its folder.
    backend: ``onnxruntime`` or ``tensorrt``.
    max_batch: most frames in one run; 0 for a graph of one frame.
    delay_us: longest time that a frame waits for others, in microseconds.
    instances: parallel runs, per GPU.
    device: ``auto``, ``gpu`` or ``cpu``.
    version: number of the folder to write.
    """

    name: str
    backend: Engine = Engine.ONNXRUNTIME
    max_batch: int = 0
    delay_us: int = 0
    instances: int = 1
    device: str = "auto"
    version: int = 1


def check_name(name: str) -> None:
    """Raise UsageError when a text cannot be the name of a model."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a model",
            hint="use letters, digits, '_', '.' and '-'",
        )


def check_order(manifest: Manifest, order: TritonOrder) -> StageEntry:
    """Return the stage that is served.

    Raises UsageError for options that are not possible, BundleError for a bundle in windows.
    """
    check_name(order.name)
    for option, value, least, most in (
        ("--max-batch", order.max_batch, 0, LARGEST_BATCH),
        ("--queue-delay", order.delay_us, 0, LARGEST_DELAY_US),
        ("--instances", order.instances, 1, LARGEST_INSTANCES),
        ("--model-version", order.version, 1, 2**31 - 1),
    ):
        if not least <= value <= most:
            raise UsageError(f"{option} {value} is out of range", hint=f"give {least} to {most}")
    if order.delay_us and not order.max_batch:
        raise UsageError(
            "--queue-delay waits for frames to batch, and there is no batch",
            hint="give --max-batch, or leave --queue-delay out",
        )
    if order.backend is Engine.TENSORRT and order.device == "cpu":
        raise UsageError(
            "the tensorrt backend does not run on a processor",
            hint="give --device gpu, or --backend onnxruntime",
        )
    if order.backend is Engine.TENSORRT and order.max_batch:
        raise UsageError(
            "--max-batch needs a plan for several frames, and edgeunet build makes plans for one",
            hint="leave --max-batch out, or give --backend onnxruntime",
        )
    if manifest.states:
        raise BundleError(
            f"{manifest.name} remembers frames, and Triton's requests know nothing of each other",
            hint="serve a network that reads single frames, such as unetmm",
        )
    if manifest.plan is not None or len(manifest.stages) != 1:
        names = ", ".join(stage.name for stage in manifest.stages)
        raise BundleError(
            f"{manifest.name} runs in windows ({names}), and Triton runs a model once per request: "
            "nothing in it runs a graph over the windows of a frame",
            hint="export it for whole frames: --tile none, and no --budget",
        )
    return manifest.stages[0]


def check_place(order: TritonOrder, repository: Path, config: str | None = None) -> None:
    """Raise SinkError when the model cannot be written to the repository.

    config: content of ``config.pbtxt``, which an existing model must have as well.
    """
    folder = repository / order.name
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    document = folder / CONFIG
    version = folder / str(order.version)
    if not document.is_file():
        raise SinkError(
            f"{str(folder)!r} exists and is no model of a repository, so nothing is written there",
            hint="give another --name, or another folder",
        )
    if version.exists():
        raise SinkError(
            f"{order.name} has a version {order.version} already",
            hint=f"edgeunet triton takes --model-version {_next_version(folder)}; "
            f"or remove {str(version)!r}",
        )
    if config is not None and document.read_bytes() != config.encode():
        raise SinkError(
            f"{order.name} is served with another {CONFIG}, and all its versions share it",
            hint="give another --name, or the same options as before",
        )


def write_model(bundle: Bundle, order: TritonOrder, repository: Path, graph: bytes | Path) -> Path:
    """Write a model, or another version of one, into a repository and return its folder.

    graph: content of ``model.onnx`` or ``model.plan``, or a file to copy.
    Other models are not changed. Raises SinkError when the version exists, or when existing
    versions have another ``config.pbtxt``.
    """
    manifest = bundle.manifest
    stage = check_order(manifest, order)
    folder, version = repository / order.name, str(order.version)
    config = config_text(manifest, stage, order)
    check_place(order, repository, config)
    if (folder / CONFIG).is_file():
        with replacing_folder(folder / version) as beside:
            _write_graph(beside, order, graph)
        return folder
    with replacing_folder(folder) as beside:
        (beside / version).mkdir()
        _write_graph(beside / version, order, graph)
        for output in manifest.outputs:
            if output.classes:
                names = "".join(f"{entry.name}\n" for entry in output.classes)
                (beside / label_file(output.name)).write_text(names, encoding="utf-8")
        (beside / CONFIG).write_text(config, encoding="utf-8")
    return folder


def _write_graph(folder: Path, order: TritonOrder, graph: bytes | Path) -> None:
    target = folder / _FILES[order.backend]
    if isinstance(graph, Path):
        shutil.copyfile(graph, target)
    else:
        target.write_bytes(graph)


def _next_version(folder: Path) -> int:
    # Triton serves folders whose name is a number and ignores others.
    versions = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    return max(versions, default=0) + 1


def label_file(output: str) -> str:
    """Return the name of the file with an output's class names."""
    return f"labels-{output}.txt"


def config_text(manifest: Manifest, stage: StageEntry, order: TritonOrder) -> str:
    """Return ``config.pbtxt``: a Triton ModelConfig in text format."""
    outputs = {output.name: output for output in manifest.outputs}
    lines = [
        f"name: {_quoted(order.name)}",
        f"backend: {_quoted(str(order.backend))}",
        f"max_batch_size: {order.max_batch}",
        *_tensors("input", [(entry, None) for entry in stage.inputs], order),
        *_tensors("output", [(e, outputs.get(e.name)) for e in stage.outputs], order),
        "instance_group [",
        f"  {{ count: {order.instances} kind: {DEVICES[order.device]} }}",
        "]",
        "version_policy { latest { num_versions: 1 } }",
    ]
    if order.max_batch:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {order.delay_us} }}")
    return "\n".join(lines) + "\n"


def _tensors(
    field: str, entries: Sequence[tuple[TensorEntry, OutputEntry | None]], order: TritonOrder
) -> Iterator[str]:
    for entry, output in entries:
        # In a model with batches Triton adds the first dimension itself.
        shape = entry.shape[1:] if order.max_batch else entry.shape
        yield f"{field} {{"
        yield f"  name: {_quoted(entry.name)}"
        yield f"  data_type: {_TYPES[entry.dtype]}"
        yield f"  dims: [ {', '.join(map(str, shape))} ]"
        # With this file Triton can return the best classes by name, which suits scores only.
        if output is not None and output.task is Task.CLASSIFY:
            yield f"  label_filename: {_quoted(label_file(entry.name))}"
        yield "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
