"""``edgeunet triton``: write a bundle as a model of a Triton Inference Server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeunet.bundle import Bundle, open_bundle
from edgeunet.bundle.triton_repository import (
    CONFIG,
    DEVICES,
    TritonOrder,
    check_name,
    check_order,
    check_place,
    write_model,
)
from edgeunet.choosing.networks import missing_package
from edgeunet.cli.console import note, print_json
from edgeunet.cli.options import AsJson
from edgeunet.errors import EngineError, UsageError, near_match
from edgeunet.planning.request import PlanRequest
from edgeunet.specs import Engine


def command(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle of whole frames.")],
    repository: Annotated[
        Path, typer.Argument(metavar="DIR", help="The model repository; its other models are kept.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the model; default: the bundle's."),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            metavar="onnxruntime|tensorrt",
            help="Engine; tensorrt takes the TensorRT plan that edgeunet build made on the server.",
        ),
    ] = "onnxruntime",
    max_batch: Annotated[
        int,
        typer.Option(
            "--max-batch",
            metavar="N",
            help="Largest number of frames in a batch; 0: no dynamic batching.",
        ),
    ] = 0,
    queue_delay: Annotated[
        int,
        typer.Option(
            "--queue-delay",
            metavar="US",
            help="Longest time that a frame waits for a batch, in microseconds.",
        ),
    ] = 0,
    instances: Annotated[
        int,
        typer.Option(
            "--instances", metavar="N", help="Number of parallel copies of the model, per GPU."
        ),
    ] = 1,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|gpu|cpu", help="Device that the copies run on.")
    ] = "auto",
    version: Annotated[
        int,
        typer.Option(
            "--model-version",
            metavar="N",
            help="Number of the model version; the highest is served.",
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Write a bundle into a Triton server's model repository."""
    for option, value, known in (
        ("backend", backend, tuple(str(engine) for engine in Engine)),
        ("device", device, DEVICES),
    ):
        if value not in known:
            raise UsageError(
                f"there is no {option} {value!r}",
                hint=near_match(value, known) + f"known: {', '.join(known)}",
            )
    opened = open_bundle(bundle)
    order = TritonOrder(
        name=opened.manifest.name if name is None else name,
        backend=Engine(backend),
        max_batch=max_batch,
        delay_us=queue_delay,
        instances=instances,
        device=device,
        version=version,
    )
    document = serve_bundle(opened, order, repository)
    if as_json:
        print_json(document)


def check_served(repository: Path, target: Path, request: PlanRequest) -> TritonOrder:
    """Return the order of ``export --triton``.

    Raises, before the export, the errors that would occur after it.
    """
    if not request.whole:
        raise UsageError(
            "--triton serves whole frames, and --budget, --tile, --board and --tune plan windows",
            hint="leave them out, or give --tile none",
        )
    order = TritonOrder(name=target.name.removesuffix(".bundle"))
    check_name(order.name)
    check_place(order, repository)
    return order


def serve_bundle(bundle: Bundle, order: TritonOrder, repository: Path) -> dict[str, Any]:
    """Write the model with a note; return a JSON document of what was written."""
    stage = check_order(bundle.manifest, order)
    if order.backend is Engine.TENSORRT:
        graph: bytes | Path = _plan_of(bundle, stage.name)
    elif order.max_batch:
        graph = _batched(bundle.file(stage.graph))
    else:
        graph = bundle.file(stage.graph)
    folder = write_model(bundle, order, repository, graph)
    note(f"wrote {folder}, version {order.version}")
    if order.max_batch:
        note(f"a run of {order.max_batch} frames takes {order.max_batch} times the activations")
    note(f"serve it: tritonserver --model-repository={repository.absolute()}")
    return {
        "model": order.name,
        "folder": str(folder),
        "config": str(folder / CONFIG),
        "version": order.version,
        "backend": str(order.backend),
        "max_batch": order.max_batch,
        "instances": order.instances,
    }


def _batched(path: Path) -> bytes:
    try:
        from edgeunet.graph.batch import batched_file
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="--max-batch", extra="memory") from error
    return batched_file(path)


def _plan_of(bundle: Bundle, stage: str) -> Path:
    """Return the TensorRT plan that ``edgeunet build`` made, for one GPU and one TensorRT."""
    from edgeunet.engine.trt.plans import plan_path, read_built_plan

    where = "on the server's GPU"
    _, info = read_built_plan(bundle, stage, where)
    if info.provider != "tensorrt":
        raise EngineError(
            f"the plan of {bundle.path.name} was built by {info.provider}, and Triton's backend "
            "is TensorRT",
            hint=f"build it again {where}: edgeunet build {bundle.path} --provider tensorrt",
        )
    note(f"the plan is for TensorRT {info.version} and {info.gpu or 'the GPU named by build'} only")
    return plan_path(bundle, stage)
