"""Processor classes: what a processor has decides which kernels onnxruntime runs on it.

From onnxruntime's source (``core/mlas/lib/platform.cpp``, 1.20 to 1.32) and from its wheels for
Linux. ``tests/emulated`` runs the library on emulated processors and holds these facts against it.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

_ARM64 = ("aarch64", "arm64")
_X86_64 = ("x86_64", "amd64")
_FEATURE_LINES = ("flags", "features")
_AVX512_CORE = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})


@dataclass(frozen=True)
class ProcessorClass:
    """Processors on which onnxruntime runs the same kernels.

    name: in file names and options. title: for people.
    channel_block: how many channels an FP32 convolution works on at once; tensors between such
    convolutions have their channels rounded up to a multiple of it. None where there are no blocks.
    sums_saturate: whether the fast integer kernels add pairs of products in 16 bits, which clips
    sums beyond -32768..32767: wrong answers, without an error. Weights beyond -64..63 can do that.
    computes_fp16: whether FP16 kernels compute in FP16. Elsewhere they convert to FP32 and back.
    """

    name: str
    title: str
    channel_block: int | None
    sums_saturate: bool
    computes_fp16: bool = False


AVX512_VNNI = ProcessorClass("avx512-vnni", "x86-64 with AVX-512 and VNNI", 16, False)
AVX512 = ProcessorClass("avx512", "x86-64 with AVX-512, without VNNI", 16, True)
AVX2_VNNI = ProcessorClass("avx2-vnni", "x86-64 with AVX2 and AVX-VNNI", 8, False)
AVX2 = ProcessorClass("avx2", "x86-64 with AVX2, without VNNI", 8, True)
X86_64 = ProcessorClass("x86-64", "x86-64 without AVX2", 8, False)
ARM64_FP16_DOT = ProcessorClass(
    "arm64-fp16-dot", "ARM64 with FP16 and dot products", None, False, True
)
ARM64_FP16 = ProcessorClass(
    "arm64-fp16", "ARM64 with FP16, without dot products", None, False, True
)
ARM64_DOT = ProcessorClass("arm64-dot", "ARM64 with dot products, without FP16", None, False)
ARM64 = ProcessorClass("arm64", "ARM64 without FP16 and dot products", None, False)
UNKNOWN = ProcessorClass("unknown", "a processor of an unknown class", 16, True)
"""What nothing is known of: exact integer sums are asked for, which is right everywhere."""

PREDICTED_CLASSES = (AVX512_VNNI, AVX512)
"""The classes whose kernels ``edgeunet/imitation`` imitates.

``benchmarks/emulated.py`` measures how far others are from them.
"""

PROCESSOR_CLASSES = (
    AVX512_VNNI,
    AVX512,
    AVX2_VNNI,
    AVX2,
    X86_64,
    ARM64_FP16_DOT,
    ARM64_FP16,
    ARM64_DOT,
    ARM64,
)


def class_of(machine: str, cpuinfo: str | None) -> ProcessorClass:
    """Return the class of a processor.

    machine: the architecture, as ``platform.machine()`` says it. cpuinfo: the text of Linux's
    ``/proc/cpuinfo``, or None on other systems. Of several cores, a feature counts if all have it.
    """
    features = _features(cpuinfo or "")
    if machine.lower() in _ARM64:
        if cpuinfo is None:
            # Every Apple processor that runs macOS on ARM64 has both.
            return ARM64_FP16_DOT if machine == "arm64" else UNKNOWN
        by_features = {
            (True, True): ARM64_FP16_DOT,
            (True, False): ARM64_FP16,
            (False, True): ARM64_DOT,
            (False, False): ARM64,
        }
        return by_features[{"fphp", "asimdhp"} <= features, "asimddp" in features]
    if machine.lower() in _X86_64 and features:
        return _x86_class(features)
    return UNKNOWN


@functools.cache
def this_processor() -> ProcessorClass:
    """Return the class of the processor that this process runs on."""
    return class_of(platform.machine(), _cpuinfo())


def processor_name() -> str:
    """Return the processor's name as Linux has it, else the architecture's."""
    for key, value in _lines(_cpuinfo() or ""):
        if key == "model name":
            return value
    return platform.processor() or platform.machine()


def _x86_class(features: frozenset[str]) -> ProcessorClass:
    if not {"avx2", "fma"} <= features:
        return X86_64
    vnni = "avx_vnni" in features
    if "avx512f" not in features:
        return AVX2_VNNI if vnni else AVX2
    # The kernels of AVX-512 need these, and replace those of AVX-VNNI.
    return AVX512_VNNI if features >= {*_AVX512_CORE, "avx512_vnni"} else AVX512


def _cpuinfo() -> str | None:
    try:
        return CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _features(cpuinfo: str) -> frozenset[str]:
    """Return the features that every core has."""
    cores = [set(value.split()) for key, value in _lines(cpuinfo) if key in _FEATURE_LINES]
    return frozenset(set.intersection(*cores)) if cores else frozenset()


def _lines(cpuinfo: str) -> Iterable[tuple[str, str]]:
    """Yield every line's key, in small letters, and its value."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        yield key.strip().lower(), value.strip()
