"""Plans in a bundle's ``engines`` folder, and what is known of each: NAME.plan and NAME.json.

A plan runs on the version of TensorRT and the GPU it was built with, and no other; the runtime's
own check ends programs. So a plan is read only when all that is written beside it agrees with what
is here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgeunet.bundle.folder import Bundle
from edgeunet.bundle.manifest import ENGINES, UNREADABLE, StageEntry
from edgeunet.engine.trt.provider import Provider, title_of
from edgeunet.errors import EngineError
from edgeunet.files import replacing_file

SCHEMA_VERSION = 1

HERE = "on this device"
"""Where hints say that a plan is to be built."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as plans know it. compute_capability: ``major.minor``."""

    name: str
    compute_capability: str


class MemoryLines(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the compiler says a plan takes, in bytes; None where its version does not say.

    activation_bytes: tensors between kernels and the kernels' scratch, of one context.
    scratch_bytes: the largest scratch of a kernel, within it. persistent_host_bytes,
    persistent_device_bytes: kept per context. weight_bytes: kept per engine.
    """

    activation_bytes: int | None = None
    scratch_bytes: int | None = None
    persistent_host_bytes: int | None = None
    persistent_device_bytes: int | None = None
    weight_bytes: int | None = None


class PlanInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The JSON beside a plan.

    provider, version: which TensorRT built it. gpu: its name; None when it was built for
    compute_capabilities without one. flags: how it was built, in words. bundle_digest,
    graph_sha256: what it was built from. device_memory_bytes: what a context must be given, as the
    loaded plan says; None where it could not be asked, and device_memory_unknown says why.
    seconds: how long the build took; 0 for a plan built elsewhere.
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
    """Return where a stage's plan is or goes to."""
    return _in_engines(bundle, stage, ".plan")


def info_path(bundle: Bundle, stage: str) -> Path:
    return _in_engines(bundle, stage, ".json")


def _in_engines(bundle: Bundle, stage: str, suffix: str) -> Path:
    # Only a manifest that no export wrote has another name.
    if not re.fullmatch(r"\w[\w.-]*", stage):
        raise EngineError(
            f"{stage!r} cannot be the name of a plan",
            hint="do not use this bundle; get it again from where it was exported",
        )
    return bundle.file(f"{ENGINES}/{stage}{suffix}")


def write_plan(bundle: Bundle, plan: bytes | memoryview, info: PlanInfo) -> None:
    """Write a plan and what is known of it; a crash between the two leaves one that is refused."""
    with replacing_file(plan_path(bundle, info.stage)) as beside:
        beside.write_bytes(plan)
    with replacing_file(info_path(bundle, info.stage)) as beside:
        beside.write_bytes(info.to_json())


def read_plan(
    bundle: Bundle, stage: str, provider: Provider, device: Gpu | None
) -> tuple[bytes, PlanInfo]:
    """Return a plan that belongs here, and its facts.

    device: the GPU it is to run on; None leaves that unchecked.
    Raises EngineError that says why there is none: what ``read_built_plan`` raises, or that it is
    of another TensorRT or another GPU.
    """
    plan, info = read_built_plan(bundle, stage)
    problem = _another_runtime(info, provider, device)
    if problem is not None:
        raise EngineError(f"the plan of stage {stage!r} {problem}", hint=_again(bundle, HERE))
    return plan, info


def read_built_plan(bundle: Bundle, stage: str, where: str = HERE) -> tuple[bytes, PlanInfo]:
    """Return a plan that was built from this bundle, for whatever TensorRT and GPU, and its facts.

    where: it is to be built, for the hint.
    Raises EngineError that says why there is none: it is missing, cut short, of another bundle or
    another graph.
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
    """Return what is written beside a plan. Raises EngineError when it cannot be read."""
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
    """Return why a plan is not this bundle's: a part of a sentence whose subject is the plan."""
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
