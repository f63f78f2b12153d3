"""Who denoises: the shipped networks, and what people use without one. Each on two threads.

Networks are run in torch FP32, which takes float noise; what they cost is that of their FP32
bundle on onnxruntime. OpenCV's non-local means takes 8-bit images alone, and has no setting for
sigma: its strength is searched. BM3D is told sigma.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.convert.exporting import ExportOrder, export_bundle
from edgeunet.evaluate.protocol import NoiseKind, Planes, add_noise
from edgeunet.evaluate.torch_backend import TorchBackend
from edgeunet.metrics import psnr_db
from edgeunet.models.counts import count
from edgeunet.noise_models import add_gaussian
from edgeunet.recipes import Recipe, load_recipe, recipe_names
from edgeunet.run.executor import Executor
from edgeunet.run.measured import Measurement, ask, measure, measure_runs
from edgeunet.specs import Precision, Task

THREADS = 2
COST_SIZE = (512, 768)
MEGAPIXEL = 1e6

# Of sigma: the search's grid for the strength of non-local means.
STRENGTHS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
SEARCHED_IMAGES = 3

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Cost:
    """kmac_per_pixel: thousands of multiply-accumulates. peak_bytes: measured above what was
    loaded, on a frame of COST_SIZE. None where it is not known, or measured elsewhere.
    """

    kmac_per_pixel: float | None = None
    seconds_per_megapixel: float | None = None
    peak_bytes: int | None = None


class Denoiser(Protocol):
    """name: of its rows. kinds: the noise it takes. slow: not for every image without being asked
    to.
    """

    name: str
    kinds: tuple[NoiseKind, ...]
    slow: bool

    def prepare(self, images: Sequence[Image], sigmas: Sequence[float]) -> None:
        """Look at what it is going to be measured on: images, (3, H, W) uint8, RGB."""
        ...

    def setting(self, sigma: float) -> str:
        """Return what was chosen for a level, in words."""
        ...

    def denoise(self, noisy: Planes, sigma: float) -> Planes:
        """Return (3, H, W), RGB, of the type that was given."""
        ...

    def cost(self) -> Cost: ...


class NetworkDenoiser:
    """A recipe at a width with shipped weights."""

    kinds: tuple[NoiseKind, ...] = (NoiseKind.FLOAT, NoiseKind.UINT8)
    slow = False

    def __init__(self, recipe: Recipe, weights: Path) -> None:
        self.name = f"{recipe.name}-{recipe.network.width}"
        self._recipe = recipe
        self._weights = weights

    def prepare(self, images: Sequence[Image], sigmas: Sequence[float]) -> None:
        """Stop when the weights do not denoise at all."""
        flat = np.full((3, 64, 64), 0.5, np.float32)
        noisy = add_gaussian(flat, 25.0, np.random.default_rng(0))
        gain = psnr_db(self.denoise(noisy, 25.0), flat) - psnr_db(noisy, flat)
        if gain < 10:
            raise SystemExit(f"on flat grey {self.name} gains only {gain:.1f} dB: wrong weights?")

    def setting(self, sigma: float) -> str:
        return "blind, torch FP32"

    def denoise(self, noisy: Planes, sigma: float) -> Planes:
        denoised = self._backend.run(noisy).denoised
        if denoised is None:
            raise SystemExit(f"{self.name} does not denoise")
        return denoised

    def cost(self) -> Cost:
        """Measure an FP32 bundle that agrees with torch, whole frames, in a fresh process."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.bundle"
            order = ExportOrder(self._recipe, *COST_SIZE, Precision.FP32, self._weights)
            export_bundle(order, path, open_runner=Executor)
            measured = measure(path, threads=THREADS)
        # The first two frames still fill caches.
        seconds = median(measured.frames_seconds[2:])
        return Cost(
            count(self._recipe).macs_per_pixel / 1e3,
            seconds / (COST_SIZE[0] * COST_SIZE[1] / MEGAPIXEL),
            measured.measured_bytes,
        )

    @functools.cached_property
    def _backend(self) -> TorchBackend:
        return TorchBackend(self._recipe, self._weights)


class NonLocalMeans:
    """``cv2.fastNlMeansDenoisingColored``, windows of 7 and 21 pixels."""

    name = "fastNlMeans"
    kinds: tuple[NoiseKind, ...] = (NoiseKind.UINT8,)
    slow = False

    def __init__(self) -> None:
        self._chosen: dict[float, float] = {}
        cv2.setNumThreads(THREADS)

    def prepare(self, images: Sequence[Image], sigmas: Sequence[float]) -> None:
        """Choose the strength with the highest mean PSNR on the first images, in its favour."""
        for sigma in sigmas:
            found = {}
            for strength in STRENGTHS:
                self._chosen[sigma] = strength
                found[strength] = np.mean(
                    [
                        psnr_db(
                            self.denoise(
                                add_noise(image, NoiseKind.UINT8, sigma, seed=0, index=i), sigma
                            ),
                            image,
                            peak=255,
                        )
                        for i, image in enumerate(images[:SEARCHED_IMAGES])
                    ]
                )
            self._chosen[sigma] = max(found, key=lambda strength: found[strength])

    def setting(self, sigma: float) -> str:
        grid = f"{STRENGTHS[0]:g}..{STRENGTHS[-1]:g}"
        return (
            f"h = hColor = {self._chosen[sigma]:g} sigma, the best of {len(STRENGTHS)} in {grid} "
            f"on the first {SEARCHED_IMAGES} images"
        )

    def denoise(self, noisy: Planes, sigma: float) -> Planes:
        strength = sigma * self._chosen.get(sigma, 1.0)
        frame = np.ascontiguousarray(noisy[::-1].transpose(1, 2, 0))
        denoised = cv2.fastNlMeansDenoisingColored(frame, None, strength, strength, 7, 21)
        return np.ascontiguousarray(denoised[:, :, ::-1].transpose(2, 0, 1), dtype=np.uint8)

    def cost(self) -> Cost:
        return Cost(peak_bytes=_peak_bytes(self.name))


class Bm3d:
    """``bm3d.bm3d_rgb`` of the method's authors, profile np, opponent colours, sigma known."""

    name = "BM3D"
    kinds: tuple[NoiseKind, ...] = (NoiseKind.FLOAT,)
    slow = True

    def prepare(self, images: Sequence[Image], sigmas: Sequence[float]) -> None:
        importlib.import_module("bm3d")

    def setting(self, sigma: float) -> str:
        return "sigma known, profile np, opponent colours"

    def denoise(self, noisy: Planes, sigma: float) -> Planes:
        bm3d: Any = importlib.import_module("bm3d")
        found: Planes = bm3d.bm3d_rgb(noisy.transpose(1, 2, 0), sigma / 255)
        clipped: Planes = np.clip(found, 0, 1).astype(np.float32).transpose(2, 0, 1)
        return clipped

    def cost(self) -> Cost:
        return Cost(peak_bytes=_peak_bytes(self.name))


def denoisers() -> dict[str, Denoiser]:
    """Return name -> every network with shipped weights that denoises, and the methods without."""
    found: list[Denoiser] = []
    for name in recipe_names():
        recipe = load_recipe(name)
        for width in sorted(int(text) for text in recipe.weights):
            sized = recipe.with_width(width)
            weights = shipped_weights(name, sized)
            if Task.DENOISE in recipe.tasks and weights is not None and weights.is_file():
                found.append(NetworkDenoiser(sized, weights))
    found += [NonLocalMeans(), Bm3d()]
    return {denoiser.name: denoiser for denoiser in found}


def _peak_bytes(name: str) -> int:
    answer = ask("benchmarks.helpers.denoisers", {"name": name}, timeout_seconds=1800)
    return Measurement.read(answer).measured_bytes


def _main(order: str) -> None:
    """Measure one image of a method without a network, in this process alone."""
    alone: tuple[Denoiser, ...] = (NonLocalMeans(), Bm3d())
    denoiser = {one.name: one for one in alone}[json.loads(order)["name"]]
    generator = np.random.default_rng(0)
    clean = generator.integers(0, 256, (3, *COST_SIZE), dtype=np.uint8)
    noisy = add_noise(clean, denoiser.kinds[0], 25.0, seed=0, index=0)
    denoiser.prepare([], ())
    measured = measure_runs(lambda: denoiser.denoise(noisy, 25.0), denoiser.name, 1)
    sys.stdout.write("\n" + json.dumps(asdict(measured)) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1])
