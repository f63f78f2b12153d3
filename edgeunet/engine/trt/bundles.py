"""Builds the plans of all stages of a bundle, and keeps plans that are still valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgeunet.bundle.folder import Bundle
from edgeunet.bundle.manifest import StageEntry
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.builder import build_plan, capabilities_for
from edgeunet.engine.trt.plans import (
    Gpu,
    MemoryLines,
    PlanInfo,
    digest_of,
    plan_path,
    read_plan,
    stage_named,
    write_plan,
)
from edgeunet.engine.trt.precisions import type_words
from edgeunet.engine.trt.progress import Progress
from edgeunet.engine.trt.provider import Provider
from edgeunet.engine.trt.session import PlanRuntime
from edgeunet.errors import EngineError, UsageError

ADOPTED = "built by trtexec"


@dataclass(frozen=True)
class TensorRTPlan:
    """The plan of one stage.

    info: facts about the plan.
    kept: the plan was there before and is still valid.
    replaced: why an earlier plan was replaced, as a sentence; None when there was none.
    notes: lines for the user from the build.
    """

    info: PlanInfo
    kept: bool
    replaced: str | None = None
    notes: tuple[str, ...] = ()


def build_bundle(
    bundle: Bundle,
    provider: Provider,
    options: BuildOptions,
    device: Gpu | None,
    *,
    force: bool = False,
    report: Callable[[StageEntry, Progress], None] = lambda stage, progress: None,
) -> list[TensorRTPlan]:
    """Build the plan of every stage into the bundle's ``engines/`` folder.

    Each plan is written whole or not at all.
    device: the GPU of this machine, or None.
    force: rebuild plans that are still valid.
    report: called with the stage and its progress.
    Raises what ``build_plan`` raises; plans of earlier stages are kept.
    """
    # Checked first, so that an error comes before the first build.
    capabilities = capabilities_for(provider, options, device)
    flags = (*type_words(provider, bundle.manifest.precision), *options.words())
    plans = []
    for stage in bundle.manifest.stages:
        why = None
        if not force and plan_path(bundle, stage.name).is_file():
            existing = _existing(bundle, stage, provider, device, capabilities, flags)
            if isinstance(existing, PlanInfo):
                plans.append(TensorRTPlan(existing, kept=True))
                continue
            why = existing
        built = _build_stage(bundle, stage, provider, options, device, capabilities, report)
        plans.append(replace(built, replaced=why))
    return plans


def adopt_plan(
    bundle: Bundle,
    stage_name: str,
    plan: Path,
    provider: Provider,
    device: Gpu,
    check: Callable[[StageEntry, bytes], int],
) -> TensorRTPlan:
    """Copy a plan that trtexec built into a bundle.

    stage_name: the stage it was built for.
    plan: path of the plan.
    device: the GPU of this machine.
    check: loads the plan on this GPU as the stage's, and returns the bytes that a context needs.
        It raises EngineError when the plan is of another TensorRT or GPU.
    That the plan was built from this bundle's graph cannot be checked.
    Raises UsageError for an unknown stage, EngineError when there is no such file.
    """
    stage = stage_named(bundle, stage_name)
    if stage is None:
        known = ", ".join(entry.name for entry in bundle.manifest.stages)
        raise UsageError(f"there is no stage {stage_name!r}", hint=f"known: {known}")
    if not plan.is_file():
        raise EngineError(f"there is no plan {str(plan)!r}", hint="check the path")
    data = plan.read_bytes()
    info = PlanInfo(
        stage=stage.name,
        provider=provider.name,
        version=provider.version_text,
        gpu=device.name,
        compute_capabilities=(device.compute_capability,),
        flags=(ADOPTED,),
        graph_sha256=bundle.manifest.files[stage.graph],
        bundle_digest=bundle.manifest.digest,
        plan_sha256=digest_of(data),
        plan_bytes=len(data),
        memory=MemoryLines(),
        device_memory_bytes=check(stage, data),
    )
    write_plan(bundle, data, info)
    return TensorRTPlan(info, kept=False)


def _existing(
    bundle: Bundle,
    stage: StageEntry,
    provider: Provider,
    device: Gpu | None,
    capabilities: tuple[str, ...],
    flags: tuple[str, ...],
) -> PlanInfo | str:
    """Return the facts of the existing plan when it is valid, else why it must be rebuilt."""
    try:
        _, info = read_plan(bundle, stage.name, provider, device)
    except EngineError as error:
        return error.message
    if info.compute_capabilities != capabilities:
        return (
            f"the plan of stage {stage.name!r} was built for compute capability "
            f"{', '.join(info.compute_capabilities)}"
        )
    if info.flags not in (flags, (ADOPTED,)):
        return f"the plan of stage {stage.name!r} was built with other options"
    return info


def _build_stage(
    bundle: Bundle,
    stage: StageEntry,
    provider: Provider,
    options: BuildOptions,
    device: Gpu | None,
    capabilities: tuple[str, ...],
    report: Callable[[StageEntry, Progress], None],
) -> TensorRTPlan:
    manifest = bundle.manifest
    built = build_plan(
        bundle.file(stage.graph),
        stage,
        manifest.precision,
        provider,
        options,
        device,
        lambda progress: report(stage, progress),
    )
    needed, unknown = _device_memory(stage, built.plan, provider, device)
    info = PlanInfo(
        stage=stage.name,
        provider=provider.name,
        version=provider.version_text,
        # A plan for named compute capabilities runs on every GPU that has one of them.
        gpu=None if provider.has_compute_capabilities or device is None else device.name,
        compute_capabilities=capabilities,
        flags=built.flags,
        graph_sha256=manifest.files[stage.graph],
        bundle_digest=manifest.digest,
        plan_sha256=digest_of(built.plan),
        plan_bytes=len(built.plan),
        memory=built.memory,
        device_memory_bytes=needed,
        device_memory_unknown=unknown,
        seconds=round(built.seconds, 3),
    )
    write_plan(bundle, built.plan, info)
    return TensorRTPlan(info, kept=False, notes=built.notes)


def _device_memory(
    stage: StageEntry, plan: bytes, provider: Provider, device: Gpu | None
) -> tuple[int | None, str | None]:
    """Return the bytes of device memory that a new plan's context needs, or None and the reason."""
    if device is None:
        return None, "no GPU that the plan is for is here to load it"
    try:
        runtime = PlanRuntime(provider)
        try:
            loaded = runtime.load(stage, plan)
            needed = loaded.work_bytes
            loaded.close()
        finally:
            runtime.close()
    except EngineError as error:
        return None, error.message
    return needed, None
