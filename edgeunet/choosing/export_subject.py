"""The network that an export is about: a recipe, an ONNX file, or a torch module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeunet.choosing.foreign import ForeignChoice, choose_file, choose_module, is_onnx_file
from edgeunet.choosing.memory import TorchModule
from edgeunet.choosing.networks import RecipeChoice, choose_weights
from edgeunet.errors import UsageError
from edgeunet.foreign.contract_text import read_contract
from edgeunet.recipes import load_recipe
from edgeunet.specs import FrameType

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
