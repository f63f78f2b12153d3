"""Read clips to train on: consecutive frames, all in memory as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeunet.errors import SourceError
from edgeunet.images.folders import files_with
from edgeunet.media.clip_reader import open_clip
from edgeunet.photographs import Photograph, read_photograph
from edgeunet.suffixes import IMAGE_SUFFIXES
from edgeunet.train.scene_places import places_in
from edgeunet.units import format_size

FEWEST_FRAMES = 3

# Every sixth clip is held out, from the third on.
_EVERY, _FIRST = 6, 2


@dataclass(frozen=True, eq=False)
class Clip:
    """Consecutive frames of one scene, each (H, W, 3) uint8 RGB, all of one size."""

    name: str
    frames: Sequence[Photograph]

    @property
    def side(self) -> int:
        """The shorter side in pixels."""
        return int(min(self.frames[0].shape[:2]))


def load_clips(folders: Sequence[Path], *, notice: Callable[[str], None]) -> list[Clip]:
    """Read every clip in the folders: each is a video file, or a sub-folder of frames.

    Frames of a sub-folder are in the order of their names. A clip with too few frames is left out
    with a notice. Raises SourceError for a folder without clips, for a file that cannot be read,
    and for frames of different sizes.
    """
    clips = []
    for folder in folders:
        for place in _places(folder):
            clip = Clip(place.name, _frames_of(place, notice))
            if len(clip.frames) < FEWEST_FRAMES:
                notice(f"{place.name} has {len(clip.frames)} frames, too few for a clip")
                continue
            _check_sizes(clip)
            clips.append(clip)
    if folders and not clips:
        raise SourceError(
            f"there are no clips in {str(folders[0])!r}",
            hint=f"a clip has at least {FEWEST_FRAMES} frames",
        )
    return clips


def hold_out_clips(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Return (clips to train on, held-out clips): every sixth is held out, from the third on."""
    training = [clip for index, clip in enumerate(clips) if index % _EVERY != _FIRST]
    return training, list(clips[_FIRST::_EVERY])


def _places(folder: Path) -> list[Path]:
    return places_in(
        folder,
        "clips",
        hint="give a folder with a video, or a sub-folder of frames, per clip",
        hint_of_loose="put the frames of each clip into a sub-folder of their own",
    )


def _frames_of(place: Path, notice: Callable[[str], None]) -> list[Photograph]:
    if place.is_dir():
        paths = files_with(IMAGE_SUFFIXES, sorted(place.iterdir()), place, notice=notice)
        return [read_photograph(path) for path in paths]
    frames = []
    video = open_clip(place)
    try:
        while (frame := video.read()) is not None:
            frames.append(frame)
        for line in video.said():
            notice(line)
    finally:
        video.close()
    return frames


def _check_sizes(clip: Clip) -> None:
    first = clip.frames[0].shape
    for number, frame in enumerate(clip.frames, 1):
        if frame.shape != first:
            sizes = format_size(*frame.shape[:2]), format_size(*first[:2])
            raise SourceError(
                f"frame {number} of {clip.name!r} is {sizes[0]}, the first one {sizes[1]}",
                hint="all frames of a clip must have one size",
            )
