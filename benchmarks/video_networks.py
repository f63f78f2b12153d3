"""What does a network gain by remembering frames, beside the same network frame by frame?

    python -m benchmarks.video_networks --davis FOLDER --traffic CLIP --photograph FILE
        [--width N]... [--weights FILE] [--out FOLDER]

Of the DAVIS sequences those in ``MOVING`` are measured: training holds them out. The photograph is
the still scene, the same in every frame.

``unetmm-video`` takes the frames in a row, ``unetmm`` of the same width takes each one alone. Both
are in torch FP32, on the same draws of noise: white, sigma 30 of 255, in floats and not clipped, or
that of the camera in software at a gain of 0.008 and two stops below full scale. First the
script checks that a first frame is that of the network without memory, and stops if it is not.

Figures are of the frames from the fifth on. ``worst_gain_db`` is that of the frame that gains
least. ``flicker_ratio`` is the mean absolute error of the change from frame to frame, over that of
the frames alone. ``flicker_along_ratio`` is the same where the frame before is moved first as the
clean clip has moved: how much the error changes on what is shown, wherever that goes.
``after a cut`` has the frames from the cut on, the first one included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import msgspec
import numpy as np
import torch

from benchmarks.helpers.clip_options import clip_options, first_frames, middle, widths_of
from benchmarks.helpers.record import write_csv
from edgeunet.camera.chain import MARGIN, draw_shot, take
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.errors import EdgeUnetError
from edgeunet.evaluate.protocol import NoiseKind, add_noise
from edgeunet.files import sha256_of
from edgeunet.metrics import psnr_db
from edgeunet.models import Network, build_network
from edgeunet.models.alignment import fetch_between, motion
from edgeunet.models.weights import load_weights
from edgeunet.photographs import Photograph, read_photograph
from edgeunet.pixels import Floats, as_floats
from edgeunet.recipes import load_recipe

NAME = "video_networks"
REMEMBERING, ALONE = "unetmm-video", "unetmm"
MOVING = ("camel", "horsejump-high")
SIGMA = 30.0
SETTLED = 4
AREA = (256, 512)
SIDE = 192
"""Side of the square that the camera in software hands over, in pixels."""
CAMERA_GAIN, EXPOSURE = 8e-3, -2.0
STILL_FRAMES = (20, 60)
"""Frames of the still scene whose gains have columns of their own, the first one being 0."""


@dataclass(frozen=True)
class Clip:
    """Frames to denoise and the truth, (3, H, W) float32, RGB, 0..1.

    before: noisy frames that the memory has seen, and that are not counted.
    settled: the first frame that counts.
    alone: of a still scene, so many frames are denoised alone; their mean stands for all.
    """

    name: str
    noise: str
    noisy: Sequence[Floats]
    clean: Sequence[Floats]
    before: Sequence[Floats] = ()
    settled: int = SETTLED
    alone: int | None = None


def main() -> None:
    parser = clip_options(__doc__, "--davis", "--traffic", "--photograph")
    parser.add_argument("--weights", type=Path, help="of one width; the shipped ones unless given")
    arguments = parser.parse_args()
    widths = widths_of(arguments)
    if arguments.weights is not None and len(widths) != 1:
        parser.error("--weights are of one width: give it with --width")
    rows: list[dict[str, object]] = []
    try:
        for width in widths:
            clips = _clips(arguments.davis, arguments.traffic, arguments.photograph)
            rows += measure(width, clips, arguments.weights)
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    path = write_csv(arguments.out / f"{NAME}.csv", rows)
    columns = [name for name in rows[0] if name != "weights_sha256"]
    print_table(NAME, columns, [[str(row[name]) for name in columns] for row in rows])
    note(f"wrote {path}")


def measure(width: int, clips: Iterable[Clip], weights: Path | None) -> list[dict[str, object]]:
    """Return a row per clip. weights: of the network that remembers; None for the shipped ones."""
    network, digest = _network(REMEMBERING, width, weights)
    alone, _ = _network(ALONE, width, None)
    rows: list[dict[str, object]] = []
    for clip in clips:
        if not rows:
            _check(network, clip.noisy[0])
        note(f"width {width}: {clip.name}, {clip.noise}")
        figures = _figures(network, alone, clip)
        rows.append({"width": width, **figures, "weights_sha256": digest})
    return rows


def _network(name: str, width: int, weights: Path | None) -> tuple[Network, str]:
    recipe = load_recipe(name).with_width(width)
    path = shipped_weights(name, recipe) if weights is None else weights
    if path is None:
        raise SystemExit(f"there are no weights of {name} at width {width}")
    network = build_network(recipe).eval()
    load_weights(network, path)
    return network, sha256_of(path)


@torch.no_grad()
def _check(network: Network, noisy: Floats) -> None:
    """Stop unless a first frame is that of the network without memory, and later ones differ."""
    image = torch.from_numpy(noisy)[None]
    first, memory = network.step(image, None)
    second, _ = network.step(image, memory)
    if not torch.equal(first["denoised"], network(image)["denoised"]):
        raise SystemExit("a first frame is not that of the network without memory")
    if torch.equal(first["denoised"], second["denoised"]):
        raise SystemExit("the network does not use its memory")


@torch.no_grad()
def _figures(network: Network, alone: Network, clip: Clip) -> dict[str, object]:
    memory = None
    for noisy in clip.before:
        _, memory = network.step(torch.from_numpy(noisy)[None], memory)
    given: list[Floats] = []
    for noisy in clip.noisy:
        outputs, memory = network.step(torch.from_numpy(noisy)[None], memory)
        given.append(_shown(outputs))
    single = [_shown(alone(torch.from_numpy(noisy)[None])) for noisy in clip.noisy[: clip.alone]]
    with_db = [psnr_db(image, clean) for image, clean in zip(given, clip.clean, strict=True)]
    alone_db = [psnr_db(image, clean) for image, clean in zip(single, clip.clean, strict=False)]
    level = fmean(alone_db[clip.settled :])
    # Of a still scene the other frames alone would have about the mean of the first ones.
    alone_db += [level] * (len(with_db) - len(alone_db))
    gains = [a - b for a, b in zip(with_db, alone_db, strict=True)]
    counted = slice(clip.settled, None)
    flickers = {
        name: [fmean(_flicker(images, clip, along=along)[counted]) for images in (given, single)]
        for name, along in (("flicker_ratio", False), ("flicker_along_ratio", True))
    }
    still = clip.alone is not None
    return {
        "clip": clip.name,
        "noise": clip.noise,
        "frames": len(given) - clip.settled,
        "alone_db": round(fmean(alone_db[counted]), 3),
        "memory_db": round(fmean(with_db[counted]), 3),
        "gain_db": round(fmean(gains[counted]), 3),
        "worst_gain_db": round(min(gains[counted]), 3),
        **{
            f"gain_{index}_db": round(gains[index], 3) if still and index < len(gains) else ""
            for index in STILL_FRAMES
        },
        **{name: round(with_ / alone_, 3) for name, (with_, alone_) in flickers.items()},
    }


def _shown(outputs: dict[str, torch.Tensor]) -> Floats:
    image: Floats = outputs["denoised"][0].clamp(0, 1).numpy()
    return image


def _flicker(images: Sequence[Floats], clip: Clip, *, along: bool) -> list[float]:
    """Return the mean change of the error from each frame to the next, in 0..1.

    along: the frame before is moved as the clean clip has moved.
    """
    errors = [
        torch.from_numpy(image - clean)[None]
        for image, clean in zip(images, clip.clean, strict=False)
    ]
    found = []
    for index in range(1, len(errors)):
        before = errors[index - 1]
        if along:
            before = fetch_between(before, _motion(clip.clean[index], clip.clean[index - 1]))
        found.append(float((errors[index] - before).abs().mean()))
    return found


def _motion(now: Floats, before: Floats) -> torch.Tensor:
    """Return where the blocks of a clean frame lay in the one before, as networks find it."""
    levels = [(torch.from_numpy(image)[None] * 255).round() for image in (now, before)]
    return motion(*levels)


def _clips(davis: Path, traffic: Path, photograph: Path) -> Iterator[Clip]:
    """Yield the clips of every width. Only one is in memory at a time."""
    moving = {name: first_frames(davis / name, 25, *AREA) for name in MOVING}
    street = first_frames(traffic, 85, *AREA)
    scene = middle(read_photograph(photograph), *AREA)
    for name, frames in moving.items():
        yield _in_white_noise(name, frames)
    yield _in_white_noise("traffic, quiet", street[:25])
    yield _in_white_noise("traffic, busy", street[60:])
    still = _in_white_noise("still", [scene] * (STILL_FRAMES[-1] + 2))
    yield dataclasses.replace(still, alone=12)
    before = _in_white_noise("", street[:12]).noisy
    cut = _in_white_noise("after a cut", moving[MOVING[0]][:6])
    yield dataclasses.replace(cut, before=before, settled=0)
    yield _through_camera(MOVING[0], moving[MOVING[0]][:16])
    yield _through_camera("traffic, quiet", street[:16])
    yield dataclasses.replace(_through_camera("still", [scene] * 22), alone=10)


def _in_white_noise(name: str, frames: Sequence[Photograph]) -> Clip:
    planes = [np.ascontiguousarray(frame.transpose(2, 0, 1)) for frame in frames]
    noisy = [
        as_floats(add_noise(image, NoiseKind.FLOAT, SIGMA, seed=0, index=index))
        for index, image in enumerate(planes)
    ]
    return Clip(name, "white", noisy, [as_floats(image) for image in planes])


def _through_camera(name: str, frames: Sequence[Photograph]) -> Clip:
    """Return frames as one camera with constant settings sees them, with new noise per frame."""
    table = load_recipe(ALONE).train
    if table is None or table.camera is None:
        raise SystemExit(f"{ALONE} has no [train.camera]")
    camera = msgspec.structs.replace(
        table.camera, gain=(CAMERA_GAIN,) * 2, exposure=(EXPOSURE,) * 2, h264_share=0.0
    )
    generator = np.random.default_rng(0)
    shot = draw_shot(camera, (SIDE, SIDE), generator, resizes=False)
    inner = slice(MARGIN, MARGIN + SIDE)
    noisy: list[Floats] = []
    clean: list[Floats] = []
    for frame in frames:
        pair = take(middle(frame, SIDE + 2 * MARGIN, SIDE + 2 * MARGIN), shot, generator)
        for images, image in zip((noisy, clean), pair, strict=True):
            images.append(np.ascontiguousarray(image[inner, inner].transpose(2, 0, 1)))
    return Clip(name, "camera", noisy, clean)


if __name__ == "__main__":
    main()
