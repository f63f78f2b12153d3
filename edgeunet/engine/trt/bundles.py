"""All stages of a bundle become plans; those that belong here already are kept."""

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
    """A stage's plan in the bundle.

    kept: it was there already. replaced: why the one that was there was not kept, as a sentence.
    notes: of its build.
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
    """Build the plan of every stage into ``engines/``, each whole or not at all.

    force: build those again that belong here already. Raises what ``build_plan`` raises; the
    stages built before it stay.
    """
    # Asked first: nothing is built for a GPU that nobody named.
    capabilities = capabilities_for(provider, options, device)
    flags = (*type_words(provider, bundle.manifest.precision), *options.words())
    plans = []
    for stage in bundle.manifest.stages:
        why = None
        if not force and plan_path(bundle, stage.name).is_file():
            standing = _standing(bundle, stage, provider, device, capabilities, flags)
            if isinstance(standing, PlanInfo):
                plans.append(TensorRTPlan(standing, kept=True))
                continue
            why = standing
        built = _built(bundle, stage, provider, options, device, capabilities, report)
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
    """Take a plan that trtexec built into a bundle.

    device: the GPU here. check: loads the plan on it, as the stage's, and returns the bytes that
    a context needs; raises EngineError. So the plan is known to be of this TensorRT and GPU; that
    it was built from the bundle's graph only the one who built it knows.
    """
    stage = stage_named(bundle, stage_name)
    if stage is None:
        known = ", ".join(one.name for one in bundle.manifest.stages)
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


def _standing(
    bundle: Bundle,
    stage: StageEntry,
    provider: Provider,
    device: Gpu | None,
    capabilities: tuple[str, ...],
    flags: tuple[str, ...],
) -> PlanInfo | str:
    """Return what is known of the plan that is there, or why a build would make another."""
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


def _built(
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
    """Return what a context of a new plan must be given, in bytes, or why nobody can say."""
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
