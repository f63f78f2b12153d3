"""Recipes: ``export/*.toml`` read into frozen types. An unknown key is an error.

A recipe is found by name (in ``export/`` of the checkout or the wheel) or by path, so a user's own
network needs no change to the package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from edgeunet.errors import RecipeError, UsageError, near_match
from edgeunet.files import read_toml
from edgeunet.schedules import TrainTable, schedule_problems
from edgeunet.specs import FRAME, ClassLabel, Precision, Task

SCHEMA_VERSION = 1

LARGEST_WIDTH = 1024
MOST_LEVELS = 8
MOST_BLOCKS = 64
LEAST_TEMPORAL_LEVELS = 3

# Names of recipes and outputs become names of files and tensors.
_RECIPE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_OUTPUT_NAME = re.compile(r"[a-z][a-z0-9_]*")

# Label maps are uint8.
_MOST_CLASSES = 256

WIDTH_NAMES = {"tiny": 8, "small": 16, "base": 32}

BlockKind = Literal["double", "residual", "naf"]
SkipKind = Literal["concat", "gated", "add", "aggregate"]
CascadeKind = Literal["shared", "causal", "dense"]
AttentionKind = Literal["none", "core", "all"]
DownKind = Literal["maxpool", "conv"]
TemporalKind = Literal["none", "blend", "fuse"]
UpKind = Literal["bilinear", "transposed", "shuffle"]
CalibratorKind = Literal["minmax", "percentile", "entropy", "mse"]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table whose keys are all known."""


class ClassTable(_Table, frozen=True):
    """One class of a segment or classify head."""

    name: str
    colour: tuple[int, int, int] = (0, 0, 0)


class PathwayTable(_Table, frozen=True):
    """One decoder of the cascade, with its head.

    A ``classify`` head reads the bottleneck and has no decoder.
    """

    output: str
    head: Task
    channels: int = 3
    classes: tuple[ClassTable, ...] = ()

    @property
    def scale(self) -> int:
        """The output pixels per pixel of the frame along each side."""
        return 1

    @property
    def head_channels(self) -> int:
        return self.channels if self.head is Task.DENOISE else len(self.classes)

    @property
    def labels(self) -> tuple[ClassLabel, ...]:
        return tuple(ClassLabel(entry.name, entry.colour) for entry in self.classes)


class NetworkTable(_Table, frozen=True):
    """The network: its blocks, skips and pathways, and their sizes.

    width: channels of level 0; level k has ``width * 2**k``.
    encoder_blocks, decoder_blocks: number of blocks per level, level 0 first.
    reentry: the decoder's level 0 reads the input frame again (aggregate only).
    image_residual: a denoise head predicts a correction that is added to the input frame.
    temporal: what is kept from frame to frame: nothing, the output, or also a fused frame.
    """

    block: BlockKind
    skip: SkipKind
    width: int
    encoder_blocks: tuple[int, ...]
    middle_blocks: int
    decoder_blocks: tuple[int, ...]
    down: DownKind
    up: UpKind
    cascade: CascadeKind = "shared"
    attention: AttentionKind = "none"
    conv_bias: bool = False
    stem: bool = True
    head_kernel: int = 3
    reentry: bool = True
    image_residual: bool = True
    temporal: TemporalKind = "none"

    @property
    def levels(self) -> int:
        return len(self.encoder_blocks)


class ExportTable(_Table, frozen=True):
    """Defaults of an export.

    size: (height, width) in pixels.
    fp32_ops: operators that stay in FP32 in an FP16 graph.
    int8_calibrator: calibrator for INT8; by default the one with the best result.
    int8_floats: names of network parts whose convolutions stay in floats in an INT8 graph.
    """

    size: tuple[int, int] = (480, 640)
    fp32_ops: tuple[str, ...] = ()
    int8_calibrator: CalibratorKind | None = None
    int8_floats: tuple[str, ...] = ()


class ToleranceTable(_Table, frozen=True):
    """Limits of the parity check with torch FP32.

    fp32_db, fp16_db, int8_db: smallest PSNR of the uint8 frame, by precision.
    label_share, int8_label_share: largest share of pixels with another class.
    probability, int8_probability: largest difference of a class probability.
    int8_kernels_db: smallest PSNR of an INT8 graph on integer kernels to the same graph in floats.
        The two differ by rounding alone; kernels whose sums saturate were seen below 40 dB.
    """

    fp32_db: float = 80.0
    fp16_db: float = 55.0
    int8_db: float = 25.0
    int8_kernels_db: float = 45.0
    label_share: float = 0.005
    int8_label_share: float = 0.1
    probability: float = 0.01
    int8_probability: float = 0.1

    def least_db(self, precision: Precision) -> float:
        """Return the smallest PSNR of a precision, in dB."""
        if precision is Precision.INT8:
            return self.int8_db
        return self.fp32_db if precision is Precision.FP32 else self.fp16_db


class Recipe(_Table, frozen=True):
    """One ``export/NAME.toml``.

    weights: name of the trained file beside the recipe, by width as a string.
    quality: what was measured with it, by width as a string.
    """

    schema: int
    name: str
    title: str
    source: str
    network: NetworkTable
    pathways: tuple[PathwayTable, ...]
    export: ExportTable = msgspec.field(default_factory=ExportTable)
    tolerance: ToleranceTable = msgspec.field(default_factory=ToleranceTable)
    train: TrainTable | None = None
    weights: dict[str, str] = msgspec.field(default_factory=dict)
    quality: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def width(self) -> int:
        """The channels at full resolution."""
        return self.network.width

    @property
    def smallest_side(self) -> int:
        """The fewest rows or columns of a frame, which leave one at the bottleneck."""
        return 1 << self.network.levels

    @property
    def remembers(self) -> bool:
        return self.network.temporal != "none"

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(pathway.head for pathway in self.pathways)

    def with_width(self, width: int | None) -> Recipe:
        """Return the same recipe at another width; None keeps the recipe's own."""
        if width is None or width == self.network.width:
            return self
        if width < 1:
            raise UsageError(
                f"width {width} is not a number of channels", hint="use 8, 16 or 32, for example"
            )
        network = msgspec.structs.replace(self.network, width=width)
        return msgspec.structs.replace(self, network=network)

    def trained_weights(self, folder: Path) -> Path | None:
        """Return the weight file trained at this width, or None when there is none.

        folder: where the recipe's file is.
        """
        name = self.weights.get(str(self.network.width))
        return None if name is None else folder / name


def folder(kind: Literal["export", "calibration"]) -> Path:
    """Return the folder of recipes: the checkout's when there is one, else the wheel's."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / kind
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    return Path(str(resources.files("edgeunet"))) / "_recipes" / kind


def recipe_names() -> tuple[str, ...]:
    """Return the names of the shipped recipes, sorted."""
    return tuple(sorted(path.stem for path in folder("export").glob("*.toml")))


def load_recipe(name_or_path: str) -> Recipe:
    """Return a shipped recipe by name, or any recipe by path.

    Raises UsageError for an unknown name, RecipeError for a file that cannot be read.
    """
    return read_recipe(recipe_path(name_or_path))


def recipe_path(name_or_path: str) -> Path:
    """Return the file of a shipped recipe by name, or of any recipe by path.

    Raises UsageError for an unknown name, RecipeError when there is no such file.
    """
    names = recipe_names()
    path = toml_at(name_or_path, "recipe", names)
    if path is not None:
        return path
    if name_or_path not in names:
        raise UsageError(
            f"there is no model {name_or_path!r}",
            hint=near_match(name_or_path, names)
            + f"known: {', '.join(names)}; or a path to a .toml recipe",
        )
    return folder("export") / f"{name_or_path}.toml"


def toml_at(name_or_path: str, what: str, names: Sequence[str]) -> Path | None:
    """Return the TOML file of a path, or None for a plain name.

    what: kind of its content, for the message.
    names: known names, for the message.
    Raises RecipeError when there is no such file.
    """
    if "/" not in name_or_path and not name_or_path.endswith(".toml"):
        return None
    path = Path(name_or_path)
    if not path.is_file():
        raise RecipeError(
            f"there is no {what} file {name_or_path!r}",
            hint=f"give a path to a .toml file, or one of: {', '.join(names)}",
        )
    return path


def read_recipe(path: Path) -> Recipe:
    """Read and check one recipe file."""
    try:
        recipe = read_toml(path, Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path.name} is not a valid recipe: {error}",
            hint="the fields are listed in export/README.md",
        ) from error
    problem = next(_problems(recipe), None)
    if problem is not None:
        raise RecipeError(
            f"{path.name} is not a valid recipe: {problem}",
            hint="the fields are listed in export/README.md",
        )
    return recipe


def _problems(recipe: Recipe) -> Iterator[str]:
    """Yield errors in a recipe's values; later checks rely on earlier ones."""
    if recipe.schema != SCHEMA_VERSION:
        yield f"schema is {recipe.schema}, this version reads {SCHEMA_VERSION}"
    if not _RECIPE_NAME.fullmatch(recipe.name):
        yield f"name {recipe.name!r} must be of a-z, 0-9 and '-', and not begin with '-'"
    yield from _network_problems(recipe.network)
    if not recipe.pathways:
        yield "it has no [[pathways]]"
    if recipe.network.skip == "aggregate" and recipe.network.cascade != "shared":
        yield "an aggregated skip is one map that all pathways share: cascade = 'shared'"
    yield from _temporal_problems(recipe)
    outputs = [pathway.output for pathway in recipe.pathways]
    if len(set(outputs)) != len(outputs):
        yield "two pathways have the same output name"
    for pathway in recipe.pathways:
        yield from _pathway_problems(pathway)
    smallest = 1 << recipe.network.levels
    if min(recipe.export.size) < smallest:
        yield f"[export] size must be at least {smallest} on both sides"
    for field, limit in msgspec.structs.asdict(recipe.tolerance).items():
        if not 0 < limit < math.inf:
            yield f"[tolerance] {field} must be a number above 0"
    if recipe.train is not None:
        yield from schedule_problems(recipe.train, outputs, smallest)
        if (recipe.network.temporal == "none") != (recipe.train.clips is None):
            yield "[train.clips] is for a network with temporal, and needed for one"
    for table, entries in (("weights", recipe.weights), ("quality", recipe.quality)):
        for width in entries:
            if not re.fullmatch("[1-9][0-9]*", width):
                yield f"[{table}] has the key {width!r}, which is not a width (a whole number)"


def _network_problems(network: NetworkTable) -> Iterator[str]:
    if not 1 <= network.levels <= MOST_LEVELS:
        yield f"encoder_blocks must name 1 to {MOST_LEVELS} levels"
    if len(network.decoder_blocks) != network.levels:
        yield "encoder_blocks and decoder_blocks must name the same levels"
    blocks = (*network.encoder_blocks, network.middle_blocks, *network.decoder_blocks)
    if min((*blocks, network.width)) < 1:
        yield "width and all numbers of blocks must be at least 1"
    if max(blocks) > MOST_BLOCKS:
        yield f"a number of blocks must be at most {MOST_BLOCKS}"
    if network.width > LARGEST_WIDTH:
        yield f"width must be at most {LARGEST_WIDTH}"
    # The output of an even kernel does not have the size of the frame.
    if network.head_kernel < 1 or network.head_kernel % 2 == 0:
        yield "head_kernel must be an odd number from 1"


def _temporal_problems(recipe: Recipe) -> Iterator[str]:
    """Yield what keeps a recipe from remembering frames."""
    network = recipe.network
    if network.temporal == "none":
        return
    if recipe.tasks.count(Task.DENOISE) != 1:
        yield "temporal keeps one denoised image: it needs one denoise pathway"
    if not network.stem or not network.image_residual:
        yield "temporal needs stem = true and image_residual = true"
    if network.levels < LEAST_TEMPORAL_LEVELS:
        yield f"temporal needs {LEAST_TEMPORAL_LEVELS} levels or more, for blocks of 8x8 pixels"


def _pathway_problems(pathway: PathwayTable) -> Iterator[str]:
    name = f"pathway {pathway.output!r}"
    if not _OUTPUT_NAME.fullmatch(pathway.output):
        yield f"output {pathway.output!r} must be of a-z, 0-9 and '_', and begin with a letter"
    if pathway.output == FRAME:
        yield f"an output cannot be called {FRAME!r}: that is the input"
    if pathway.head is not Task.DENOISE and not 2 <= len(pathway.classes) <= _MOST_CLASSES:
        yield f"{name} needs at least two classes, and at most {_MOST_CLASSES}"
    if pathway.head is Task.DENOISE and pathway.channels != 3:
        yield f"{name} must have 3 channels (RGB)"
    for entry in pathway.classes:
        if not entry.name.strip():
            yield f"{name} has a class without a name"
        if not all(0 <= value <= 255 for value in entry.colour):
            yield f"the colour of class {entry.name!r} must be three numbers from 0 to 255"
