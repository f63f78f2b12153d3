"""``--cpu``: what it stands for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.choosing.plan_choice import cpu_choice
from edgeunet.errors import UsageError
from edgeunet.processors import (
    ARM64,
    CPU_NAMES,
    PROCESSOR_CLASSES,
    UNKNOWN,
    ProcessorClass,
    processors_of,
)
from edgeunet.specs import Engine
from tests.bundle.tiny import windowed_bundle
from tests.cli.command import edgeunet

KNOWN = "known: avx512, avx2, arm64, here"
UNKNOWN_NAMES = {
    "avx521": f"did you mean 'avx512'? {KNOWN}",
    "arm": f"did you mean 'arm64'? {KNOWN}",
    "ARM64": KNOWN,
    "riscv": KNOWN,
    "": KNOWN,
}
VERBS = (("memory", "unetmm"), ("export", "--model", "unetmm"))


@pytest.mark.parametrize("name", UNKNOWN_NAMES)
def test_an_unknown_name_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        cpu_choice(name, None)
    assert refused.value.message == f"there is no cpu {name!r}"
    assert refused.value.hint == UNKNOWN_NAMES[name]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_the_command_line_says_so_before_it_works(verb: tuple[str, ...]) -> None:
    ran = edgeunet(*verb, "--cpu", "avx521")
    assert ran.code == 2
    assert ran.failure == ("there is no cpu 'avx521'", UNKNOWN_NAMES["avx521"])


@pytest.mark.parametrize("cpu", ["avx512", "avx2", "here"])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_board_has_an_arm64_processor(verb: tuple[str, ...], cpu: str) -> None:
    ran = edgeunet(*verb, "--board", "orin-nano-4gb", "--cpu", cpu)
    assert ran.code == 2
    assert ran.failure == (
        f"--cpu {cpu} contradicts --board orin-nano-4gb, which has an ARM64 processor",
        "leave one of them out",
    )


@pytest.mark.parametrize(
    ("verb", "fp16"), [(VERBS[0], ("--precision", "fp16")), (VERBS[1], ("--fp16",))]
)
def test_a_plan_for_tensorrt_has_no_processors(
    verb: tuple[str, ...], fp16: tuple[str, ...]
) -> None:
    ran = edgeunet(*verb, *fp16, "--cpu", "arm64")
    assert ran.code == 2
    assert ran.failure == (
        "--cpu arm64 is about onnxruntime, and this plan is for tensorrt",
        "leave it out, or export --fp32 or --int8 for a CPU",
    )


def test_a_bundle_is_planned_already(tmp_path: Path) -> None:
    bundle = windowed_bundle(tmp_path)
    ran = edgeunet("memory", bundle.path, "--cpu", "arm64")
    assert ran.code == 2
    assert ran.failure == (
        f"a budget, windows or processors cannot change {bundle.path.name}: it is planned already",
        "leave the option out, or give a model's name instead of a bundle",
    )


def test_what_is_not_refused() -> None:
    assert cpu_choice(None, None) is None
    assert cpu_choice(None, "orin-nano-4gb") == "arm64"
    assert cpu_choice("arm64", "orin-nano-4gb") == "arm64"
    assert cpu_choice(None, None, Engine.TENSORRT) is None
    assert cpu_choice("here", None) == "here"


def test_every_name_stands_for_classes_and_none_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processors_of(None) == PROCESSOR_CLASSES
    assert {name: processors_of(name) for name in CPU_NAMES} == CPU_NAMES
    here: ProcessorClass = ARM64
    monkeypatch.setattr("edgeunet.processors.this_processor", lambda: here)
    assert processors_of("here") == (ARM64,)
    here = UNKNOWN
    assert processors_of("here") == PROCESSOR_CLASSES, "of an unknown one nothing can be narrowed"
