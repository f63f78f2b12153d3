"""Processor classes: what a processor has decides which kernels onnxruntime runs on it.

From onnxruntime's source (``core/mlas/lib/platform.cpp``, 1.20 to 1.32) and from its wheels for
Linux. ``tests/emulated`` runs the library on emulated processors and holds these facts against it.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeunet.errors import UsageError, near_match

CPUINFO = Path("/proc/cpuinfo")

_ARM64 = ("aarch64", "arm64")
_X86_64 = ("x86_64", "amd64")
_FEATURE_LINES = ("flags", "features")
_AVX512_CORE = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})


@dataclass(frozen=True)
class IntegerKernels:
    """The 8-bit convolutions of a class, as edgeunet asks for them: with sums that are exact.

    direct_outputs: direct kernels read their input where it is and make this many output channels
        at once, which they need at least; 0 where there are none.
    direct_outputs_of, direct_inputs_of: channels are multiples of these.
    direct_least_inputs: the fewest input channels. direct_pointwise: whether 1x1 kernels are among
        them. direct_groups: depthwise kernels have a multiple of this many channels.
    overrun_bytes: what kernels read past the end of what they copy.
    packed_number_bytes: of a number that a thread packs before it multiplies what was copied.
    """

    direct_outputs: int = 0
    direct_outputs_of: int = 1
    direct_inputs_of: int = 1
    direct_least_inputs: int = 1
    direct_pointwise: bool = True
    direct_groups: int = 16
    overrun_bytes: int = 0
    packed_number_bytes: int = 1


@dataclass(frozen=True)
class ProcessorClass:
    """Processors on which onnxruntime runs the same kernels.

    name: in file names and options. title: for people.
    channel_block: how many channels an FP32 convolution works on at once; tensors between such
    convolutions have their channels rounded up to a multiple of it. None where there are no blocks.
    sums_saturate: whether the fast integer kernels add pairs of products in 16 bits, which clips
    sums beyond -32768..32767: wrong answers, without an error. Weights beyond -64..63 can do that.
    integers: its integer kernels.
    computes_fp16: whether FP16 kernels compute in FP16. Elsewhere they convert to FP32 and back.
    depthwise_rows: whether a depthwise FP32 convolution of 3x3 without channel blocks copies single
        rows; elsewhere it copies all that it reads.
    """

    name: str
    title: str
    channel_block: int | None
    sums_saturate: bool
    integers: IntegerKernels
    computes_fp16: bool = False
    depthwise_rows: bool = False

    @property
    def fast_in_int8(self) -> bool:
        """Whether it has 8-bit dot products with exact sums: INT8 is then much faster than FP32."""
        return not self.sums_saturate and self.integers.direct_outputs >= _DOT_PRODUCT_OUTPUTS


# Kernels with dot products make this many output channels at once, others fewer.
_DOT_PRODUCT_OUTPUTS = 16

_VNNI = IntegerKernels(16, direct_outputs_of=4, direct_inputs_of=4)
_AVX_VNNI = IntegerKernels(16, direct_outputs_of=8, direct_inputs_of=4)
_COPYING = IntegerKernels(packed_number_bytes=2)
_ARM_DOT = IntegerKernels(
    16,
    direct_outputs_of=16,
    direct_inputs_of=4,
    direct_least_inputs=64,
    direct_pointwise=False,
    direct_groups=8,
    overrun_bytes=30,
)
_ARM = IntegerKernels(
    8,
    direct_outputs_of=8,
    direct_inputs_of=8,
    direct_least_inputs=64,
    direct_pointwise=False,
    direct_groups=8,
    overrun_bytes=30,
)

AVX512_VNNI = ProcessorClass("avx512-vnni", "x86-64 with AVX-512 and VNNI", 16, False, _VNNI)
AVX512 = ProcessorClass("avx512", "x86-64 with AVX-512, without VNNI", 16, True, _COPYING)
AVX2_VNNI = ProcessorClass("avx2-vnni", "x86-64 with AVX2 and AVX-VNNI", 8, False, _AVX_VNNI)
AVX2 = ProcessorClass("avx2", "x86-64 with AVX2, without VNNI", 8, True, _COPYING)
X86_64 = ProcessorClass("x86-64", "x86-64 without AVX2", 8, False, _COPYING)
ARM64_FP16_DOT = ProcessorClass(
    "arm64-fp16-dot", "ARM64 with FP16 and dot products", None, False, _ARM_DOT, True, True
)
ARM64_FP16 = ProcessorClass(
    "arm64-fp16", "ARM64 with FP16, without dot products", None, False, _ARM, True, True
)
ARM64_DOT = ProcessorClass(
    "arm64-dot", "ARM64 with dot products, without FP16", None, False, _ARM_DOT, False, True
)
ARM64 = ProcessorClass(
    "arm64", "ARM64 without FP16 and dot products", None, False, _ARM, False, True
)
UNKNOWN = ProcessorClass("unknown", "a processor of an unknown class", 16, True, _COPYING)
"""What nothing is known of: exact integer sums are asked for, which is right everywhere."""

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

THREADS = 4
"""The threads that memory is predicted for. Convolutions without channel blocks take some each."""

CPU_NAMES: Mapping[str, tuple[ProcessorClass, ...]] = {
    "avx512": (AVX512_VNNI, AVX512),
    "avx2": (AVX2_VNNI, AVX2),
    "arm64": (ARM64_FP16_DOT, ARM64_FP16, ARM64_DOT, ARM64),
}
"""What ``--cpu`` can be beside ``here``, and the classes of each."""


def same_kernels(
    processors: Sequence[ProcessorClass], *, integers: bool
) -> tuple[tuple[ProcessorClass, ...], ...]:
    """Return classes in groups: those of a group run the same kernels, and take the same memory.

    integers: whether the graph has integer kernels; without, classes differ in floats alone.
    """
    groups: dict[object, list[ProcessorClass]] = {}
    for one in processors:
        key = (one.channel_block, one.integers if integers else None)
        groups.setdefault(key, []).append(one)
    return tuple(tuple(group) for group in groups.values())


def processors_of(cpu: str | None) -> tuple[ProcessorClass, ...]:
    """Return the classes that a plan is for.

    cpu: a key of ``CPU_NAMES``; ``here`` for this processor's class, or every class where that is
        unknown; None for every class.
    Raises UsageError for another name.
    """
    if cpu is None:
        return PROCESSOR_CLASSES
    if cpu == "here":
        here = this_processor()
        return PROCESSOR_CLASSES if here is UNKNOWN else (here,)
    names = (*CPU_NAMES, "here")
    if cpu not in CPU_NAMES:
        raise UsageError(
            f"there is no cpu {cpu!r}", hint=near_match(cpu, names) + f"known: {', '.join(names)}"
        )
    return CPU_NAMES[cpu]


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


def usable_cores() -> int:
    """Return the cores this process may use; a container often has fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
