"""Plans in a bundle's ``engines`` folder: NAME.plan, and its facts in NAME.json.

A plan runs only on the TensorRT version and the GPU that it was built with. TensorRT may end the
process when it loads another, so a plan is read only when its facts match this machine.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgeunet.bundle.folder import Bundle
from edgeunet.bundle.manifest import ENGINES, StageEntry
from edgeunet.engine.trt.provider import Provider, title_of
from edgeunet.errors import EngineError
from edgeunet.files import UNREADABLE, replacing_file

SCHEMA_VERSION = 1

HERE = "on this device"
"""The place to build a plan, in hints."""


@dataclass(frozen=True)
class Gpu:
    """The GPU that a plan is built for. compute_capability: ``major.minor``."""

    name: str
    compute_capability: str


class MemoryLines(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Memory of a plan in bytes, from the compiler's log. None where the version does not print it.

    activation_bytes: tensors between kernels and the kernels' scratch, per context.
    scratch_bytes: largest scratch of a kernel; part of activation_bytes.
    persistent_host_bytes: host memory kept per context.
    persistent_device_bytes: device memory kept per context.
    weight_bytes: weights, kept per engine.
    """

    activation_bytes: int | None = None
    scratch_bytes: int | None = None
    persistent_host_bytes: int | None = None
    persistent_device_bytes: int | None = None
    weight_bytes: int | None = None


class PlanInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Facts about a plan, stored as JSON beside it.

    stage: name of the stage.
    provider, version: the TensorRT that built it.
    gpu: name of the GPU it was built on; None when it was built for compute capabilities only.
    compute_capabilities: GPUs it runs on, as ``major.minor``.
    flags: how it was built, in words.
    graph_sha256, bundle_digest: the graph and the bundle it was built from.
    plan_sha256, plan_bytes: hash and size of the plan.
    memory: figures from the build's log.
    device_memory_bytes: memory that a context needs, from the loaded plan; None when unknown.
    device_memory_unknown: why device_memory_bytes is None.
    seconds: duration of the build; 0 for a plan that was built elsewhere.
    """

    schema_version: int = SCHEMA_VERSION
    stage: str
    provider: str
    version: str
    gpu: str | None
    compute_capabilities: tuple[str, ...]
    flags: tuple[str, ...]
    graph_sha256: str
    bundle_digest: str
    plan_sha256: str
    plan_bytes: int
    memory: MemoryLines
    device_memory_bytes: int | None = None
    device_memory_unknown: str | None = None
    seconds: float = 0.0

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def plan_path(bundle: Bundle, stage: str) -> Path:
    """Return the path of a stage's plan, which may not exist yet."""
    return _in_engines(bundle, stage, ".plan")


def info_path(bundle: Bundle, stage: str) -> Path:
    """Return the path of the facts beside a stage's plan."""
    return _in_engines(bundle, stage, ".json")


def _in_engines(bundle: Bundle, stage: str, suffix: str) -> Path:
    # No export writes such a name, so the manifest was made by something else.
    if not re.fullmatch(r"\w[\w.-]*", stage):
        raise EngineError(
            f"{stage!r} cannot be the name of a plan",
            hint="do not use this bundle; get it again from where it was exported",
        )
    return bundle.file(f"{ENGINES}/{stage}{suffix}")


def write_plan(bundle: Bundle, plan: bytes | memoryview, info: PlanInfo) -> None:
    """Write a plan, then its facts.

    If the process ends between the two, the plan does not match its facts and is refused.
    """
    with replacing_file(plan_path(bundle, info.stage)) as beside:
        beside.write_bytes(plan)
    with replacing_file(info_path(bundle, info.stage)) as beside:
        beside.write_bytes(info.to_json())


def read_plan(
    bundle: Bundle, stage: str, provider: Provider, device: Gpu | None
) -> tuple[bytes, PlanInfo]:
    """Return a plan that runs on this machine, and its facts.

    device: the GPU it will run on; None skips that check.
    Raises EngineError with the reason: what ``read_built_plan`` raises, or that the plan was built
    by another TensorRT or for another GPU.
    """
    plan, info = read_built_plan(bundle, stage)
    problem = _another_runtime(info, provider, device)
    if problem is not None:
        raise EngineError(f"the plan of stage {stage!r} {problem}", hint=_again(bundle, HERE))
    return plan, info


def read_built_plan(bundle: Bundle, stage: str, where: str = HERE) -> tuple[bytes, PlanInfo]:
    """Return a plan that was built from this bundle, and its facts, for any TensorRT and GPU.

    where: where the plan should be built, for the hint.
    Raises EngineError with the reason: the plan is missing, cut short, or was built from another
    bundle or graph.
    """
    path = plan_path(bundle, stage)
    if not path.is_file():
        raise EngineError(
            f"{bundle.path.name} has no TensorRT plan for stage {stage!r}",
            hint=f"build it {where}: edgeunet build {bundle.path}",
        )
    info = read_info(bundle, stage, where)
    plan = path.read_bytes()
    problem = _damage(plan, info) or _another_origin(info, bundle)
    if problem is not None:
        raise EngineError(f"the plan of stage {stage!r} {problem}", hint=_again(bundle, where))
    return plan, info


def read_info(bundle: Bundle, stage: str, where: str = HERE) -> PlanInfo:
    """Return the facts beside a plan.

    where: where the plan should be built, for the hint.
    Raises EngineError when they are missing or cannot be read.
    """
    path = info_path(bundle, stage)
    again = _again(bundle, where)
    if not path.is_file():
        raise EngineError(
            f"the plan of stage {stage!r} has no {path.name} beside it that says what it is",
            hint=f"{again}; one that trtexec built: edgeunet build {bundle.path} "
            f"--adopt {plan_path(bundle, stage)} --stage {stage}",
        )
    data = path.read_bytes()
    try:
        version = _schema_of(msgspec.json.decode(data))
        if version is not None and version != SCHEMA_VERSION:
            raise EngineError(
                f"{path.name} of stage {stage!r} has schema {version}; this version reads "
                f"{SCHEMA_VERSION}",
                hint=again,
            )
        return msgspec.json.decode(data, type=PlanInfo)
    except UNREADABLE as error:
        raise EngineError(
            f"{path.name} of stage {stage!r} is broken: {error}", hint=again
        ) from error


def _another_runtime(info: PlanInfo, provider: Provider, device: Gpu | None) -> str | None:
    if (info.provider, info.version) != (provider.name, provider.version_text):
        return (
            f"was built by {title_of(info.provider)} {info.version}, and this is {provider.title}"
        )
    if device is None:
        return None
    if info.gpu is not None and info.gpu != device.name:
        return f"was built on {info.gpu}, and this GPU is {device.name}"
    if device.compute_capability not in info.compute_capabilities:
        built_for = ", ".join(info.compute_capabilities)
        return (
            f"was built for compute capability {built_for}, and this GPU has "
            f"{device.compute_capability}"
        )
    return None


def _another_origin(info: PlanInfo, bundle: Bundle) -> str | None:
    """Return why a plan does not belong to this bundle, as words that follow "the plan"."""
    stage = stage_named(bundle, info.stage)
    if stage is None:
        return "is of no stage of this bundle"
    if info.graph_sha256 != bundle.manifest.files[stage.graph]:
        return "was built from another graph than the bundle's"
    if info.bundle_digest != bundle.manifest.digest:
        return "was built for another bundle"
    return None


def _again(bundle: Bundle, where: str) -> str:
    return f"build it again {where}: edgeunet build {bundle.path}"


def stage_named(bundle: Bundle, name: str) -> StageEntry | None:
    return next((stage for stage in bundle.manifest.stages if stage.name == name), None)


def digest_of(plan: bytes | memoryview) -> str:
    return hashlib.sha256(plan).hexdigest()


def _damage(plan: bytes, info: PlanInfo) -> str | None:
    if len(plan) < info.plan_bytes:
        return f"is cut short: {len(plan)} of {info.plan_bytes} bytes are there"
    if digest_of(plan) != info.plan_sha256:
        return "is not the one that was built (its SHA-256 differs)"
    return None


def _schema_of(document: Any) -> Any:
    return document.get("schema_version") if isinstance(document, dict) else None
