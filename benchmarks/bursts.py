"""Is training on bursts as good as training on clean images of the same scenes?

    python -m benchmarks.bursts --photographs FOLDER [--coding none|camera] [--steps N]

Bursts are made by ``edgeunet/camera/chain.py``, so the clean image is known: photographs, each
through one of six fixed cameras (shot noise of gain 2e-3 or more: noise that is seen), several
shots with noise of their own. ``unetmm-awgn`` at width 8, which knows white noise alone, is trained
from its shipped weights, or those of ``--init``, with the schedule of ``--bursts``:

- ``clean``: shots as inputs, the clean image of the same camera as target;
- ``clean, squares``: the same with the loss that bursts have, the root of each crop's mean square;
- ``bursts``: shots as inputs, other shots as targets, as ``edgeunet train --bursts`` does it;
- ``bursts, image_loss``: the same with the absolute difference, as for clean targets;
- ``same shot``: a control that must fail: the target is the input itself.

All see the same scenes, steps and schedule. ``results/bursts.csv`` has PSNR on scenes that were not
trained on, through the same cameras: to the clean image, and to the mean of 16 more shots. What
JPEG and H.264 do to every shot alike is in that mean, but not in the clean image. ``--coding none``
has cameras that write files without loss, where the two are nearly the same.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.camera.chain import MARGIN, Shot, draw_shot, take
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.models.network import Network, build_network
from edgeunet.photographs import Photograph, fill_frame, list_images, read_photograph
from edgeunet.pixels import Floats, as_bytes
from edgeunet.recipes import Recipe, load_recipe
from edgeunet.schedules import CameraTable
from edgeunet.train import losses
from edgeunet.train.burst_pairs import Burst, with_bursts
from edgeunet.train.initial import load_matching
from edgeunet.train.loop import train
from edgeunet.train.run_records import TrainingOptions
from edgeunet.train.samples import Sample
from edgeunet.train.stillness import check_still
from edgeunet.train.validation import validate

Row = dict[str, object]

NAME = "bursts"
ARMS = ("clean", "clean, squares", "bursts", "bursts, image_loss", "same shot")
LIMIT_DB = 0.3
_RECIPE = "unetmm-awgn"
_CAMERAS = 6
_IN_MEAN = 16
_GAIN = (2e-3, 2e-2)
_LENS = (0.0, 1.5)
_SIDE = 256


@dataclass(frozen=True)
class Scene:
    """shots: (S, H, W, 3) uint8. clean: (H, W, 3) uint8, what the camera gives without noise.

    mean: (H, W, 3) uint8, of more shots.
    """

    shots: NDArray[np.uint8]
    clean: Photograph
    mean: Photograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="weights to begin with; the shipped ones")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--held-out", type=int, default=6)
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--arms", type=lambda text: text.split(";"), default=list(ARMS))
    parser.add_argument("--coding", choices=("none", "camera"), default="none")
    parser.add_argument("--mixed-precision", default="bf16")
    arguments = parser.parse_args()
    recipe = load_recipe(_RECIPE).with_width(8)
    init = arguments.init or shipped_weights(_RECIPE, recipe)
    if init is None:
        parser.error("there are no shipped weights: give --init")
    recipe = with_bursts(recipe, arguments.steps, beside_images=False)
    count = arguments.scenes + arguments.held_out
    scenes = make_scenes(arguments.photographs, count, arguments.shots, arguments.coding)
    training, held_out = scenes[: arguments.scenes], scenes[arguments.scenes :]
    begun = build_network(recipe)
    load_matching(begun, init)
    path = RESULTS / f"{NAME}.csv"
    known = read_csv(path) if path.is_file() else []
    others = [row for row in known if row["coding"] != arguments.coding]
    about = {
        "coding": arguments.coding,
        "scenes": len(training),
        "shots": arguments.shots,
        "held_out": len(held_out),
        "cameras": _CAMERAS,
        "mixed_precision": arguments.mixed_precision,
    }
    noisy: Row = {"arm": "noisy", "steps": 0, **figures(Unchanged(), recipe, held_out)}
    rows: list[Row] = [noisy, {"arm": "before", "steps": 0, **figures(begun, recipe, held_out)}]
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        for arm in arguments.arms:
            note(arm)
            out = Path(scratch) / str(ARMS.index(arm))
            network = trained(arm, recipe, training, out, init, arguments.mixed_precision)
            rows.append(
                {"arm": arm, "steps": arguments.steps, **figures(network, recipe, held_out)}
            )
            facts = provenance()
            write_csv(path, [*others, *({**about, **row, **facts} for row in rows)], {})
    print_table("bursts", list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    note(f"wrote {path}")
    by_arm = {str(row["arm"]): row for row in rows}
    for rival in ("clean", "clean, squares"):
        if {rival, "bursts"} <= set(by_arm):
            best, own = (float(str(by_arm[arm]["psnr_clean_db"])) for arm in (rival, "bursts"))
            verdict = "kept" if best - own <= LIMIT_DB else "MISSED"
            note(f"{rival} - bursts: {best - own:.2f} dB; limit {LIMIT_DB:g} dB: {verdict}")


def make_scenes(folder: Path, count: int, shots: int, coding: str) -> list[Scene]:
    """Return so many scenes, (256, 256), every sixth through the same camera."""
    generator = np.random.default_rng(2018)
    table = CameraTable(gain=_GAIN, lens=_LENS)
    if coding == "none":
        table = CameraTable(gain=_GAIN, lens=_LENS, jpeg_share=0, h264_share=0)
    cameras = [draw_shot(table, (_SIDE, _SIDE), generator) for _ in range(_CAMERAS)]
    scenes = []
    for index, path in enumerate(list_images(folder, notice=note)[:count]):
        camera = cameras[index % _CAMERAS]
        photograph = fill_frame(read_photograph(path), *camera.sensor_size)
        scene = _scene(photograph, camera, shots, generator)
        check_still(path.name, scene.shots, range(1, shots + 1))
        scenes.append(scene)
    return scenes


def _scene(
    photograph: Photograph, camera: Shot, shots: int, generator: np.random.Generator
) -> Scene:
    taken = [take(photograph, camera, generator) for _ in range(shots + _IN_MEAN)]
    clean = _bytes(taken[0][1])
    noisy = np.stack([_bytes(shot) for shot, _ in taken])
    mean = np.rint(noisy[shots:].mean(axis=0)).astype(np.uint8)
    return Scene(noisy[:shots], clean, mean)


def _bytes(image: Floats) -> Photograph:
    return as_bytes(image[MARGIN:-MARGIN, MARGIN:-MARGIN])


def trained(
    arm: str, recipe: Recipe, scenes: Sequence[Scene], out: Path, init: Path, mixed_precision: str
) -> Network:
    """Train one arm and return the network."""
    samples: list[Sample] = []
    bursts: list[Burst] = []
    if arm in ("clean", "clean, squares"):
        samples = [Sample(s.clean, noisy=shot) for s in scenes for shot in s.shots]
    elif arm == "same shot":
        samples = [Sample(shot, noisy=shot) for s in scenes for shot in s.shots]
    else:
        bursts = [Burst(str(index), scene.shots) for index, scene in enumerate(scenes)]
    with _loss_of(arm):
        outcome = train(
            recipe,
            samples,
            out,
            TrainingOptions(bursts=bursts, init=init, mixed_precision=mixed_precision),
        )
    network = build_network(recipe)
    load_matching(network, outcome.weights)
    return network


@contextlib.contextmanager
def _loss_of(arm: str) -> Iterator[None]:
    replaced = {
        "bursts, image_loss": ("noisy_target_loss", losses.image_loss),
        "clean, squares": ("image_loss", losses.noisy_target_loss),
    }
    if arm not in replaced:
        yield
        return
    with mock.patch.object(losses, *replaced[arm]):
        yield


class Unchanged(nn.Module):
    """Gives what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"denoised": image}


def figures(network: nn.Module, recipe: Recipe, scenes: Sequence[Scene]) -> dict[str, float]:
    """Return PSNR of two shots of every scene: to the clean image, and to the mean of others."""
    network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    seen = [(scene, shot) for scene in scenes for shot in scene.shots[:2]]
    clean = [Sample(scene.clean, noisy=shot) for scene, shot in seen]
    means = [Sample(scene.mean, noisy=shot) for scene, shot in seen]
    return {
        "psnr_clean_db": _psnr(network, recipe, clean),
        "psnr_mean_db": _psnr(network, recipe, means),
    }


def _psnr(network: nn.Module, recipe: Recipe, samples: Sequence[Sample]) -> float:
    figures = validate(network, recipe.pathways, samples, lambda clean, generator: clean)
    return round(figures["psnr_db"], 3)


if __name__ == "__main__":
    main()
