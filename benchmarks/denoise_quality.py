"""How clean do the shipped weights make an image?

    python -m benchmarks.denoise_quality --data KODAK_FOLDER [--model unetmm]

Mean PSNR over a folder of images, full size. Float noise, not clipped, one fixed draw per image
and sigma (the literature's protocol); the output is clipped to 0..1. First it checks that the
loaded weights are the shipped ones: on a flat grey image the network must remove nearly all noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import write_csv
from edgeunet.cli.console import print_table
from edgeunet.metrics import psnr_db
from edgeunet.models import Network, build_network
from edgeunet.models.weights import load_weights
from edgeunet.noise import Floats, add_gaussian
from edgeunet.photographs import list_images, read_photograph
from edgeunet.recipes import load_recipe, recipe_path

SIGMAS = (15.0, 25.0, 50.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="unetmm")
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.model)
    weights = arguments.weights or recipe.trained_weights(recipe_path(arguments.model).parent)
    if weights is None:
        raise SystemExit(f"{arguments.model} has no trained weights")
    network = build_network(recipe).eval()
    load_weights(network, weights)
    check(network)
    images = {path.name: read_photograph(path) for path in list_images(arguments.data)}
    rows = []
    for sigma in SIGMAS:
        before, after = [], []
        for index, photograph in enumerate(images.values()):
            clean = photograph.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
            noisy = add_gaussian(clean, sigma, np.random.default_rng([int(sigma), index]))
            before.append(psnr_db(noisy, clean))
            after.append(psnr_db(denoise(network, noisy), clean))
        rows.append(
            {
                "model": recipe.name,
                "width": recipe.network.width,
                "data": arguments.data.name,
                "images": len(images),
                "sigma": sigma,
                "psnr_noisy_db": round(float(np.mean(before)), 3),
                "psnr_denoised_db": round(float(np.mean(after)), 3),
                "psnr_lowest_db": round(min(after), 3),
            }
        )
    columns = list(rows[0])
    print_table("float noise, not clipped", columns, [[str(v) for v in r.values()] for r in rows])
    print(write_csv(f"denoise_quality_{recipe.name}_{recipe.network.width}", rows))


def check(network: Network) -> None:
    """Stop when the network does not denoise at all."""
    flat = np.full((1, 3, 64, 64), 0.5, np.float32)
    noisy = add_gaussian(flat, 25.0, np.random.default_rng(0))
    gain = psnr_db(denoise(network, noisy), flat) - psnr_db(noisy, flat)
    if gain < 10:
        raise SystemExit(f"on flat grey the network gains only {gain:.1f} dB: wrong weights?")


def denoise(network: Network, noisy: Floats) -> Floats:
    with torch.inference_mode():
        cleaned: Floats = network(torch.from_numpy(noisy))["denoised"].clamp(0, 1).numpy()
    return cleaned


if __name__ == "__main__":
    main()
