"""What does INT8 lose of trained networks of others, with ranges of one's own frames?

    python -m benchmarks.foreign_int8 --own BSD --held-out KODAK [--steps 300] [--size 192x256]

Five networks: the text detector in the wheel of rapidocr-onnxruntime (exported by PaddlePaddle),
our shipped ``unetmm`` and ``addunet`` as torch modules that somebody brings, and ESPCN for twice
the size and DnCNN, which are trained here on the own pictures first. Ranges are measured on the own
pictures, losses on those held out. Pictures for the detector have lines of text drawn on them; its
figure is how much of the text area both precisions find, over what either finds. Those of the
others are PSNR to the picture.
Every FP32 bundle is compared with its network before, which the export does.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import edgeunet
from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from edgeunet.choosing.networks import choose_weights
from edgeunet.cli.console import print_table
from edgeunet.convert.network_graph import network_for_export
from edgeunet.errors import EdgeUnetError
from edgeunet.metrics import psnr_db
from edgeunet.photographs import list_images, read_photograph
from edgeunet.recipes import load_recipe
from edgeunet.specs import Image
from edgeunet.units import format_size, parse_size

_CSV = "foreign_int8.csv"
_SEED = 9
_SIGMA = 25.0
_WORDS = ("HOTEL", "exit 24", "Main Street", "No parking", "SALE 50 %", "Platform 3")
Size = tuple[int, int]
# (what the network sees, what its answer is compared with) of a picture, BGR.
Prepare = Callable[[Image, Size, np.random.Generator], tuple[Image, Image]]


class ESPCN(nn.Module):
    """Shi et al. 2016: three convolutions, then a shuffle. (N, 3, H, W) RGB to twice the size."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, x: Tensor) -> Tensor:
        large: Tensor = self.layers(x)
        return large + F.interpolate(x, scale_factor=2.0, mode="nearest")


class DnCNN(nn.Module):
    """Zhang et al. 2017: the noise is what is computed. (N, 3, H, W) RGB."""

    def __init__(self, width: int = 24, depth: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = x - self.layers(x)
        return image


class Denoiser(nn.Module):
    """A shipped denoiser as its torch module alone, without what its recipe says of INT8."""

    def __init__(self, name: str) -> None:
        super().__init__()
        recipe = load_recipe(name)
        self.network = network_for_export(recipe, choose_weights(name, recipe))

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = self.network(x)["denoised"]
        return image


Seen = Callable[[Tensor], Tensor]
"""Makes what a network sees of clean crops, (N, 3, H, W) RGB 0..1."""


def halved(crops: Tensor) -> Tensor:
    return F.avg_pool2d(crops, 2)


def noisy(crops: Tensor) -> Tensor:
    return crops + _SIGMA / 255 * torch.randn_like(crops)


def train(make: Callable[[], nn.Module], seen: Seen, paths: list[Path], steps: int) -> nn.Module:
    """Return a network trained on crops of pictures, Adam, mean absolute error."""
    torch.manual_seed(_SEED)
    generator = np.random.default_rng(_SEED)
    pictures = [read_photograph(path) for path in paths]
    network = make()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / steps) + 1e-5
        crops = [
            _crop(pictures[generator.integers(len(pictures))], 64, generator) for _ in range(8)
        ]
        large = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
        loss = F.l1_loss(network(seen(large)), large)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 200 == 0:
            print(f"step {step}: {float(loss.detach()):.4f}", flush=True)
    return network.eval()


def _crop(picture: Image, side: int, generator: np.random.Generator) -> Image:
    top = int(generator.integers(picture.shape[0] - side + 1))
    left = int(generator.integers(picture.shape[1] - side + 1))
    return picture[top : top + side, left : left + side]


def _centre(picture: Image, size: Size) -> Image:
    top, left = ((whole - side) // 2 for whole, side in zip(picture.shape, size, strict=False))
    return np.ascontiguousarray(picture[top : top + size[0], left : left + size[1]])


def small_and_large(
    picture: Image, size: Size, generator: np.random.Generator
) -> tuple[Image, Image]:
    if picture.shape[0] < 2 * size[0] or picture.shape[1] < 2 * size[1]:
        # Good enough for ranges, which need no larger picture to compare with.
        small = _centre(picture, size)
        return small, small
    large = _centre(picture, (2 * size[0], 2 * size[1]))
    cells = large.reshape(size[0], 2, size[1], 2, 3).mean(axis=(1, 3))
    return np.rint(cells).astype(np.uint8), large


def noisy_and_clean(
    picture: Image, size: Size, generator: np.random.Generator
) -> tuple[Image, Image]:
    clean = _centre(picture, size)
    noisy = clean + generator.normal(0, _SIGMA, clean.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), clean


def with_text(picture: Image, size: Size, generator: np.random.Generator) -> tuple[Image, Image]:
    image = _centre(picture, size)
    for line in range(3):
        place = (int(generator.integers(5, 60)), 40 + 55 * line)
        colour = (255, 255, 255) if image[: place[1]].mean() < 128 else (0, 0, 0)
        word = _WORDS[int(generator.integers(len(_WORDS)))]
        cv2.putText(image, word, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, 2, cv2.LINE_AA)
    return image, image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own", required=True, help="folder of one's own pictures")
    parser.add_argument("--held-out", required=True, help="folder of pictures to measure on")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--frames", type=int, default=32, help="of the calibration set")
    parser.add_argument("--only", nargs="*", default=(), help="networks, by name; keeps the others")
    arguments = parser.parse_args()
    own, held_out = (
        list_images(Path(folder), notice=print) for folder in (arguments.own, arguments.held_out)
    )
    facts, size = provenance(), parse_size(arguments.size)
    rows: list[dict[str, object]] = []
    if arguments.only and (RESULTS / _CSV).exists():
        rows = [row for row in read_csv(RESULTS / _CSV) if row["network"] not in arguments.only]
    for name, make, words, prepare in _networks(own, arguments.steps):
        if arguments.only and name not in arguments.only:
            continue
        network = make()
        with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
            row = _measure(network, words, prepare, own, held_out, size, arguments.frames, folder)
        rows.append({"network": name, "size": format_size(*size), **row})
        write_csv(RESULTS / _CSV, rows, facts)
    print_table(
        f"INT8 of networks of others at {arguments.size}",
        ("network", "measure", "fp32", "int8", "loss"),
        [
            tuple(str(row[key]) for key in ("network", "measure", "fp32", "int8", "loss"))
            for row in rows
        ],
        text_columns=2,
    )


def _detector() -> Path:
    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("rapidocr-onnxruntime is not installed: it has the detector")
    models = Path(next(iter(found.submodule_search_locations))) / "models"
    return next(iter(sorted(models.glob("*det_infer.onnx"))))


def _networks(
    own: list[Path], steps: int
) -> Iterator[tuple[str, Callable[[], Any], dict[str, Any], Prepare]]:
    words = {
        "inputs": {"x": "bgr,mean=0.485,0.456,0.406,std=0.229,0.224,0.225"},
        "outputs": {"sigmoid_0.tmp_0": "logits,threshold=0.3"},
    }
    yield "PP-OCRv4 detector", _detector, words, with_text
    for name in ("unetmm", "addunet"):
        module = partial(Denoiser, name)
        yield f"{name} as a module", module, {}, noisy_and_clean
    yield "ESPCN x2", lambda: train(ESPCN, halved, own, steps), {}, small_and_large
    yield "DnCNN", lambda: train(DnCNN, noisy, own, steps), {}, noisy_and_clean


def _measure(
    network: Any,
    words: Mapping[str, Any],
    prepare: Prepare,
    own: list[Path],
    held_out: list[Path],
    size: Size,
    frames: int,
    folder: str,
) -> dict[str, object]:
    """Return the figures of a network in both precisions."""
    pictures = Path(folder) / "own"
    pictures.mkdir()
    for number, (seen, _) in enumerate(_prepared(own[:frames], prepare, size)):
        cv2.imwrite(str(pictures / f"{number}.png"), seen)
    made = edgeunet.make_calibration_set(
        pictures, "own", folder=Path(folder) / "sets", size=size, sigmas=(0.0,)
    )
    pairs = list(_prepared(held_out, prepare, size))
    answers, facts = {}, None
    for precision in ("fp32", "int8"):
        target = Path(folder) / f"{precision}.bundle"
        calibration = made.path if precision == "int8" else None
        try:
            bundle = edgeunet.export(
                network,
                size=size,
                precision=precision,
                out=target,
                **words,
                calibration=calibration,
            )
        except EdgeUnetError as error:
            return {"measure": "refused", "fp32": "", "int8": "", "loss": error.message}
        facts = bundle.manifest.quantization
        with edgeunet.open_bundle(target) as loaded:
            name = loaded.outputs[0]
            answers[precision] = [loaded.run(seen)[name] for seen, _ in pairs]
    assert facts is not None
    row: dict[str, object] = {
        "frames": len(made.calibration.members),
        "held_out": len(pairs),
        "calibrator": facts.calibrator,
        "convolutions": f"{facts.convolutions[0]} of {facts.convolutions[1]}",
    }
    if answers["fp32"][0].ndim == 2:
        both = sum(int(((a == 1) & (b == 1)).sum()) for a, b in zip(*answers.values(), strict=True))
        any_ = sum(int(((a == 1) | (b == 1)).sum()) for a, b in zip(*answers.values(), strict=True))
        other = float(np.mean([np.mean(a != b) for a, b in zip(*answers.values(), strict=True)]))
        found = 100 * both / max(any_, 1)
        return {
            **row,
            "measure": "text area found by both, %",
            "fp32": 100.0,
            "int8": round(found, 2),
            "loss": round(100 - found, 2),
            "other_labels_percent": round(100 * other, 3),
        }
    figures = {
        precision: float(
            np.mean([psnr_db(a, t, peak=255) for a, (_, t) in zip(given, pairs, strict=True)])
        )
        for precision, given in answers.items()
    }
    return {
        **row,
        "measure": "PSNR dB",
        "fp32": round(figures["fp32"], 3),
        "int8": round(figures["int8"], 3),
        "loss": round(figures["fp32"] - figures["int8"], 3),
        "other_labels_percent": "",
    }


def _prepared(paths: list[Path], prepare: Prepare, size: Size) -> Iterator[tuple[Image, Image]]:
    generator = np.random.default_rng(_SEED)
    for path in paths:
        bgr = np.ascontiguousarray(read_photograph(path)[:, :, ::-1])
        if bgr.shape[0] >= size[0] and bgr.shape[1] >= size[1]:
            sides = prepare(bgr, size, generator)
            yield sides


if __name__ == "__main__":
    main()
