"""The networks that each claim compares, at equal width, data and steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from torch import nn

from benchmarks.helpers.short_runs import Pair
from edgeunet.models.counts import count
from edgeunet.models.network import Network, build_network
from edgeunet.models.skips import GatedAdd
from edgeunet.recipes import NetworkTable, Recipe, load_recipe
from edgeunet.schedules import TrainTable

PHOTOGRAPHS, STREETS = "photographs", "streets"
SIGMAS = {PHOTOGRAPHS: (15.0, 25.0, 50.0), STREETS: (15.0, 30.0, 45.0, 60.0)}

_SCHEDULES = {
    PHOTOGRAPHS: TrainTable(steps=2000, batch=8, crop=64, statistics_until=0.75),
    STREETS: TrainTable(
        steps=1500,
        batch=3,
        crop=160,
        rotations=False,
        class_weights="sqrt-median",
        weights={"denoised": 1.0, "labels": 0.05},
        statistics_until=0.75,
    ),
}


@dataclass(frozen=True)
class Arm:
    """One of the networks compared. recipe: outputs and schedule. build: makes it from a seed."""

    name: str
    recipe: Recipe
    build: Callable[[int], nn.Module]
    params: int
    macs_per_pixel: float
    skip_elements_per_pixel: float


@dataclass(frozen=True)
class Claim:
    """A paper's statement. differences: (arm, against) pairs whose figures answer it."""

    name: str
    source: str
    question: str
    data: str
    arms: tuple[Arm, ...]
    differences: tuple[tuple[str, str], ...]


def claims(width: int = 8) -> dict[str, Claim]:
    """Return the claims that trainings answer, by name."""
    found = (_skips(width), _gate(width), _reentry((width, 2 * width)), _cascade(width))
    return {claim.name: claim for claim in (*found, _gates(width))}


def block_claim(widths: tuple[int, int]) -> Claim:
    """Return the claim on blocks. widths: of residual and NAF blocks that take equal time."""
    residual = _arm("residual", _of("unetmm", widths[0]))
    naf = _arm("naf", _of("unetmm-naf", widths[1]))
    return Claim(
        "block",
        "arXiv 2204.04676",
        "residual convolutions or NAF blocks, at equal time on this processor?",
        PHOTOGRAPHS,
        (residual, naf),
        (("residual", "naf"),),
    )


def _skips(width: int) -> Claim:
    nafnet = _shallow(load_recipe("nafnet"), width)
    # Both without and with the frame's re-entry, which is ours and not the paper's.
    plain = _network(_shallow(load_recipe("unetmm-full"), width), reentry=False)
    reentry = _shallow(load_recipe("unetmm-full"), width)
    return Claim(
        "skips",
        "arXiv 2412.18276",
        "is UNet-- as good as NAFNet with 1/15 of the skip memory?",
        PHOTOGRAPHS,
        (_arm("nafnet", nafnet), _arm("unet--", plain), _arm("unet-- with re-entry", reentry)),
        (("unet--", "nafnet"), ("unet-- with re-entry", "nafnet")),
    )


def _gate(width: int) -> Claim:
    gated = _of("addunet", width)
    concat = _network(gated, skip="concat")
    add = _network(gated, skip="add")
    return Claim(
        "gate",
        "arXiv 2601.13208",
        "is a gated addition as good as a concatenation?",
        PHOTOGRAPHS,
        (_arm("gated", gated), _arm("concatenated", concat), _arm("added", add)),
        (("gated", "concatenated"), ("gated", "added")),
    )


def _reentry(widths: tuple[int, ...]) -> Claim:
    arms, pairs = [], []
    for width in widths:
        recipe = _of("unetmm", width)
        names = f"with, width {width}", f"without, width {width}"
        arms += [_arm(names[0], recipe), _arm(names[1], _network(recipe, reentry=False))]
        pairs.append(names)
    return Claim(
        "reentry",
        "edgeunet",
        "what does it bring that the decoder sees the input frame again?",
        PHOTOGRAPHS,
        tuple(arms),
        tuple(pairs),
    )


def _cascade(width: int) -> Claim:
    labels = load_recipe("joint").pathways[1]
    arms = []
    for cascade in ("shared", "causal", "dense"):
        recipe = _of(f"umc-{cascade}", width, STREETS)
        pathways = (recipe.pathways[0], labels)
        arms.append(_arm(cascade, msgspec.structs.replace(recipe, pathways=pathways)))
    shared = arms[0]
    size = pair_width(shared.recipe)
    for name, chained in (("separate pair", False), ("chained pair", True)):
        arms.append(_pair_arm(name, shared.recipe, size, chained=chained))
    cascades = [arm.name for arm in arms[:3]]
    pairs = [(a, b) for a in cascades for b in ("separate pair", "chained pair")]
    return Claim(
        "cascade",
        "arXiv 2005.00225",
        "is one encoder with two decoders better than two networks of the same size?",
        STREETS,
        tuple(arms),
        (*pairs, ("dense", "shared"), ("causal", "shared")),
    )


def _gates(width: int) -> Claim:
    joint = _of("addunet-joint", width)
    assert joint.train is not None
    table = msgspec.structs.replace(
        joint.train,
        generated=800,
        labelled_share=0.5,
        class_weights="none",
        weights={"denoised": 1.0, "scores": 0.02},
    )
    joint = msgspec.structs.replace(joint, train=table)
    # The same images, half of them drawn, and the same steps: only nobody asks for the classes.
    alone = msgspec.structs.replace(
        joint, train=msgspec.structs.replace(table, weights={"denoised": 1.0, "scores": 0.0})
    )
    return Claim(
        "gates",
        "arXiv 2602.12649",
        "do the gates serve reconstruction near the surface when classes are asked for as well?",
        PHOTOGRAPHS,
        (_arm("denoise and classify", joint), _arm("denoise", alone)),
        (("denoise and classify", "denoise"),),
    )


def _of(name: str, width: int, data: str = PHOTOGRAPHS) -> Recipe:
    recipe = load_recipe(name).with_width(width)
    return msgspec.structs.replace(recipe, train=_SCHEDULES[data])


def _shallow(recipe: Recipe, width: int) -> Recipe:
    """One block per level: the SIDD depths do not learn in so few steps."""
    recipe = _of(recipe.name, width)
    return _network(
        recipe, encoder_blocks=(1, 1, 1, 1), middle_blocks=1, decoder_blocks=(1, 1, 1, 1)
    )


def _network(recipe: Recipe, **changes: object) -> Recipe:
    table: NetworkTable = msgspec.structs.replace(recipe.network, **changes)
    return msgspec.structs.replace(recipe, network=table)


def _arm(name: str, recipe: Recipe) -> Arm:
    counts = count(recipe)
    return Arm(
        name,
        recipe,
        lambda seed: build_network(recipe, seed=seed),
        counts.params,
        counts.macs_per_pixel,
        counts.skip_elements_per_pixel,
    )


def _pair_arm(name: str, cascade: Recipe, width: int, *, chained: bool) -> Arm:
    denoiser, labeller = halves(cascade, width)
    counts = [count(recipe) for recipe in (denoiser, labeller)]

    def build(seed: int) -> nn.Module:
        networks: list[Network] = []
        for offset, recipe in enumerate((denoiser, labeller)):
            networks.append(build_network(recipe, seed=2 * seed + offset))
        return Pair(*networks, chained=chained)

    return Arm(
        name,
        cascade,
        build,
        sum(entry.params for entry in counts),
        sum(entry.macs_per_pixel for entry in counts),
        # The second network runs after the first has let go of its skips.
        max(entry.skip_elements_per_pixel for entry in counts),
    )


def halves(joint: Recipe, width: int) -> tuple[Recipe, Recipe]:
    """Return the two networks that do apart, at some width, what the pathways of one do."""
    recipe = _network(joint, width=width, cascade="shared")
    one, two = (msgspec.structs.replace(recipe, pathways=(p,)) for p in recipe.pathways)
    return one, two


def pair_width(joint: Recipe) -> int:
    """Return the width at which two networks have about as many parameters as one with both."""
    params = count(joint).params

    def size(width: int) -> int:
        return sum(count(recipe).params for recipe in halves(joint, width))

    return min(range(2, joint.network.width + 1), key=lambda width: abs(size(width) - params))


def with_schedule(recipe: Recipe, seed: int, steps: int | None) -> Recipe:
    """Return the recipe with a seed for its batches, and other steps if given."""
    assert recipe.train is not None
    table = msgspec.structs.replace(
        recipe.train, seed=seed, **({} if steps is None else {"steps": steps})
    )
    return msgspec.structs.replace(recipe, train=table)


def gates_of(network: nn.Module) -> dict[str, float]:
    """Return the learned factor of every gated skip by level; level 0 is the finest."""
    return {
        f"level {name.rpartition('.')[2]}": float(module.alphas.detach().float().mean())
        for name, module in network.named_modules()
        if isinstance(module, GatedAdd)
    }
