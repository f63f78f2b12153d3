"""Methods of ``camera.py``: networks in torch and as bundles, and what people use without one.

Each takes a photograph as a camera hands it over, (3, H, W) uint8, RGB, and returns the same type.
White noise in floats is for networks in torch alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.helpers.camera_rows import BM3D, FP32_BUNDLE, GRIDS, INT8_BUNDLE, NLM, NOISY
from benchmarks.helpers.denoisers import Bm3d, NetworkDenoiser, NonLocalMeans
from edgeunet.bundle import Bundle
from edgeunet.choosing.int8 import int8_order
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.convert.exporting import ExportOrder, export_bundle
from edgeunet.evaluate.backends import BundleBackend
from edgeunet.evaluate.protocol import Planes
from edgeunet.pixels import as_bytes, as_floats
from edgeunet.recipes import Recipe, load_recipe, recipe_names
from edgeunet.run.executor import Executor
from edgeunet.specs import Precision, Task

NETWORKS = (("unetmm", 8), ("unetmm", 16), ("unetmm-base", 16), ("joint", 16))
TORCH = "torch fp32"

# In 8-bit units, of the mean.
_COLOUR_STEPS = 3.0

Run = Callable[[Planes], Planes]


@dataclass(frozen=True)
class Method:
    """Something that denoises, not yet loaded.

    name: as in the table. form: what computes it. setting: the strength it is told, in words.
    slow: measured on some images alone. takes_floats: whether white noise in floats may go in.
    load: returns what runs it. frame: the size that it is checked on.
    """

    name: str
    form: str
    load: Callable[[], Run]
    setting: str = ""
    weights: Path | None = None
    slow: bool = False
    takes_floats: bool = False
    frame: tuple[int, int] = (64, 64)

    def open(self) -> Run:
        """Load; SystemExit unless a colour comes back as it was, but for a few steps.

        A wrong order of channels is not seen in grey. Red rises from left to right and green from
        top to bottom, because bm3d_rgb divides by the range of every channel that it makes.
        """
        run = self.load()
        height, width = self.frame
        image = np.empty((3, height, width), np.uint8)
        image[0] = np.linspace(160, 200, width)
        image[1] = np.linspace(100, 140, height)[:, None]
        image[2] = 70
        wanted, given = (planes.mean(axis=(1, 2)) for planes in (image, run(image)))
        if np.abs(given - wanted).max() > _COLOUR_STEPS:
            raise SystemExit(
                f"{self.name}, {self.form}: the colour {wanted.round(1)} came back as "
                f"{given.round(1)}"
            )
        return run


@dataclass(frozen=True)
class Network:
    """Weights of a recipe at a width. name: of its rows."""

    name: str
    recipe: Recipe
    weights: Path


def shipped_networks() -> list[Network]:
    """Return NETWORKS with the weights that ship."""
    found = []
    for name, width in NETWORKS:
        recipe = load_recipe(name).with_width(width)
        weights = shipped_weights(name, recipe)
        if weights is None or not weights.is_file():
            raise SystemExit(f"there are no shipped weights of {name} at width {width}")
        found.append(Network(f"{name}-{width}", recipe, weights))
    return found


def given_network(text: str) -> Network:
    """Read ``NAME-WIDTH=FILE``; its rows are named after both. Raises SystemExit for others."""
    subject, equals, file = text.partition("=")
    name, _, width = subject.rpartition("-")
    if not equals or name not in recipe_names() or not width.isdecimal() or int(width) < 1:
        raise SystemExit(f"{text!r} is not NAME-WIDTH=FILE; names: {', '.join(recipe_names())}")
    path = Path(file)
    if not path.is_file():
        raise SystemExit(f"there is no file {file!r}")
    return Network(f"{subject} {path.stem}", load_recipe(name).with_width(int(width)), path)


def methods(
    networks: Sequence[Network], folder: Path | None, size: tuple[int, int]
) -> list[Method]:
    """Return everything that is compared, quick ones first.

    folder: where bundles are written, for frames of ``size``; None for no bundles.
    """
    found = [Method(NOISY, "", lambda: _unchanged, takes_floats=True)]
    found += [
        Method(n.name, TORCH, functools.partial(_in_torch, n), weights=n.weights, takes_floats=True)
        for n in networks
    ]
    if folder is not None:
        found += [
            Method(
                n.name,
                form,
                functools.partial(_as_bundle, n, form, folder, size),
                weights=n.weights,
                frame=size,
            )
            for n in networks
            for form in (FP32_BUNDLE, INT8_BUNDLE)
        ]
    for name, form, load, slow in (
        (NLM, "opencv", _non_local_means, False),
        (BM3D, "bm3d", _bm3d, True),
    ):
        grid = GRIDS[name]
        found += [
            Method(name, form, functools.partial(load, float(strength)), setting, slow=slow)
            for strength, setting in zip(grid.strengths, grid.settings, strict=True)
        ]
    return found


def _unchanged(noisy: Planes) -> Planes:
    return noisy


def _in_torch(network: Network) -> Run:
    """Load a network; SystemExit when it does not denoise flat grey."""
    denoiser = NetworkDenoiser(network.recipe, network.weights)
    denoiser.prepare((), ())
    return lambda noisy: denoiser.denoise(noisy, 0.0)


def _as_bundle(network: Network, form: str, folder: Path, size: tuple[int, int]) -> Run:
    """Export as ``edgeunet export`` does, with its parity check, and load the bundle."""
    precision = Precision.FP32 if form == FP32_BUNDLE else Precision.INT8
    int8 = None
    if precision is Precision.INT8:
        # Ranges that do not ship are measured for this run alone, not kept beside the set.
        int8 = replace(int8_order(network.recipe), folder=folder)
    order = ExportOrder(network.recipe, *size, precision, network.weights, int8=int8)
    target = folder / f"{network.name.replace(' ', '-')}-{precision}.bundle"
    bundle: Bundle = export_bundle(order, target, open_runner=Executor).bundle
    backend = BundleBackend(bundle.path, threads=1)

    def run(noisy: Planes) -> Planes:
        denoised = backend.run(noisy).denoised
        assert denoised is not None
        return denoised

    return run


def _non_local_means(strength: float) -> Run:
    denoiser = NonLocalMeans()
    cv2.setNumThreads(1)
    # Without a search its strength is the sigma it is given.
    return lambda noisy: denoiser.denoise(noisy, strength)


def _bm3d(sigma: float) -> Run:
    denoiser = Bm3d()
    denoiser.prepare((), ())

    def run(noisy: Planes) -> Planes:
        return as_bytes(denoiser.denoise(as_floats(noisy), sigma))

    return run


def check_networks(networks: Sequence[Network]) -> None:
    """Refuse a network without a denoised image, before anything is measured."""
    for network in networks:
        if Task.DENOISE not in network.recipe.tasks:
            raise SystemExit(f"{network.name} does not denoise")
