"""Is one network for both tasks better than a pair of networks of the same total size?

    python -m benchmarks.joint_pair --photographs DIR --streets DIR --runs DIR [--limit N]
                                    [--mixed-precision bf16]

The shipped ``joint`` against a network that only denoises and one that only segments, each at the
width (13) at which both together are as large. The pair gets what ``joint`` got: ``unetmm``'s
training on photographs to begin with (one at their width, which both start from), and then
``joint``'s own schedule and images, each network by itself and for half of its steps, so that all
trainings of the pair are together as many steps. Trainings that were interrupted go on, those that
are finished in ``--runs`` are kept; all of them take some hours.

photographs: to train ``unetmm`` on. streets: a folder with ``train`` and ``val``, each with
``images`` and ``labels`` (CamVid's 11 classes). PSNR and mIoU over ``val``, on torch, with the same
noise for all. ``psnr_gain_db`` is of the shipped network over the pair, paired per frame, with the
half width of its 95 % interval; frames of one drive are alike, so the true interval is wider. One
training each: how much another seed would change is not in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.helpers.claim_arms import halves, pair_width
from benchmarks.helpers.record import write_csv
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.evaluate.evaluation import Levels, Result, evaluate
from edgeunet.evaluate.interval import estimate
from edgeunet.evaluate.named_set import open_data
from edgeunet.evaluate.protocol import NoiseKind
from edgeunet.evaluate.torch_backend import TorchBackend
from edgeunet.files import sha256_of
from edgeunet.models.counts import count
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.train.loop import train
from edgeunet.train.run_checks import weights_path
from edgeunet.train.run_images import read_data
from edgeunet.train.run_records import TrainingOptions

NAME = "joint_pair"
SIGMAS = (15.0, 30.0, 45.0, 60.0)
KINDS = (NoiseKind.FLOAT, NoiseKind.UINT8)
ROLES = ("denoiser", "labeller")

Network = tuple[Recipe, Path]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--streets", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="where trainings are kept")
    parser.add_argument("--limit", type=int, help="the first N frames of val")
    parser.add_argument("--mixed-precision", default="no", choices=("no", "bf16", "fp16"))
    arguments = parser.parse_args()
    joint = load_recipe("joint")
    shipped = shipped_weights(joint.name, joint)
    if shipped is None:
        parser.error("there are no shipped weights of joint")
    pair = trained_pair(joint, arguments)
    networks = [(joint, shipped), *pair]
    rows = [
        {**row, "joint_sha256": sha256_of(shipped)}
        for row in compare(networks, arguments.streets / "val", arguments.limit)
    ]
    path = write_csv(NAME, rows)
    print_table("joint against a pair", list(rows[0]), [[str(v) for v in r.values()] for r in rows])
    print(path)


def trained_pair(joint: Recipe, arguments: argparse.Namespace) -> list[Network]:
    """Return the pair, trained where it is not yet."""
    trunk = load_recipe("unetmm").with_width(pair_width(joint))
    begun = _trained(trunk, "unetmm", arguments.photographs, None, arguments)
    streets = arguments.streets / "train"
    return [
        (recipe, _trained(recipe, f"pair-{role}", streets, begun, arguments))
        for role, recipe in zip(ROLES, pair_recipes(joint), strict=True)
    ]


def pair_recipes(joint: Recipe) -> list[Recipe]:
    """Return the recipes that do apart what one does, of the same size, together as long."""
    found = []
    for role, recipe in zip(ROLES, halves(joint, pair_width(joint)), strict=True):
        table = recipe.train
        assert table is not None
        own = {p.output: table.weight(p.output) for p in recipe.pathways}
        table = msgspec.structs.replace(table, weights=own, steps=table.steps // 2)
        found.append(msgspec.structs.replace(recipe, name=f"pair-{role}", train=table))
    return found


def _trained(
    recipe: Recipe, run: str, folder: Path, init: Path | None, arguments: argparse.Namespace
) -> Path:
    out = arguments.runs / f"{run}-{recipe.network.width}"
    weights = weights_path(recipe, out)
    if weights.is_file():
        return weights
    assert recipe.train is not None
    note(f"training {run}")
    data = read_data([folder], recipe, recipe.train, notice=note)
    return train(
        recipe,
        data.training,
        out,
        TrainingOptions(
            validation=data.held_out,
            resume=True,
            init=init,
            mixed_precision=arguments.mixed_precision,
            report=lambda p: (
                note(f"{run}: step {p.step}, {p.loss:.4f}") if p.step % 500 == 0 else None
            ),
            notice=note,
        ),
    ).weights


def compare(
    networks: Sequence[Network], folder: Path, limit: int | None
) -> list[dict[str, object]]:
    """Return a row per noise and level. networks: joint, denoiser, labeller, with weights."""
    joint, denoiser, labeller = (_result(*network, folder, limit) for network in networks)
    together = count(networks[0][0])
    apart = [count(recipe) for recipe, _ in networks[1:]]
    rows: list[dict[str, object]] = []
    for mine, clean, labels in zip(joint.figures, denoiser.figures, labeller.figures, strict=True):
        assert mine.psnr_db is not None
        assert clean.psnr_db is not None
        assert mine.labels is not None
        assert labels.labels is not None
        gains = [
            one.psnr_db - other.psnr_db
            for one, other in zip(joint.rows, denoiser.rows, strict=True)
            if (one.noise, one.sigma) == (mine.noise, mine.sigma)
            and one.psnr_db is not None
            and other.psnr_db is not None
        ]
        gain = estimate(gains)
        assert gain is not None
        rows.append(
            {
                "noise": mine.noise,
                "sigma": f"{mine.sigma:g}",
                "frames": mine.images,
                "joint_psnr_db": round(mine.psnr_db.mean, 3),
                "pair_psnr_db": round(clean.psnr_db.mean, 3),
                "psnr_gain_db": round(gain.mean, 3),
                "half_width_db": "" if gain.half_width is None else round(gain.half_width, 3),
                "joint_miou_percent": round(100 * mine.labels.mean_iou, 2),
                "pair_miou_percent": round(100 * labels.labels.mean_iou, 2),
                "joint_params": together.params,
                "pair_params": sum(c.params for c in apart),
                "joint_kmac_per_pixel": round(together.macs_per_pixel / 1e3, 1),
                "pair_kmac_per_pixel": round(sum(c.macs_per_pixel for c in apart) / 1e3, 1),
            }
        )
    return rows


def _result(recipe: Recipe, weights: Path, folder: Path, limit: int | None) -> Result:
    note(f"{recipe.name}: {weights}")
    backend = TorchBackend(recipe, weights)
    return evaluate(
        backend,
        open_data(str(folder), backend.heads, frame=None, limit=limit),
        Levels(KINDS, SIGMAS),
    )


if __name__ == "__main__":
    main()
