"""The third part of the demo: a fixed camera's clip, frame by frame and with a memory of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from edgeunet.choosing.networks import choose_weights
from edgeunet.cli.console import note, print_table
from edgeunet.recipes import load_recipe
from edgeunet.specs import Precision
from edgeunet.units import format_size

if TYPE_CHECKING:
    from edgeunet.run.executor import Executor
    from edgeunet.specs import Image

MODEL = "unetmm-video"
CLIP = "with-memory.mp4"
_WIDTH = 8
_FRAMES = 16
_FRAME_RATE = 12.0
_SETTLED = 4
_CAPTIONS = ("noisy", "frame by frame", "with memory")

# The object that passes: its radius as a share of the height, and pixels per frame.
_RADIUS, _SPEED = 0.15, 10


@dataclass(frozen=True)
class Remembered:
    """Mean PSNR in dB of a fixed camera's frames from the fifth on, to those without noise."""

    size: tuple[int, int]
    frames: int
    noisy_db: float
    frame_by_frame_db: float
    with_memory_db: float

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "size": format_size(*self.size)}


def run_with_memory(photographs: Sequence[Image], size: tuple[int, int], out: Path) -> Remembered:
    """Clean a clip twice with the network that remembers, and write ``out/with-memory.mp4``.

    photographs: uint8 BGR, the scene, and what passes in front of it.
    """
    from edgeunet.camera.night import night_shot
    from edgeunet.convert.exporting import ExportOrder, export_bundle
    from edgeunet.metrics import psnr_db
    from edgeunet.run.executor import Executor
    from edgeunet.stream.camera_clip import camera_frames, write_clips
    from edgeunet.stream.comparison import beside

    recipe = load_recipe(MODEL).with_width(_WIDTH)
    weights = choose_weights(MODEL, recipe)
    bundle = out / f"{MODEL}-{format_size(*size)}-fp16.bundle"
    order = ExportOrder(recipe, *size, Precision.FP16, weights=weights)
    exported = export_bundle(order, bundle, open_runner=Executor, report=note)
    note("cleaning the clip of a fixed camera, frame by frame and with a memory")
    shot = night_shot(*size)
    pairs = list(camera_frames(_scenes(photographs, shot.sensor_size), shot, seed=2))
    noisy = [seen for seen, _ in pairs]
    executor = Executor(exported.bundle, "onnxruntime")
    clips = [noisy, *(_answers(executor, noisy, remembers=one) for one in (False, True))]
    panels = zip(*clips, strict=True)
    write_clips({out / CLIP: 0}, ((beside(images, _CAPTIONS),) for images in panels), _FRAME_RATE)
    figures = [
        fmean(
            psnr_db(image, clean, peak=255)
            for image, (_, clean) in list(zip(clip, pairs, strict=True))[_SETTLED:]
        )
        for clip in clips
    ]
    return Remembered(size, len(noisy), *(round(figure, 3) for figure in figures))


def _scenes(photographs: Sequence[Image], size: tuple[int, int]) -> Iterator[Image]:
    """Yield one scene, in front of which a disc of another photograph passes."""
    import numpy as np

    from edgeunet.stream.photo_clip import photo_frames

    height, width = size
    scene, other = (
        next(photo_frames([one], height=height, width=width, frames=1)) for one in photographs
    )
    rows, columns = np.ogrid[:height, :width]
    for index in range(_FRAMES):
        left = _SPEED * index
        inside = (rows - height / 2) ** 2 + (columns - left) ** 2 < (_RADIUS * height) ** 2
        passing = np.roll(other, left, axis=1)
        yield np.where(inside[..., None], passing, scene)


def _answers(executor: Executor, frames: Sequence[Image], *, remembers: bool) -> list[Image]:
    executor.restart()
    answers = []
    for frame in frames:
        if not remembers:
            executor.restart()
        answers.append(executor.run(frame)["denoised"][0].copy())
    return answers


def print_remembered(remembered: Remembered) -> None:
    """Print what the memory of frames gains."""
    print_table(
        f"{remembered.frames} frames of {format_size(*remembered.size)} from a fixed camera in "
        f"software, {MODEL} fp16 of width {_WIDTH}; PSNR from frame {_SETTLED + 1} on",
        ("noisy dB", "frame by frame dB", "with memory dB"),
        [
            (
                f"{remembered.noisy_db:.2f}",
                f"{remembered.frame_by_frame_db:.2f}",
                f"{remembered.with_memory_db:.2f}",
            )
        ],
        text_columns=0,
    )
