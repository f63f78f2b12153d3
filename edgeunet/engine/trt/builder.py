"""Builds one plan from one ONNX graph, with TensorRT 8.6 to 11 or TensorRT-RTX.

Number formats come from the graph (``precisions.py``). Memory figures are read from the build's
log. The plan is not loaded here, so TensorRT-RTX needs no GPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeunet.bundle.manifest import StageEntry
from edgeunet.engine.trt import timing_cache
from edgeunet.engine.trt.build_options import BuildOptions, check_dla
from edgeunet.engine.trt.log_lines import failed_node_in, memory_lines_in, shortage_in
from edgeunet.engine.trt.plans import Gpu, MemoryLines
from edgeunet.engine.trt.precisions import set_types
from edgeunet.engine.trt.progress import Report, log_report, watch
from edgeunet.engine.trt.provider import Provider, TensorrtLogger, make_logger
from edgeunet.errors import EngineError, UsageError
from edgeunet.specs import Precision


@dataclass(frozen=True)
class BuiltPlan:
    """A plan and its build.

    plan: the serialized engine.
    memory: memory figures from the log.
    flags: how it was built, in words.
    seconds: duration of the build.
    notes: lines for the user.
    """

    plan: bytes
    memory: MemoryLines
    flags: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...]


def build_plan(
    graph: Path,
    stage: StageEntry,
    precision: Precision,
    provider: Provider,
    options: BuildOptions,
    device: Gpu | None,
    report: Report = lambda progress: None,
) -> BuiltPlan:
    """Compile a stage's graph into a plan.

    graph: path of the ONNX file.
    stage: the stage's entry in the manifest, which the graph's inputs and outputs must match.
    device: the GPU of this machine; may be None where the provider builds for compute
        capabilities that are named.
    report: called with the build's progress.
    Raises EngineError that names the node TensorRT does not support, the memory pool that was too
    small, or why a DLA core cannot be used; UsageError for unknown compute capabilities.
    """
    logger = make_logger(provider)
    module = provider.module
    started = time.monotonic()
    builder = module.Builder(logger.native)
    if builder is None:
        raise _failed(provider, logger, "cannot start", "run: edgeunet doctor")
    network = builder.create_network(_network_flags(provider))
    # The network uses memory of the parser, so the parser must live as long.
    parser = _parsed(provider, logger, network, graph)
    _check_borders(network, stage, graph)
    config = builder.create_builder_config()
    words, typing_notes = set_types(provider, network, config, precision)
    if options.dla_core is not None:
        check_dla(provider, precision, options.dla_core, int(builder.num_DLA_cores))
        _set_dla(module, config, options.dla_core)
    _set_limits(module, config, options)
    _set_capabilities(provider, config, capabilities_for(provider, options, device))
    path = options.timing_cache or timing_cache.timing_cache_path(provider, device)
    cache = timing_cache.attach(config, provider, path)
    phases = watch(config, provider, report)
    if phases is None:
        logger.log.on_line = log_report(report)
    host = builder.build_serialized_network(network, config)
    logger.log.on_line = None
    if logger.log.interrupted or (phases is not None and phases.interrupted):
        raise KeyboardInterrupt
    if host is None:
        raise _build_failure(provider, logger, stage.name)
    plan = bytes(host)
    notes = [*typing_notes, *(() if cache is None else cache.notes)]
    if cache is not None:
        unkept = timing_cache.keep(config, cache)
        notes += [unkept] if unkept else []
    del parser
    return BuiltPlan(
        plan,
        memory_lines_in(logger.log.text),
        (*words, *options.words()),
        time.monotonic() - started,
        tuple(notes),
    )


def capabilities_for(
    provider: Provider, options: BuildOptions, device: Gpu | None
) -> tuple[str, ...]:
    """Return the compute capabilities to build for: those in the options, else that of ``device``.

    Raises UsageError when the provider cannot build for other GPUs, and when there is neither a
    GPU nor an option.
    """
    if options.compute_capabilities:
        if not provider.has_compute_capabilities:
            raise UsageError(
                f"{provider.title} builds for the GPU it runs on, and for no other",
                hint="leave --compute-capability out, or use --provider tensorrt-rtx",
            )
        return options.compute_capabilities
    if device is None:
        raise UsageError(
            f"there is no GPU here to build for, so {provider.title} must be told which",
            hint="name one with --compute-capability, like 8.6 or 8.9"
            if provider.has_compute_capabilities
            else "build on the device that runs the plan",
        )
    return (device.compute_capability,)


def _network_flags(provider: Provider) -> int:
    kinds = provider.module.NetworkDefinitionCreationFlag
    flags = 0
    if provider.offers("NetworkDefinitionCreationFlag.EXPLICIT_BATCH"):
        flags |= 1 << int(kinds.EXPLICIT_BATCH)
    if provider.offers("NetworkDefinitionCreationFlag.STRONGLY_TYPED"):
        flags |= 1 << int(kinds.STRONGLY_TYPED)
    return flags


def _set_dla(module: Any, config: Any, core: int) -> None:
    config.default_device_type = module.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(module.BuilderFlag.GPU_FALLBACK)


def _set_limits(module: Any, config: Any, options: BuildOptions) -> None:
    pools = module.MemoryPoolType
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(pools.WORKSPACE, options.workspace_bytes)
    if options.tactic_bytes is not None:
        config.set_memory_pool_limit(pools.TACTIC_DRAM, options.tactic_bytes)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    config.max_aux_streams = options.aux_streams


def _set_capabilities(provider: Provider, config: Any, capabilities: tuple[str, ...]) -> None:
    if not provider.has_compute_capabilities:
        return
    known = provider.module.ComputeCapability
    config.num_compute_capabilities = len(capabilities)
    for index, text in enumerate(capabilities):
        found = getattr(known, f"SM{text.replace('.', '')}", None)
        if found is None:
            names = [name[2:] for name in dir(known) if name.startswith("SM")]
            listed = ", ".join(sorted((f"{n[:-1]}.{n[-1]}" for n in names), key=float))
            raise UsageError(
                f"TensorRT-RTX builds nothing for compute capability {text}",
                hint=f"it knows {listed}; a Jetson's plans are built on it, by its TensorRT",
            )
        config.set_compute_capability(found, index)


def _parsed(provider: Provider, logger: TensorrtLogger, network: Any, graph: Path) -> Any:
    parser = provider.module.OnnxParser(network, logger.native)
    parsed = parser.parse_from_file(str(graph))
    errors = [_parser_error(provider, parser.get_error(i)) for i in range(parser.num_errors)]
    if not parsed or errors:
        said = errors[0] if errors else "; ".join(logger.log.errors[:1]) or "it gives no reason"
        raise EngineError(
            f"{provider.title} cannot read {graph.name}: {said}",
            hint="export it with --fp16: those graphs are made for TensorRT"
            if "type of UINT8" in said
            else "export the bundle again with this version of edgeunet; if that does not help, "
            "report the message",
        )
    # The parser accepts some files that are not ONNX, and returns an empty network.
    if network.num_inputs == 0 or network.num_outputs == 0:
        raise EngineError(
            f"{graph.name} holds no network that {provider.title} can see",
            hint="export the bundle again",
        )
    return parser


def _parser_error(provider: Provider, error: Any) -> str:
    """Return the text of a parser error, starting with its node."""
    if provider.offers("ParserError.node_name"):
        named = f"{error.node_operator()} {error.node_name()!r}"
    else:
        named = f"number {error.node()}"
    return f"node {named}: {' '.join(str(error.desc()).split())}"


def _check_borders(network: Any, stage: StageEntry, graph: Path) -> None:
    given = [network.get_input(i) for i in range(network.num_inputs)]
    made = [network.get_output(i) for i in range(network.num_outputs)]
    for entries, tensors, what in (
        (stage.inputs, given, "takes"),
        (stage.outputs, made, "makes"),
    ):
        wanted = {entry.name: tuple(entry.shape) for entry in entries}
        found = {str(tensor.name): tuple(tensor.shape) for tensor in tensors}
        if wanted != found:
            raise EngineError(
                f"{graph.name} {what} {found}, and stage {stage.name!r} {what} {wanted}",
                hint="export the bundle again",
            )


def _build_failure(provider: Provider, logger: TensorrtLogger, stage: str) -> EngineError:
    what = f"{provider.title} cannot build stage {stage!r}"
    shortage = shortage_in(logger.log.lines)
    if shortage is not None:
        return EngineError(f"{what}: {shortage[0]}", hint=shortage[1])
    node = failed_node_in(logger.log.text)
    errors = logger.log.errors
    said = f"no kernel for node {node}" if node else " ".join("".join(errors[:1]).split())[:300]
    return EngineError(
        f"{what}: {said or 'it gives no reason'}",
        hint="try --optimization-level 5, or export in another precision; edgeunet doctor says "
        "whether this TensorRT is known to be at fault",
    )


def _failed(provider: Provider, logger: TensorrtLogger, what: str, hint: str) -> EngineError:
    said = " ".join("".join(logger.log.errors[:1]).split())
    return EngineError(f"{provider.title} {what}{': ' + said if said else ''}", hint=hint)
