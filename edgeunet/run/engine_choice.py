"""Chooses the engine that runs a bundle on this machine, and opens its space."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import StageEntry
from edgeunet.engine import check_engine, choose_engine, open_session
from edgeunet.engine.cuda.settings import DeviceSettings, read_settings
from edgeunet.engine.trt.plans import plan_path
from edgeunet.engine.trt.provider import is_installed
from edgeunet.errors import EdgeUnetError, EngineError, MissingPackageError, UsageError
from edgeunet.processors import ProcessorClass, this_processor, usable_cores
from edgeunet.run.device_space import DeviceSpace, open_device_space
from edgeunet.run.promises import Promise, promise_of
from edgeunet.run.spaces import HostSpace, Space
from edgeunet.run.workers import workers_of
from edgeunet.specs import Array, Engine, Pool, Precision, Session

Note = Callable[[str], None]
"""Called with one line about the engine's choice; the command line prints it on stderr."""


@dataclass(frozen=True)
class OpenedSpace:
    """The name of the chosen engine, its space, and how many windows run at a time.

    promise: what onnxruntime is expected to take; None for other engines.
    """

    engine: Engine
    space: Space[Any]
    promise: Promise | None = None
    workers: int = 1


def open_space(
    bundle: Bundle,
    engine: str = "auto",
    *,
    threads: int | None = None,
    workers: int | None = None,
    settings: DeviceSettings | None = None,
    on_note: Note | None = None,
) -> OpenedSpace:
    """Open an engine for a bundle.

    engine: name of the engine. ``auto`` takes TensorRT where the bundle's plans can run.
    threads: CPU threads of onnxruntime; None takes every core.
    workers: windows that run at a time on onnxruntime; None for those of the bundle's plan.
    settings: how CUDA is used; None reads the environment variables.
    on_note: called with one line about the choice.
    Raises what ``choose_engine`` and ``workers_of`` raise, EngineError when ``tensorrt`` was named
    and cannot run the bundle, and UsageError when it is to have several workers.
    """
    check_engine(engine)
    tell = on_note or _say_nothing
    chosen = settings or read_settings()
    if engine == Engine.TENSORRT:
        _check_alone(workers)
        return OpenedSpace(Engine.TENSORRT, _on_device(bundle, chosen, tell))
    if engine == "auto":
        try:
            space = _on_device(bundle, chosen, tell)
        except (EngineError, MissingPackageError) as error:
            return open_without_gpu(
                bundle, error, threads=threads, workers=workers, on_note=on_note
            )
        if workers is not None and workers > 1:
            space.close()
            _check_alone(workers)
        tell(f"engine: tensorrt, the bundle has plans for it ({space.title})")
        return OpenedSpace(Engine.TENSORRT, space)
    return _on_host(bundle, choose_engine(engine), threads, workers, tell)


def open_without_gpu(
    bundle: Bundle,
    why: EdgeUnetError,
    *,
    threads: int | None = None,
    workers: int | None = None,
    on_note: Note | None = None,
) -> OpenedSpace:
    """Open the engine that ``auto`` takes where TensorRT cannot run a bundle.

    why: the reason, which ``on_note`` is told when the user could expect TensorRT.
    Raises ``why`` when TensorRT could be expected and no other engine is installed.
    """
    tell = on_note or _say_nothing
    return _on_host(bundle, _replacement(bundle, why, tell), threads, workers, tell)


def open_in_floats(bundle: Bundle) -> OpenedSpace:
    """Open onnxruntime without its integer kernels: INT8 is computed in floats, much slower.

    It is what INT8 is to give, by the graph itself; integer kernels differ by rounding.
    """
    opener = functools.partial(
        _open_stage,
        bundle,
        Engine.ONNXRUNTIME,
        None,
        promise_of(bundle.manifest).pool,
        _say_nothing,
        integer_kernels=False,
    )
    return OpenedSpace(Engine.ONNXRUNTIME, HostSpace(opener))


def _check_alone(workers: int | None) -> None:
    if workers is not None and workers > 1:
        raise UsageError(
            "TensorRT runs one window at a time",
            hint="leave the workers out, or choose --engine onnxruntime",
        )


def _on_host(
    bundle: Bundle, engine: Engine, threads: int | None, workers: int | None, tell: Note
) -> OpenedSpace:
    count = workers_of(bundle, workers)
    if bundle.manifest.precision is Precision.INT8 and this_processor().sums_saturate:
        tell(
            f"int8 on {this_processor().title}: its fast 8-bit sums saturate, so the exact ones "
            "are used; they take about as long as fp32, and more memory"
        )
    if bundle.manifest.precision is Precision.FP16:
        tell(_cost_of_fp16(this_processor()))
    promise = promise_of(bundle.manifest, threads, count)
    for note in promise.notes:
        tell(note)
    # A worker has a pool, and so an arena, of its own: what it takes does not depend on the others.
    openers = [
        functools.partial(
            _open_stage,
            bundle,
            engine,
            threads,
            None if promise.pool is None else replace(promise.pool),
            tell,
            window_threads=max(1, (threads or usable_cores()) // count) if count > 1 else threads,
        )
        for _ in range(count)
    ]
    return OpenedSpace(engine, HostSpace(*openers), promise, count)


def _cost_of_fp16(processor: ProcessorClass) -> str:
    """Return a sentence about FP16 on onnxruntime, as docs/findings/processors.md has it."""
    cost = (
        "onnxruntime's fp16 kernels take about twice the memory of fp32"
        if processor.computes_fp16
        else "onnxruntime converts to fp32 and back, with more time and twice the memory of fp32"
    )
    return f"fp16 on {processor.title}: {cost}; fp16 is for GPUs, export --fp32 or --int8 here"


def _replacement(bundle: Bundle, why: EdgeUnetError, tell: Note) -> Engine:
    """Return the engine that replaces TensorRT, and report the reason.

    Raises ``why`` when TensorRT could be expected and no other engine is installed.
    """
    expected = _is_expected(bundle)
    try:
        name = choose_engine("auto")
    except MissingPackageError:
        if expected:
            raise why from None
        raise
    if expected:
        tell(f"engine: {name}, because {why.message}")
    return name


def _on_device(bundle: Bundle, settings: DeviceSettings, tell: Note) -> DeviceSpace:
    why = _no_plans(bundle)
    if why is not None:
        raise EngineError(why, hint=f"build them on this device: edgeunet build {bundle.path}")
    return open_device_space(bundle, settings, tell)


def _no_plans(bundle: Bundle) -> str | None:
    """Return a sentence about the plans that a bundle lacks; None when every stage has one."""
    stages = [stage.name for stage in bundle.manifest.stages]
    lacking = [name for name in stages if not plan_path(bundle, name).is_file()]
    if not lacking:
        return None
    if len(lacking) == len(stages):
        return f"{bundle.path.name} has no TensorRT plans"
    return f"{bundle.path.name} has no TensorRT plan for {', '.join(lacking)}"


def _is_expected(bundle: Bundle) -> bool:
    """Return whether the user could expect TensorRT to run the bundle.

    That is so when the bundle has a plan, or when the tensorrt package of a Jetson is installed.
    """
    if any(plan_path(bundle, stage.name).is_file() for stage in bundle.manifest.stages):
        return True
    return is_installed("tensorrt")


def _open_stage(
    bundle: Bundle,
    engine: Engine,
    threads: int | None,
    pool: Pool | None,
    tell: Note,
    stage: StageEntry,
    outputs: Mapping[str, Array],
    *,
    window_threads: int | None = None,
    integer_kernels: bool = True,
) -> Session:
    return open_session(
        bundle.file(stage.graph),
        engine,
        threads=threads if stage.window is None else window_threads,
        outputs=outputs,
        pool=pool,
        on_note=tell,
        integer_kernels=integer_kernels,
    )


def _say_nothing(line: str) -> None: ...
