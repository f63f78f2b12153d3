"""Make training batches of short clips, for networks that remember frames.

Most clips are cut from real sequences. Others are made of photographs: still, slowly panned, or
still with something that passes in front. Noise is new in every frame, and its strength is that of
the clip. A batch depends only on (seed, step, process), so a resumed run is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.camera.chain import MARGIN, draw_shot, take
from edgeunet.errors import SourceError
from edgeunet.noise_models import add_camera, add_gaussian, as_handed_over, draw_camera
from edgeunet.photographs import Photograph
from edgeunet.pixels import Bytes, Floats, as_floats
from edgeunet.schedules import CameraTable, ClipsTable, TrainTable
from edgeunet.train.clip_folders import Clip
from edgeunet.train.crops import VOID, Batch
from edgeunet.train.samples import Sample, SamplePool, large_enough

# Fastest pan, and fastest passing object, in pixels per frame.
_PAN = 2.0
_PASSING = 8.0

# Sides of a passing object, as shares of the crop.
_OBJECT = (0.2, 0.6)

_Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Scene:
    """A clip without noise. frames: (T, S, S, 3) uint8 RGB. labels: (T, S, S), VOID if unknown."""

    frames: Bytes
    labels: _Labels


class ClipCrops:
    """Makes batches of square clips, mirrored and turned; see ``Batch`` for how frames lie.

    clips: real sequences. samples: photographs, which may be none; then frames serve as such.
    process: number of this process among those that train together.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        samples: Sequence[Sample],
        table: TrainTable,
        plan: ClipsTable,
        *,
        process: int = 0,
    ) -> None:
        side = table.largest_crop + 2 * MARGIN
        self._clips = [clip for clip in clips if clip.side >= side]
        if not self._clips:
            raise SourceError(
                f"no clip to train on is at least {side} pixels on both sides",
                hint="use larger clips, or a smaller crop in the recipe's [train]",
            )
        photographs = large_enough([s for s in samples if s.noisy is None], side)
        self._photographs = SamplePool(photographs, table.labelled_share)
        self._table, self._plan, self._process = table, plan, process

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self._photographs)

    def batch(self, step: int) -> Batch:
        """Return the clips of a step; frame t of clip n has the index n * frames + t."""
        table, plan = self._table, self._plan
        frames = plan.frames_at(step, table.steps)
        most, side = table.crops_at(step)
        count = max(1, round(most * plan.frames[0] / frames))
        generator = np.random.default_rng([table.seed, step, self._process])
        clean = np.empty((count, frames, 3, side, side), np.float32)
        noisy = np.empty_like(clean)
        labels = np.full((count, frames, side, side), VOID, np.int64)
        for index in range(count):
            noisy[index], clean[index], labels[index] = self._clip(frames, side, generator)
        total = count * frames
        return Batch(
            clean.reshape(total, 3, side, side),
            noisy.reshape(total, 3, side, side),
            labels.reshape(total, side, side),
            np.full(total, VOID, np.int64),
            np.zeros(total, np.bool_),
            frames,
        )

    def _clip(
        self, frames: int, side: int, generator: np.random.Generator
    ) -> tuple[Floats, Floats, _Labels]:
        """Return (noisy, clean, labels) of one clip: (T, 3, side, side) and (T, side, side)."""
        camera = self._table.camera
        through = camera is not None and generator.random() < camera.share
        margin = 2 * MARGIN if through else 0
        scene = self._scene(frames, side + margin, generator)
        if generator.random() < self._plan.cuts:
            other = self._scene(frames, side + margin, generator)
            cut = int(generator.integers(1, frames))
            scene.frames[cut:], scene.labels[cut:] = other.frames[cut:], other.labels[cut:]
        scene = self._turned(scene, generator)
        if through and camera is not None:
            return _through_camera(scene, camera, side, generator)
        clean = as_floats(scene.frames.transpose(0, 3, 1, 2))
        return self._noisy(clean, generator), clean, scene.labels

    def _scene(self, frames: int, side: int, generator: np.random.Generator) -> _Scene:
        plan, kind = self._plan, generator.random()
        if kind < plan.still:
            return self._still(frames, side, generator)
        if kind < plan.still + plan.pans:
            return self._panned(frames, side, generator)
        if kind < plan.still + plan.pans + plan.passing:
            return self._passed(frames, side, generator)
        clip = self._clips[int(generator.integers(len(self._clips)))].frames
        stride = 2 if generator.random() < plan.strides and len(clip) > 2 * frames else 1
        # A clip that is too short is played forth and back.
        there = np.arange(len(clip))
        order = np.resize(np.concatenate([there, there[-2:0:-1]]), max(len(clip), stride * frames))
        first = int(generator.integers(len(order) - stride * (frames - 1)))
        chosen = order[first : first + stride * (frames - 1) + 1 : stride]
        if generator.random() < plan.backwards:
            chosen = chosen[::-1]
        top, left = (int(generator.integers(n - side + 1)) for n in clip[0].shape[:2])
        cut = np.stack([clip[n][top : top + side, left : left + side] for n in chosen])
        return _Scene(cut, _unknown(cut))

    def _photograph(self, generator: np.random.Generator) -> Sample:
        if self._photographs:
            return self._photographs.draw(generator)
        clip = self._clips[int(generator.integers(len(self._clips)))].frames
        return Sample(clip[int(generator.integers(len(clip)))])

    def _still(self, frames: int, side: int, generator: np.random.Generator) -> _Scene:
        sample = self._photograph(generator)
        corner = [int(generator.integers(n - side + 1)) for n in sample.image.shape[:2]]
        return _path(sample, np.tile(corner, (frames, 1)), side)

    def _panned(self, frames: int, side: int, generator: np.random.Generator) -> _Scene:
        sample = self._photograph(generator)
        most = np.array(sample.image.shape[:2]) - side
        start = generator.uniform(0, most + 1)
        speed = generator.uniform(-_PAN, _PAN, 2)
        path = start + speed * np.arange(frames)[:, None]
        return _path(sample, np.clip(np.floor(path), 0, most).astype(np.int64), side)

    def _passed(self, frames: int, side: int, generator: np.random.Generator) -> _Scene:
        """Return a still photograph with an ellipse of another one that passes in front."""
        scene = self._still(frames, side, generator)
        other = self._still(1, side, generator).frames[0]
        radii = generator.uniform(*_OBJECT, 2) * side / 2
        speed = generator.uniform(-_PASSING, _PASSING, 2)
        middle = generator.uniform(0, side, 2) + speed * (np.arange(frames) - frames / 2)[:, None]
        rows, columns = np.ogrid[:side, :side]
        for frame, labels, place in zip(scene.frames, scene.labels, middle, strict=True):
            at = np.rint(place)
            inside = ((rows - at[0]) / radii[0]) ** 2 + ((columns - at[1]) / radii[1]) ** 2 < 1
            # The object's own picture moves with it.
            moved = np.roll(other, (int(at[0]), int(at[1])), (0, 1))
            frame[inside], labels[inside] = moved[inside], VOID
        return scene

    def _turned(self, scene: _Scene, generator: np.random.Generator) -> _Scene:
        turns = int(generator.integers(4)) if self._table.rotations else 0
        frames = np.rot90(scene.frames, turns, (1, 2))
        labels = np.rot90(scene.labels, turns, (1, 2))
        if generator.integers(2):
            frames, labels = frames[:, :, ::-1], labels[:, :, ::-1]
        return _Scene(np.ascontiguousarray(frames), np.ascontiguousarray(labels))

    def _noisy(self, clean: Floats, generator: np.random.Generator) -> Floats:
        """Return frames with new noise in each, of one strength."""
        table = self._table
        if table.noise == "camera":
            gain, read = draw_camera(table.gain, 1, generator)
            noisy = add_camera(clean, gain, read, generator)
        else:
            sigma = generator.uniform(*table.sigma)
            if generator.random() < table.clean_share:
                sigma = 0.0
            noisy = add_gaussian(clean, sigma, generator)
        return as_handed_over(noisy) if generator.random() < table.in_bytes else noisy


def _path(sample: Sample, corners: NDArray[np.int64], side: int) -> _Scene:
    """Return squares of a photograph. corners: (T, 2), the row and column of each top left."""
    frames = np.stack([_square(sample.image, corner, side) for corner in corners])
    if sample.labels is None:
        return _Scene(frames, _unknown(frames))
    labels = np.stack([_square(sample.labels, corner, side) for corner in corners])
    return _Scene(frames, labels.astype(np.int64))


def _square(pixels: Photograph, corner: NDArray[np.int64], side: int) -> Bytes:
    top, left = (int(number) for number in corner)
    return pixels[top : top + side, left : left + side]


def _unknown(frames: Bytes) -> _Labels:
    return np.full(frames.shape[:3], VOID, np.int64)


def _through_camera(
    scene: _Scene, table: CameraTable, side: int, generator: np.random.Generator
) -> tuple[Floats, Floats, _Labels]:
    """Return a clip as one camera with constant settings sees it, with new noise per frame."""
    shot = draw_shot(table, (side, side), generator, resizes=False)
    inner = slice(MARGIN, MARGIN + side)
    noisy = np.empty((len(scene.frames), 3, side, side), np.float32)
    clean = np.empty_like(noisy)
    for index, frame in enumerate(scene.frames):
        seen, truth = take(frame, shot, generator)
        noisy[index] = seen[inner, inner].transpose(2, 0, 1)
        clean[index] = truth[inner, inner].transpose(2, 0, 1)
    return noisy, clean, scene.labels[:, inner, inner]
