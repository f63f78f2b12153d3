"""A real bundle in a few lines: a 3x3 mean as the denoiser, the brightest channel as labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import onnx
from onnx import TensorProto, helper

from edgeunet.bundle import Bundle, Manifest, write_bundle
from edgeunet.bundle.manifest import (
    SCHEMA_VERSION,
    ClassEntry,
    FramePlanEntry,
    HeldEntry,
    MemoryEntry,
    OutputEntry,
    StageEntry,
    TensorEntry,
    WindowEntry,
)
from edgeunet.recipes import load_recipe
from edgeunet.specs import Engine, Precision, Task

CLASSES = (
    ClassEntry(name="blue", colour=(0, 0, 250)),
    ClassEntry(name="green", colour=(0, 250, 0)),
    ClassEntry(name="red", colour=(250, 0, 0)),
)

ALL_TASKS = (Task.DENOISE, Task.SEGMENT)


def tiny_graph(height: int, width: int, tasks: Sequence[Task] = ALL_TASKS) -> bytes:
    """Return an ONNX file: frame (1, H, W, 3) uint8 in; denoised, labels, scores out."""
    uint8, float32 = TensorProto.UINT8, TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["frame"], ["pixels"], to=float32),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["mean"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
        ),
    ]
    outputs = []
    if Task.DENOISE in tasks:
        nodes += [
            helper.make_node("Transpose", ["mean"], ["rows"], perm=[0, 2, 3, 1]),
            helper.make_node("Round", ["rows"], ["rounded"]),
            helper.make_node("Cast", ["rounded"], ["denoised"], to=uint8),
        ]
        outputs.append(helper.make_tensor_value_info("denoised", uint8, [1, height, width, 3]))
    if Task.SEGMENT in tasks:
        nodes += [
            helper.make_node("ArgMax", ["mean"], ["best"], axis=1, keepdims=0),
            helper.make_node("Cast", ["best"], ["labels"], to=uint8),
        ]
        outputs.append(helper.make_tensor_value_info("labels", uint8, [1, height, width]))
    if Task.CLASSIFY in tasks:
        nodes += [
            helper.make_node("GlobalAveragePool", ["mean"], ["global"]),
            helper.make_node("Flatten", ["global"], ["flat"]),
            helper.make_node("Softmax", ["flat"], ["scores"], axis=1),
        ]
        outputs.append(helper.make_tensor_value_info("scores", float32, [1, 3]))
    frame = helper.make_tensor_value_info("frame", uint8, [1, height, width, 3])
    graph = helper.make_graph(nodes, "tiny", [frame], outputs)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def tiny_manifest(height: int, width: int, tasks: Sequence[Task] = ALL_TASKS) -> Manifest:
    outputs = {
        Task.DENOISE: TensorEntry(name="denoised", shape=(1, height, width, 3), dtype="uint8"),
        Task.SEGMENT: TensorEntry(name="labels", shape=(1, height, width), dtype="uint8"),
        Task.CLASSIFY: TensorEntry(name="scores", shape=(1, 3), dtype="float32"),
    }
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="tiny",
        recipe=msgspec.structs.replace(load_recipe("unetmm"), name="tiny"),
        weights="none",
        weights_sha256="0" * 64,
        height=height,
        width=width,
        precision=Precision.FP32,
        stages=(
            StageEntry(
                name="frame",
                graph="graph.onnx",
                inputs=(TensorEntry(name="frame", shape=(1, height, width, 3), dtype="uint8"),),
                outputs=tuple(outputs[task] for task in tasks),
            ),
        ),
        outputs=tuple(
            OutputEntry(
                name=outputs[task].name,
                task=task,
                classes=() if task is Task.DENOISE else CLASSES,
            )
            for task in tasks
        ),
        parity=(),
        memory=MemoryEntry(
            skip_bytes=0, peak_live_bytes=0, arena_bytes=0, io_bytes=0, weight_bytes=0
        ),
        tools={},
        files={},
    )


def tiny_bundle(
    folder: Path, height: int = 48, width: int = 64, tasks: Sequence[Task] = ALL_TASKS
) -> Bundle:
    """Write ``tiny.bundle`` into a folder."""
    return write_bundle(
        folder / "tiny.bundle",
        tiny_manifest(height, width, tasks),
        {"graph.onnx": tiny_graph(height, width, tasks)},
    )


def renamed(graph: bytes, names: Mapping[str, str]) -> bytes:
    """Return a graph whose tensors are called something else."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    return bytes(model.SerializeToString())


def windowed_manifest(
    height: int, width: int, window: tuple[int, int], *, halo: int = 1
) -> Manifest:
    """Return a manifest of two 3x3 means in windows, which need one pixel of halo.

    The frame is padded to multiples of 8.
    """
    padded = (-(-height // 8) * 8, -(-width // 8) * 8)
    window = (min(window[0], padded[0]), min(window[1], padded[1]))
    halos = (halo, halo)

    def image(name: str) -> TensorEntry:
        return TensorEntry(name=name, shape=(1, *window, 3), dtype="uint8")

    stages = tuple(
        StageEntry(
            name=name,
            graph=f"{name}.onnx",
            inputs=(image(source),),
            outputs=(image(target),),
            window=WindowEntry(
                height=window[0], width=window[1], align=1, halo_rows=halos, halo_columns=halos
            ),
        )
        for name, source, target in (("once", "frame", "soft"), ("twice", "soft", "denoised"))
    )
    tensors = tuple(
        HeldEntry(name=name, shape=(1, *padded, 3), dtype="uint8", stride=1, axes=(1, 2))
        for name in ("frame", "soft", "denoised")
    )
    return msgspec.structs.replace(
        tiny_manifest(height, width, (Task.DENOISE,)),
        stages=stages,
        plan=FramePlanEntry(
            height=padded[0],
            width=padded[1],
            level=1,
            recompute=0,
            tensors=tensors,
            recompute_ratio=1.0,
            engine=Engine.ONNXRUNTIME,
            predicted_bytes=0,
        ),
    )


def windowed_files(manifest: Manifest) -> dict[str, bytes | Path]:
    """Return the graphs of a windowed manifest, each at its window's size."""
    files: dict[str, bytes | Path] = {}
    for stage in manifest.stages:
        _, rows, columns, _ = stage.inputs[0].shape
        names = {"frame": stage.inputs[0].name, "denoised": stage.outputs[0].name}
        files[stage.graph] = renamed(tiny_graph(rows, columns, (Task.DENOISE,)), names)
    return files


def windowed_bundle(
    folder: Path,
    height: int = 48,
    width: int = 64,
    window: tuple[int, int] = (16, 24),
    *,
    halo: int = 1,
) -> Bundle:
    """Write ``windowed.bundle`` into a folder."""
    manifest = windowed_manifest(height, width, window, halo=halo)
    return write_bundle(folder / "windowed.bundle", manifest, windowed_files(manifest))
