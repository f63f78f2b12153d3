"""A processor's class, from what Linux says of it. The recorded texts are shortened to one core."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgeunet import processors
from edgeunet.processors import (
    ARM64,
    ARM64_DOT,
    ARM64_FP16,
    ARM64_FP16_DOT,
    AVX2,
    AVX2_VNNI,
    AVX512,
    AVX512_VNNI,
    PROCESSOR_CLASSES,
    UNKNOWN,
    X86_64,
    ProcessorClass,
    class_of,
    processor_name,
    this_processor,
)

CPUINFO = Path(__file__).parent / "cpuinfo"
RECORDED = {
    "xeon-8171m": AVX512,
    "xeon-e5-2686": AVX2,
    "xeon-4510": AVX512_VNNI,
    "core-i7-14650hx": AVX2_VNNI,
    "epyc-zen5": AVX512_VNNI,
    "raspberry-pi-4": ARM64,
    "raspberry-pi-5": ARM64_FP16_DOT,
    "jetson-xavier": ARM64_FP16,
    "jetson-orin": ARM64_FP16_DOT,
}


def recorded(name: str) -> str:
    return (CPUINFO / f"{name}.txt").read_text(encoding="utf-8")


def machine_of(kind: ProcessorClass) -> str:
    return "aarch64" if kind.channel_block is None else "x86_64"


@pytest.mark.parametrize("name", RECORDED)
def test_the_class_of_a_recorded_processor(name: str) -> None:
    assert class_of(machine_of(RECORDED[name]), recorded(name)) is RECORDED[name]


def test_every_recorded_text_is_tested() -> None:
    assert {path.stem for path in CPUINFO.iterdir()} == set(RECORDED)


def x86(flags: str) -> ProcessorClass:
    return class_of("x86_64", f"flags : {flags}\n")


def test_what_a_flag_decides_on_x86() -> None:
    assert x86("sse4_1 avx") is X86_64
    assert x86("sse4_1 avx avx2") is X86_64, "the kernels of AVX2 need FMA"
    assert x86("avx avx2 fma") is AVX2
    assert x86("avx avx2 fma avx_vnni") is AVX2_VNNI
    assert x86("avx2 fma avx512f") is AVX512
    core = "avx2 fma avx512f avx512bw avx512dq avx512vl"
    assert x86(core) is AVX512
    assert x86(f"{core} avx_vnni") is AVX512, "the kernels of AVX-512 replace those of AVX-VNNI"
    assert x86(f"{core} avx512_vnni") is AVX512_VNNI
    assert x86("avx2 fma avx512f avx512_vnni") is AVX512, "its kernels need the other extensions"


def test_what_a_feature_decides_on_arm() -> None:
    features = {
        "fp asimd": ARM64,
        "fp asimd asimddp": ARM64_DOT,
        "fp asimd fphp asimdhp": ARM64_FP16,
        "fp asimd fphp asimdhp asimddp": ARM64_FP16_DOT,
        "fp asimd fphp": ARM64,
    }
    for text, kind in features.items():
        assert class_of("aarch64", f"Features\t: {text}\n") is kind


def test_a_feature_that_one_core_lacks_does_not_count() -> None:
    little, big = "Features : fp asimd\n", "Features : fp asimd fphp asimdhp asimddp\n"
    assert class_of("aarch64", big + big) is ARM64_FP16_DOT
    assert class_of("aarch64", big + little) is ARM64


def test_what_cannot_be_known_is_taken_as_if_its_sums_saturated() -> None:
    unknown = [("x86_64", None), ("AMD64", None), ("x86_64", ""), ("riscv64", "isa: rv64gc")]
    for machine, cpuinfo in unknown:
        assert class_of(machine, cpuinfo) is UNKNOWN
    assert UNKNOWN.sums_saturate
    assert class_of("aarch64", None) is UNKNOWN
    assert class_of("arm64", None) is ARM64_FP16_DOT, "macOS, which has no such file"


def test_classes_have_names_of_their_own() -> None:
    every = (*PROCESSOR_CLASSES, UNKNOWN)
    assert len({kind.name for kind in every}) == len(every)
    assert len({kind.title for kind in every}) == len(every)


def test_this_machine_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "CPUINFO", CPUINFO / "xeon-8171m.txt")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    this_processor.cache_clear()
    try:
        assert this_processor() is AVX512
        assert processor_name() == "Intel(R) Xeon(R) Platinum 8171M CPU @ 2.60GHz"
        monkeypatch.setattr(processors, "CPUINFO", CPUINFO / "xeon-e5-2686.txt")
        assert this_processor() is AVX512
        this_processor.cache_clear()
        assert this_processor() is AVX2
    finally:
        this_processor.cache_clear()


def test_without_a_name_the_architecture_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "CPUINFO", CPUINFO / "raspberry-pi-4.txt")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert processor_name() == "aarch64"
