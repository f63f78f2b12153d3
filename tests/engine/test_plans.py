"""A plan is read only where it can run: every reason against it, with its message."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from edgeunet.bundle import Bundle
from edgeunet.engine.trt.plans import (
    Gpu,
    MemoryLines,
    PlanInfo,
    digest_of,
    info_path,
    plan_path,
    read_plan,
    write_plan,
)
from edgeunet.engine.trt.provider import provider_of
from edgeunet.errors import EngineError
from tests.bundle.tiny import tiny_bundle

ORIN = Gpu("Orin", "8.7")
TRT = provider_of("tensorrt", SimpleNamespace(__version__="10.3.0"))
PLAN = b"a plan as TensorRT makes it"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path, 8, 8)


def info_for(bundle: Bundle, **changes: Any) -> PlanInfo:
    (stage,) = bundle.manifest.stages
    info = PlanInfo(
        stage=stage.name,
        provider="tensorrt",
        version="10.3.0",
        gpu="Orin",
        compute_capabilities=("8.7",),
        flags=("strongly typed",),
        graph_sha256=bundle.manifest.files[stage.graph],
        bundle_digest=bundle.manifest.digest,
        plan_sha256=digest_of(PLAN),
        plan_bytes=len(PLAN),
        memory=MemoryLines(activation_bytes=1 << 20),
        seconds=1.5,
    )
    return msgspec.structs.replace(info, **changes)


def the_stage(bundle: Bundle) -> str:
    return bundle.manifest.stages[0].name


def test_a_plan_is_read_as_it_was_written(bundle: Bundle) -> None:
    info = info_for(bundle)
    write_plan(bundle, PLAN, info)
    assert read_plan(bundle, the_stage(bundle), TRT, ORIN) == (PLAN, info)
    assert read_plan(bundle, the_stage(bundle), TRT, None) == (PLAN, info)
    assert sorted(p.name for p in plan_path(bundle, "x").parent.iterdir()) == [
        f"{the_stage(bundle)}.json",
        f"{the_stage(bundle)}.plan",
    ]


def test_a_plan_that_is_not_there(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="tiny.bundle has no TensorRT plan for stage") as caught:
        read_plan(bundle, the_stage(bundle), TRT, ORIN)
    assert caught.value.hint == f"build it on this device: edgeunet build {bundle.path}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "8.6.2.3"}, "was built by TensorRT 8.6.2.3, and this is TensorRT 10.3.0"),
        (
            {"provider": "tensorrt-rtx", "version": "1.7.1"},
            "was built by TensorRT-RTX 1.7.1, and this is TensorRT 10.3.0",
        ),
        ({"gpu": "Xavier"}, "was built on Xavier, and this GPU is Orin"),
        (
            {"compute_capabilities": ("8.6", "8.9")},
            "was built for compute capability 8.6, 8.9, and this GPU has 8.7",
        ),
        ({"graph_sha256": "0" * 64}, "was built from another graph than the bundle's"),
        ({"bundle_digest": "0" * 64}, "was built for another bundle"),
        ({"plan_sha256": "0" * 64}, "is not the one that was built (its SHA-256 differs)"),
        ({"plan_bytes": 99}, f"is cut short: {len(PLAN)} of 99 bytes are there"),
    ],
)
def test_a_plan_for_another_machine_or_bundle(
    bundle: Bundle, changes: dict[str, Any], message: str
) -> None:
    write_plan(bundle, PLAN, info_for(bundle, **changes))
    with pytest.raises(EngineError) as caught:
        read_plan(bundle, the_stage(bundle), TRT, ORIN)
    assert caught.value.message == f"the plan of stage {the_stage(bundle)!r} {message}"
    assert caught.value.hint == f"build it again on this device: edgeunet build {bundle.path}"


def test_a_plan_that_was_cut_short(bundle: Bundle) -> None:
    write_plan(bundle, PLAN, info_for(bundle))
    plan_path(bundle, the_stage(bundle)).write_bytes(PLAN[:-3])
    with pytest.raises(EngineError, match="is cut short: 24 of 27 bytes are there"):
        read_plan(bundle, the_stage(bundle), TRT, ORIN)


def test_a_plan_moved_to_another_stage(bundle: Bundle) -> None:
    write_plan(bundle, PLAN, info_for(bundle, stage="other"))
    for path in (plan_path, info_path):
        shutil.move(path(bundle, "other"), path(bundle, the_stage(bundle)))
    with pytest.raises(EngineError, match="is of no stage of this bundle"):
        read_plan(bundle, the_stage(bundle), TRT, ORIN)


def test_facts_beside_a_plan_are_missing_broken_or_newer(bundle: Bundle) -> None:
    stage = the_stage(bundle)
    write_plan(bundle, PLAN, info_for(bundle))
    beside = info_path(bundle, stage)
    text = beside.read_text()

    beside.write_text(text.replace('"schema_version": 1', '"schema_version": 7'))
    with pytest.raises(EngineError, match="has schema 7; this version reads 1"):
        read_plan(bundle, stage, TRT, ORIN)
    for broken in ("{", text.replace("plan_sha256", "plan_sha")):
        beside.write_text(broken)
        with pytest.raises(EngineError, match=f"{stage}.json of stage '{stage}' is broken: "):
            read_plan(bundle, stage, TRT, ORIN)
    beside.unlink()
    with pytest.raises(EngineError, match="that says what it is") as caught:
        read_plan(bundle, stage, TRT, ORIN)
    assert f"--adopt {plan_path(bundle, stage)} --stage {stage}" in caught.value.hint


def test_a_stage_whose_name_is_no_file_name(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="'../../x' cannot be the name of a plan"):
        plan_path(bundle, "../../x")
