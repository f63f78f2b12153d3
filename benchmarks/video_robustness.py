"""Does a network that remembers stay right: after many frames, in changing light, behind a ball?

    python -m benchmarks.video_robustness --photograph FILE [--width N]...

``unetmm-video`` takes frames in a row, in torch FP32 with its state in bytes. White noise, sigma 30
of 255, in floats. All clips are made of one photograph. First the script checks that a clip without
noise that does not change is answered alike in every frame after the second, within half a level.

- ``drift``: the still scene, ``LONG`` frames. ``early`` and ``late`` are the PSNR of frames 50 to
  100 and of the last 50 in dB, ``error_levels`` the mean of what the last 50 are too bright.
- ``ramp``: a quarter of a level brighter with each of 80 frames. ``error_levels`` is the mean of
  what frames from the 20th on are too dark.
- ``ball``: a white disc crosses the still scene, four pixels per frame. ``error_levels`` is how
  much too bright is what it covered in the four frames before, over the answer to the same noise
  without the ball.
- ``dropped frame``: a pan of three pixels per frame, of which one is missing. ``early`` and
  ``late`` are the PSNR of the frame before the gap and of the one after it, in dB.
  ``trusted_early`` and ``trusted_late`` are how many frames before it each of them trusts, as a
  mean over the frame. The variance of the fused frame is that of one frame over one more.
- ``dropped, still``: the same where nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch

from benchmarks.helpers.clip_options import clip_options, widths_of
from benchmarks.helpers.record import write_csv
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.errors import EdgeUnetError
from edgeunet.metrics import psnr_db
from edgeunet.models import Network, build_network
from edgeunet.models.weights import load_weights
from edgeunet.photographs import read_photograph
from edgeunet.pixels import Floats, as_floats
from edgeunet.recipes import load_recipe

NAME = "video_robustness"
SIGMA = 30.0
LONG = 1000
SIDE = 96
"""Rows and columns of the frames."""
RAMP, RADIUS, PAN = 0.25, 10.0, 3


def main() -> None:
    arguments = clip_options(__doc__, "--photograph").parse_args()
    rows: list[dict[str, object]] = []
    try:
        image = as_floats(read_photograph(arguments.photograph).transpose(2, 0, 1))
        for width in widths_of(arguments):
            note(f"width {width}")
            rows += measure(_network(width), width, image)
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    path = write_csv(arguments.out / f"{NAME}.csv", rows)
    print_table(NAME, list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    note(f"wrote {path}")


def measure(network: Network, width: int, image: Floats) -> list[dict[str, object]]:
    """Return a row per clip. image: (3, H, W) float32, 0..1."""
    scene = _part(image, 0)
    _check(network, scene)
    return [
        {"width": width, **row}
        for row in (
            _drift(network, scene),
            _ramp(network, scene),
            _ball(network, scene),
            _dropped(network, image, PAN),
            {**_dropped(network, image, 0), "clip": "dropped, still"},
        )
    ]


def _network(width: int) -> Network:
    recipe = load_recipe("unetmm-video").with_width(width)
    path = shipped_weights(recipe.name, recipe)
    if path is None:
        raise SystemExit(f"there are no weights of {recipe.name} at width {width}")
    network = build_network(recipe).eval()
    load_weights(network, path)
    return network


def _part(image: Floats, first: int) -> Floats:
    top, left = (image.shape[1] - SIDE) // 2, (image.shape[2] - SIDE) // 4 + first
    return np.ascontiguousarray(image[:, top : top + SIDE, left : left + SIDE])


def _check(network: Network, scene: Floats) -> None:
    """Stop unless a scene without noise is answered alike, once its memory is there."""
    given = answers(network, [scene] * 6, sigma=0.0)
    if max(float(np.abs(image - given[-1]).max()) for image in given[2:]) > 0.5 / 255:
        raise SystemExit("a scene without noise is answered otherwise from frame to frame")


def answers(network: Network, frames: Sequence[Floats], sigma: float = SIGMA) -> list[Floats]:
    """Return the answers to frames in a row, with new noise in each that depends on its index."""
    return [image for image, _ in answers_and_trust(network, frames, sigma)]


@torch.no_grad()
def answers_and_trust(
    network: Network, frames: Sequence[Floats], sigma: float = SIGMA
) -> list[tuple[Floats, float]]:
    """Return the answers, and how many frames before it each frame trusts."""
    memory, given = None, []
    for index, frame in enumerate(frames):
        generator = np.random.default_rng([2026, index])
        noise = generator.standard_normal(frame.shape, np.float32) * np.float32(sigma / 255)
        outputs, memory = network.step(torch.from_numpy(frame + noise)[None], memory)
        assert memory is not None
        image = outputs["denoised"][0].clamp(0, 1).numpy()
        given.append((image, float(memory.count.mean()) - 1))
    return given


def _row(clip: str, early: object, late: object, error: object) -> dict[str, object]:
    return {
        "clip": clip,
        "early": early,
        "late": late,
        "error_levels": error,
        "trusted_early": "",
        "trusted_late": "",
    }


def _drift(network: Network, scene: Floats) -> dict[str, object]:
    given = answers(network, [scene] * LONG)
    early, late = (
        round(fmean(psnr_db(image, scene) for image in part), 3)
        for part in (given[50:100], given[-50:])
    )
    error = fmean(float((image - scene).mean()) * 255 for image in given[-50:])
    return _row("drift", early, late, round(error, 3))


def _ramp(network: Network, scene: Floats) -> dict[str, object]:
    dark = 0.8 * scene
    frames = [(dark + np.float32(index * RAMP / 255)).clip(0, 1) for index in range(80)]
    given = answers(network, frames)
    pairs = list(zip(given, frames, strict=True))[20:]
    error = fmean(float((frame - image).mean()) * 255 for image, frame in pairs)
    return _row("ramp", "", "", round(error, 3))


def _ball(network: Network, scene: Floats) -> dict[str, object]:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    frames, discs = [], []
    for index in range(30):
        left = 4 * (index - 10)
        disc = (rows - SIDE / 2) ** 2 + (columns - left) ** 2 < RADIUS**2
        discs.append(disc)
        frames.append(np.where(disc, np.float32(1.0), scene))
    given, without = answers(network, frames), answers(network, [scene] * len(frames))
    errors = []
    for index in range(14, len(frames)):
        trail = np.logical_or.reduce(discs[index - 4 : index]) & ~discs[index]
        # The ball's own soft edge is no trail.
        near = (rows - SIDE / 2) ** 2 + (columns - 4 * (index - 10)) ** 2 < (RADIUS + 2) ** 2
        errors.append(float((given[index] - without[index])[:, trail & ~near].mean()) * 255)
    return _row("ball", "", "", round(fmean(errors), 3))


def _dropped(network: Network, image: Floats, pan: int) -> dict[str, object]:
    numbers = [*range(12), *range(13, 20)]
    frames = [_part(image, pan * number) for number in numbers]
    given = answers_and_trust(network, frames)
    early, late = (round(psnr_db(given[index][0], frames[index]), 3) for index in (11, 12))
    trusted = {
        f"trusted_{when}": round(given[index][1], 2)
        for when, index in (("early", 11), ("late", 12))
    }
    return {**_row("dropped frame", early, late, ""), **trusted}


if __name__ == "__main__":
    main()
