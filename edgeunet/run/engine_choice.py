"""Which engine runs a bundle here, and the space it runs in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import StageEntry
from edgeunet.bundle.tensors import pool_of
from edgeunet.engine import check_engine, choose_engine, open_session
from edgeunet.engine.cuda.settings import DeviceSettings, read_settings
from edgeunet.engine.trt.plans import plan_path
from edgeunet.engine.trt.provider import is_installed
from edgeunet.errors import EdgeUnetError, EngineError, MissingPackageError
from edgeunet.run.device_space import DeviceSpace, open_device_space
from edgeunet.run.spaces import HostSpace, Space
from edgeunet.specs import Array, Engine, Pool, Session

Note = Callable[[str], None]
"""Is told one line about what was chosen; the command line prints it on stderr."""


@dataclass(frozen=True)
class OpenedSpace:
    engine: Engine
    space: Space[Any]


def open_space(
    bundle: Bundle,
    engine: str = "auto",
    *,
    threads: int | None = None,
    settings: DeviceSettings | None = None,
    on_note: Note | None = None,
) -> OpenedSpace:
    """Open the engine that was asked for; ``auto`` is TensorRT where its plans can run.

    Raises what ``choose_engine`` raises, and EngineError when TensorRT was asked for by name and
    cannot run the bundle.
    """
    check_engine(engine)
    tell = on_note or _say_nothing
    chosen = settings or read_settings()
    if engine == Engine.TENSORRT:
        return OpenedSpace(Engine.TENSORRT, _on_device(bundle, chosen, tell))
    if engine == "auto":
        try:
            space = _on_device(bundle, chosen, tell)
        except (EngineError, MissingPackageError) as error:
            return open_without_gpu(bundle, error, threads=threads, on_note=on_note)
        tell(f"engine: tensorrt, the bundle has plans for it ({space.title})")
        return OpenedSpace(Engine.TENSORRT, space)
    return _on_host(bundle, choose_engine(engine), threads, tell)


def open_without_gpu(
    bundle: Bundle,
    why: EdgeUnetError,
    *,
    threads: int | None = None,
    on_note: Note | None = None,
) -> OpenedSpace:
    """Open the engine that ``auto`` takes where TensorRT cannot run a bundle, and tell why.

    Raises why TensorRT cannot, where it was to be expected and there is no other engine.
    """
    tell = on_note or _say_nothing
    return _on_host(bundle, _instead(bundle, why, tell), threads, tell)


def _on_host(bundle: Bundle, engine: Engine, threads: int | None, tell: Note) -> OpenedSpace:
    pool = pool_of(bundle.manifest)
    opener = functools.partial(_open_stage, bundle, engine, threads, pool, tell)
    return OpenedSpace(engine, HostSpace(opener))


def _instead(bundle: Bundle, why: EdgeUnetError, tell: Note) -> Engine:
    """Return the engine that runs a bundle where TensorRT cannot, and tell why.

    Raises why TensorRT cannot, where that is the engine that was to be expected.
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
    """Return which plans a bundle lacks, in words; None when every stage has one."""
    stages = [stage.name for stage in bundle.manifest.stages]
    lacking = [name for name in stages if not plan_path(bundle, name).is_file()]
    if not lacking:
        return None
    if len(lacking) == len(stages):
        return f"{bundle.path.name} has no TensorRT plans"
    return f"{bundle.path.name} has no TensorRT plan for {', '.join(lacking)}"


def _is_expected(bundle: Bundle) -> bool:
    """Whether somebody could expect TensorRT: the bundle has a plan, or a Jetson's package is here.

    Elsewhere there is nothing to tell.
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
) -> Session:
    graph = bundle.file(stage.graph)
    return open_session(graph, engine, threads=threads, outputs=outputs, pool=pool, on_note=tell)


def _say_nothing(line: str) -> None: ...
