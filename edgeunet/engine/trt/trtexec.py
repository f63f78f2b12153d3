"""The ``trtexec`` commands that build a bundle's plans, for boards whose Python is too old.

The flags depend on the version: workspace changed in 8.4, build-only in 8.6 and precisions in 10.0;
the precision flags were removed in 11.0. TensorRT is not needed to write the commands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from edgeunet.bundle.folder import Bundle
from edgeunet.bundle.manifest import StageEntry, TensorEntry
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.plans import plan_path
from edgeunet.errors import UsageError
from edgeunet.specs import FrameType, Precision
from edgeunet.units import MIB

_SKIPS_INFERENCE = (8, 6)
_HAS_LEVELS = (8, 6)
_STRONGLY_TYPED = (10, 0)
_TYPED_ALWAYS = (11, 0)

_HAS_POOLS = (8, 4)

# 8.5 is the first with uint8 tensors (github.com/NVIDIA/TensorRT/issues/1503). 8.0 reads opset 13,
# which graphs for float frames use (onnx-tensorrt, docs/operators.md).
_HAS_UINT8 = (8, 5)
_OLDEST = (8, 0)

_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_FORMATS = {
    "float32": "fp32",
    "float16": "fp16",
    "int8": "int8",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "bool": "bool",
}


def read_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a TensorRT version such as 8.6 or 10.3.0.

    Raises UsageError for any other text.
    """
    if not _VERSION.fullmatch(text):
        raise UsageError(
            f"{text!r} is no version of TensorRT", hint="write it like 8.6, 10.3 or 11.1"
        )
    return tuple(map(int, text.split(".")))


def trtexec_commands(bundle: Bundle, options: BuildOptions, version_text: str) -> list[str]:
    """Return one command per stage, to be run on the board beside the bundle.

    Raises UsageError for an option that this version's trtexec does not have.
    """
    version = read_version(version_text)
    _check(version, version_text, options, bundle.manifest.frame_type)
    return [
        shlex.join(
            [
                "trtexec",
                f"--onnx={bundle.file(stage.graph)}",
                f"--saveEngine={plan_path(bundle, stage.name)}",
                *_types(version, bundle.manifest.precision),
                *_borders(stage),
                *_limits(version, options),
                "--skipInference" if version >= _SKIPS_INFERENCE else "--buildOnly",
            ]
        )
        for stage in bundle.manifest.stages
    ]


def _check(
    version: tuple[int, ...], text: str, options: BuildOptions, frame_type: FrameType
) -> None:
    if version < _OLDEST:
        raise UsageError(
            f"TensorRT {text} does not read a bundle's graphs",
            hint="8.0 (JetPack 4.6) is the first that does; the processor runs the bundle with "
            "--engine onnxruntime",
        )
    if version < _HAS_UINT8 and frame_type is FrameType.UINT8:
        raise UsageError(
            f"TensorRT {text} has no uint8 tensors, and the frames of this bundle are uint8",
            hint="export it with --frame float; 8.5 (JetPack 5) is the first that takes bytes",
        )
    if options.tactic_bytes is not None:
        raise UsageError(
            "trtexec has no option for tactic memory", hint="leave --tactic-memory out"
        )
    if version < _HAS_LEVELS and options.optimization_level is not None:
        raise UsageError(
            f"trtexec {text} has no optimization levels: 8.6 is the first",
            hint="leave --optimization-level out",
        )
    if version < _HAS_LEVELS and options.aux_streams:
        raise UsageError(
            f"trtexec {text} has no auxiliary streams: 8.6 is the first",
            hint="leave --aux-streams out",
        )


def _types(version: tuple[int, ...], precision: Precision) -> list[str]:
    if version >= _TYPED_ALWAYS:
        return []
    if version >= _STRONGLY_TYPED:
        return ["--stronglyTyped"]
    return {
        Precision.FP32: [],
        Precision.FP16: ["--fp16"],
        Precision.INT8: ["--fp16", "--int8"],
    }[precision]


def _borders(stage: StageEntry) -> list[str]:
    """Return flags with the types of inputs and outputs where one is int8.

    Without them trtexec would make these tensors float32.
    """
    if not any(entry.dtype == "int8" for entry in (*stage.inputs, *stage.outputs)):
        return []
    return [
        f"--inputIOFormats={_formats(stage.inputs)}",
        f"--outputIOFormats={_formats(stage.outputs)}",
    ]


def _formats(entries: Sequence[TensorEntry]) -> str:
    return ",".join(f"{_FORMATS[entry.dtype]}:chw" for entry in entries)


def _limits(version: tuple[int, ...], options: BuildOptions) -> list[str]:
    words = []
    if options.workspace_bytes is not None:
        mebibytes = max(1, options.workspace_bytes // MIB)
        pools = version >= _HAS_POOLS
        words.append(
            f"--memPoolSize=workspace:{mebibytes}" if pools else f"--workspace={mebibytes}"
        )
    if options.optimization_level is not None:
        words.append(f"--builderOptimizationLevel={options.optimization_level}")
    if version >= _HAS_LEVELS:
        words.append(f"--maxAuxStreams={options.aux_streams}")
    if options.dla_core is not None:
        words += [f"--useDLACore={options.dla_core}", "--allowGPUFallback"]
    if options.timing_cache is not None:
        words.append(f"--timingCacheFile={options.timing_cache}")
    return words
