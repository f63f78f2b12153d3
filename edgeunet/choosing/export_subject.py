"""What an export is about: a recipe, an ONNX file, or a torch module, and the order for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.choosing.foreign import ForeignChoice, choose_file, choose_module, is_onnx_file
from edgeunet.choosing.memory import TorchModule
from edgeunet.choosing.networks import RecipeChoice, choose_weights, missing_package
from edgeunet.choosing.plan_choice import cpu_choice, planned_engine
from edgeunet.errors import UsageError
from edgeunet.foreign.contract_text import read_contract
from edgeunet.recipes import load_recipe
from edgeunet.specs import FrameType, Precision

if TYPE_CHECKING:
    from edgeunet.convert.exporting import ExportOrder
    from edgeunet.convert.int8_order import Int8Order
    from edgeunet.convert.network_plan import TimeGraph
    from edgeunet.planning.request import PlanRequest

Choice = RecipeChoice | ForeignChoice


@dataclass(frozen=True)
class NetworkOptions:
    """The options that say which network is exported, as they were given.

    model: a recipe's name or path, an ONNX file, or a torch module.
    inputs, outputs: what is said about tensors of the last two, ``NAME=WORDS`` each.
    """

    model: str | TorchModule
    size: tuple[int, int] | None = None
    width: int | None = None
    weights: Path | None = None
    random_weights: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def choose_network(options: NetworkOptions, frame_type: FrameType = FrameType.UINT8) -> Choice:
    """Return the network of the options.

    Raises UsageError for options that contradict each other, and the errors of the network.
    """
    model = options.model
    if isinstance(model, str) and not is_onnx_file(model):
        return _recipe(model, options)
    kind = "an ONNX file" if isinstance(model, str) else "a torch module"
    for flag, given in (
        ("width", options.width is not None),
        ("weights", options.weights is not None),
        ("random weights", options.random_weights),
    ):
        if given:
            raise UsageError(
                f"{flag} cannot be given for {kind}, which has its own channels and weights",
                hint=f"leave {flag} out",
            )
    said = read_contract(options.inputs, options.outputs)
    if isinstance(model, str):
        return choose_file(Path(model), said, options.size, frame_type)
    return choose_module(model, said, options.size, frame_type)


def export_order(
    chosen: Choice,
    precision: Precision,
    *,
    request: PlanRequest,
    int8: Int8Order | None = None,
    cpu: str | None = None,
    board: str | None = None,
    frame_type: FrameType = FrameType.UINT8,
    time_graph: TimeGraph | None = None,
) -> ExportOrder:
    """Return the order to export a network.

    cpu: see ``processors.processors_of``. board: a Jetson module. time_graph: measures windows.
    Raises UsageError for a cpu that is unknown or contradicts the others or the engine, and
    MissingPackageError where what exporting needs is not installed.
    """
    cpu = cpu_choice(cpu, board, planned_engine(precision) if int8 is None else int8.engine)
    try:
        from edgeunet.convert.exporting import ExportOrder
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="exporting", extra="export") from error
    return ExportOrder(
        chosen.network,
        *chosen.size,
        precision,
        weights=chosen.weights,
        request=request,
        time_graph=time_graph,
        int8=int8,
        frame_type=frame_type,
        cpu=cpu,
    )


def _recipe(model: str, options: NetworkOptions) -> RecipeChoice:
    for what, given in (("input", options.inputs), ("output", options.outputs)):
        if given:
            raise UsageError(
                f"what an {what} is can be said of an ONNX file, and {model} is a recipe",
                hint=f"leave {what}s out",
            )
    recipe = load_recipe(model).with_width(options.width)
    weights = choose_weights(model, recipe, options.weights, random_weights=options.random_weights)
    return RecipeChoice(model, recipe, options.size or recipe.export.size, weights)
