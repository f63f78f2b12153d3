"""``edgeunet build``: build TensorRT plans from a bundle's graphs, on the device that runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from edgeunet.bundle import Bundle, open_bundle
from edgeunet.bundle.manifest import StageEntry
from edgeunet.cli.console import note, print_json, progress, warn
from edgeunet.cli.options import AsJson
from edgeunet.cli.tensorrt_table import PlanRow, predicted_bytes, print_plan_table
from edgeunet.engine.trt.build_options import BuildOptions, check_integers
from edgeunet.errors import EngineError, MissingPackageError, UsageError, near_match
from edgeunet.units import format_bytes, parse_bytes

if TYPE_CHECKING:
    from edgeunet.engine.trt.bundles import TensorRTPlan
    from edgeunet.engine.trt.plans import Gpu
    from edgeunet.engine.trt.progress import Progress
    from edgeunet.engine.trt.provider import Provider, ProviderName


@dataclass(frozen=True)
class BuildChoice:
    """Options of ``edgeunet build``. force: also build TensorRT plans that are up to date."""

    options: BuildOptions
    provider: ProviderName | None = None
    force: bool = False


def command(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="The bundle folder that edgeunet export wrote.")
    ],
    workspace: Annotated[
        str | None,
        typer.Option(
            "--workspace", metavar="BYTES", help="Largest scratch memory of one kernel, like 64MiB."
        ),
    ] = None,
    tactic_memory: Annotated[
        str | None,
        typer.Option(
            "--tactic-memory", metavar="BYTES", help="Largest memory of the build, like 512MiB."
        ),
    ] = None,
    optimization_level: Annotated[
        int | None,
        typer.Option(
            "--optimization-level",
            metavar="0..5",
            help="0 builds fastest, 5 runs fastest; default: 3.",
        ),
    ] = None,
    dla: Annotated[
        int | None,
        typer.Option(
            "--dla",
            metavar="N",
            help="The DLA core to use; the GPU runs the layers that it cannot.",
        ),
    ] = None,
    aux_streams: Annotated[
        int,
        typer.Option(
            "--aux-streams",
            metavar="N",
            help="Number of further CUDA streams for parallel kernels; each takes memory.",
        ),
    ] = 0,
    timing_cache: Annotated[
        Path | None,
        typer.Option(
            "--timing-cache",
            metavar="FILE",
            help="File that keeps kernel timings; default: in the cache folder.",
        ),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            metavar="tensorrt|tensorrt-rtx",
            help="The library that builds and runs the TensorRT plans.",
        ),
    ] = None,
    compute_capability: Annotated[
        str | None,
        typer.Option(
            "--compute-capability",
            metavar="LIST",
            help="For tensorrt-rtx: compute capabilities of the GPUs, like 8.6 or 8.6,8.9.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also build TensorRT plans that are up to date.")
    ] = False,
    trtexec: Annotated[
        bool, typer.Option("--trtexec", help="Print the trtexec commands; build nothing.")
    ] = False,
    for_version: Annotated[
        str | None,
        typer.Option(
            "--for-version",
            metavar="VERSION",
            help="For --trtexec: the version of TensorRT on the board.",
        ),
    ] = None,
    adopt: Annotated[
        Path | None,
        typer.Option(
            "--adopt", metavar="FILE", help="Add a TensorRT plan that trtexec built to the bundle."
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage", metavar="NAME", help="For --adopt: the stage whose TensorRT plan it is."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build the TensorRT plans of a bundle. Plans that are up to date are kept."""
    choice = BuildChoice(
        BuildOptions(
            workspace_bytes=None if workspace is None else parse_bytes(workspace),
            tactic_bytes=None if tactic_memory is None else parse_bytes(tactic_memory),
            optimization_level=optimization_level,
            dla_core=dla,
            aux_streams=aux_streams,
            timing_cache=timing_cache,
            compute_capabilities=read_compute_capabilities(compute_capability),
        ),
        read_provider(provider),
        force,
    )
    _check_modes(trtexec, for_version, adopt, stage)
    opened = open_bundle(bundle)
    check_integers(opened.manifest, opened.path.name)
    if trtexec:
        _print_trtexec(opened, choice.options, for_version or "", as_json=as_json)
    elif adopt is not None and stage is not None:
        _show([_adopted(opened, stage, adopt, choice.provider)], opened, as_json=as_json)
    else:
        _show(build_plans(opened, choice), opened, as_json=as_json)


def check_buildable() -> None:
    """Raise the error that a build with the default options would raise before its first stage."""
    from edgeunet.engine.trt.builder import capabilities_for
    from edgeunet.engine.trt.provider import load_provider

    provider, options = load_provider(), BuildOptions()
    capabilities_for(provider, options, _gpu_for(provider, options))


def build_with_defaults(bundle: Bundle) -> list[TensorRTPlan]:
    """Build the TensorRT plans of a bundle with the default options, for ``export --build``."""
    return build_plans(bundle, BuildChoice(BuildOptions()))


def build_plans(bundle: Bundle, choice: BuildChoice) -> list[TensorRTPlan]:
    """Build the TensorRT plans that are not up to date, with a progress bar; return all plans."""
    from edgeunet.engine.trt.bundles import build_bundle
    from edgeunet.engine.trt.provider import load_provider

    provider = load_provider(choice.provider)
    device = _gpu_for(provider, choice.options)
    with progress("") as bar:
        tasks = {
            entry.name: bar.add_task(entry.name, total=None, rate="", visible=False)
            for entry in bundle.manifest.stages
        }

        def report(entry: StageEntry, now: Progress) -> None:
            bar.update(
                tasks[entry.name],
                description=f"{entry.name}: {now.doing}",
                completed=now.done,
                total=now.total or None,
                visible=True,
            )

        plans = build_bundle(
            bundle, provider, choice.options, device, force=choice.force, report=report
        )
    for plan in plans:
        if plan.kept:
            note(f"the TensorRT plan of stage {plan.info.stage!r} is up to date: kept")
        if plan.replaced is not None:
            note(f"{plan.replaced}: built again")
        for text in plan.notes:
            warn(text)
    return plans


def read_provider(text: str | None) -> ProviderName | None:
    """Return the value of ``--provider``. Raises UsageError for an unknown name."""
    from edgeunet.engine.trt.provider import PROVIDERS

    if text is None:
        return None
    for name in PROVIDERS:
        if text == name:
            return name
    raise UsageError(
        f"there is no provider {text!r}",
        hint=near_match(text, PROVIDERS) + f"known: {', '.join(PROVIDERS)}",
    )


def read_compute_capabilities(text: str | None) -> tuple[str, ...]:
    """Return the values of ``--compute-capability``: ``major.minor``, separated by commas.

    Raises UsageError for anything else.
    """
    if text is None:
        return ()
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for part in found:
        major, dot, minor = part.partition(".")
        if not (major.isdecimal() and dot and minor.isdecimal() and len(minor) == 1):
            raise UsageError(
                f"{part!r} is not a compute capability", hint="write it like 8.6, or 8.6,8.9"
            )
    return found


def _check_modes(
    trtexec: bool, for_version: str | None, adopt: Path | None, stage: str | None
) -> None:
    if trtexec and adopt is not None:
        raise UsageError("--trtexec and --adopt contradict each other", hint="give one of them")
    if trtexec and for_version is None:
        raise UsageError(
            "--trtexec needs the version its flags are for",
            hint="give --for-version 8.6; edgeunet doctor on the board, or dpkg -l tensorrt, "
            "says which it has",
        )
    if for_version is not None and not trtexec:
        raise UsageError("--for-version is for --trtexec", hint="add --trtexec, or leave it out")
    if (adopt is None) != (stage is None):
        raise UsageError(
            "--adopt and --stage go together", hint="edgeunet build BUNDLE --adopt FILE --stage S"
        )


def _gpu_for(provider: Provider, options: BuildOptions) -> Gpu | None:
    """Return the GPU of this machine, or None when TensorRT plans are built for other GPUs.

    Raises EngineError or MissingPackageError when there is no GPU and the provider needs one.
    """
    try:
        gpu = _gpu_here()
    except (EngineError, MissingPackageError):
        if provider.has_compute_capabilities:
            return None
        raise
    named = options.compute_capabilities if provider.has_compute_capabilities else ()
    return gpu if not named or gpu.compute_capability in named else None


def _gpu_here() -> Gpu:
    from edgeunet.engine.cuda import open_device
    from edgeunet.engine.trt.plans import Gpu

    device = open_device()
    try:
        return Gpu(device.facts.name, device.facts.compute_capability_text)
    finally:
        device.close()


def _adopted(bundle: Bundle, stage: str, path: Path, name: ProviderName | None) -> TensorRTPlan:
    from edgeunet.engine.cuda import open_device
    from edgeunet.engine.trt.bundles import adopt_plan
    from edgeunet.engine.trt.plans import Gpu
    from edgeunet.engine.trt.provider import load_provider
    from edgeunet.engine.trt.session import PlanRuntime

    provider = load_provider(name)
    device = open_device()
    try:
        gpu = Gpu(device.facts.name, device.facts.compute_capability_text)

        def check(entry: StageEntry, plan: bytes) -> int:
            with device.active():
                runtime = PlanRuntime(provider)
                loaded = runtime.load(entry, plan)
                work_bytes = loaded.work_bytes
                loaded.close()
                runtime.close()
            return work_bytes

        return adopt_plan(bundle, stage, path, provider, gpu, check)
    finally:
        device.close()


def _print_trtexec(bundle: Bundle, options: BuildOptions, version: str, *, as_json: bool) -> None:
    from edgeunet.bundle.manifest import ENGINES
    from edgeunet.engine.trt.provider import title_of
    from edgeunet.engine.trt.trtexec import read_version, trtexec_commands

    commands = trtexec_commands(bundle, options, version)
    if as_json:
        print_json({"bundle": str(bundle.path), "version": version, "commands": commands})
        return
    print(f"mkdir -p {bundle.file(ENGINES)}")
    for line in commands:
        print(line)
    note(
        f"run these on the board, with the trtexec of its {title_of('tensorrt')} {version} "
        "(/usr/src/tensorrt/bin)"
    )
    if read_version(version) >= (8, 6):
        first = bundle.manifest.stages[0].name
        note(
            f"then add every TensorRT plan to the bundle: edgeunet build {bundle.path} --adopt "
            f"{bundle.file(ENGINES)}/{first}.plan --stage {first}"
        )
    else:
        note("its Python is too old for edgeunet: the TensorRT plans are for a program of your own")


def plans_document(plans: Sequence[TensorRTPlan], bundle: Bundle) -> dict[str, Any]:
    """Return the document that ``--json`` prints: figures of each TensorRT plan, in bytes."""
    predicted = predicted_bytes(bundle)
    return {
        "bundle": str(bundle.path),
        "stages": [
            {
                **msgspec.to_builtins(plan.info),
                "kept": plan.kept,
                "predicted_bytes": predicted.get(plan.info.stage),
                "notes": list(plan.notes),
            }
            for plan in plans
        ],
        "largest_activation_bytes": _largest(plans),
        "held_bytes": bundle.manifest.memory.held_bytes,
    }


def print_plans(plans: Sequence[TensorRTPlan], bundle: Bundle) -> None:
    """Print the memory of each TensorRT plan, as the compiler reports it and as predicted."""
    predicted = predicted_bytes(bundle)
    held = bundle.manifest.memory.held_bytes
    info = plans[0].info
    print_plan_table(
        f"TensorRT plans of {bundle.path.name}, as {info.provider} {info.version} reports them",
        [_row(plan, predicted.get(plan.info.stage)) for plan in plans],
        ("persistent", "file", "seconds"),
    )
    if not predicted:
        note('predictions need the package onnx: pip install "edgeunet[memory]"')
    for reason in dict.fromkeys(p.info.device_memory_unknown for p in plans):
        if reason is not None:
            note(f"how much memory a TensorRT plan needs when it runs is not known: {reason}")
    note(f"stages share one block: {format_bytes(_largest(plans))}, and hold {format_bytes(held)}")


def _show(plans: Sequence[TensorRTPlan], bundle: Bundle, *, as_json: bool) -> None:
    if as_json:
        print_json(plans_document(plans, bundle))
    else:
        print_plans(plans, bundle)


def _largest(plans: Sequence[TensorRTPlan]) -> int:
    return max((plan.info.memory.activation_bytes or 0 for plan in plans), default=0)


def _row(plan: TensorRTPlan, predicted: int | None) -> PlanRow:
    info, memory = plan.info, plan.info.memory
    persistent = [
        part for part in (memory.persistent_host_bytes, memory.persistent_device_bytes) if part
    ]
    return PlanRow(
        info.stage,
        predicted,
        memory.activation_bytes,
        memory.scratch_bytes,
        memory.weight_bytes,
        (
            format_bytes(sum(persistent)),
            format_bytes(info.plan_bytes),
            "kept" if plan.kept else f"{info.seconds:.1f}",
        ),
    )
