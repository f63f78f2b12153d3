"""The options of a new calibration set, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeunet.calibration.sets import FEWEST_MEMBERS, calibration_names, is_set_name
from edgeunet.errors import UsageError
from edgeunet.images.stated_bits import FILE_NAME
from edgeunet.noise_models import check_noise
from edgeunet.units import shorten

MOST_MEMBERS = 4096


@dataclass(frozen=True)
class SetOrder:
    """The options of a new set.

    inputs: images, folders, clips and cameras.
    frames: number of members; None for FRAMES, or fewer if there are not so many different ones.
    size: (height, width) of every frame; None if all pictures have one size.
    sigmas: noise levels in 8-bit units.
    licences: one for all inputs, one for each, or none.
    copy: store the chosen frames beside the set, even if they can be read again.
    limit: largest number of pictures of each input.
    consecutive: the pictures of each folder are the frames of one clip, in the order of names.
    image_bits: how many bits are meant in 16-bit files that do not say it; None where nobody says.
    """

    inputs: Sequence[str]
    name: str
    folder: Path
    frames: int | None
    size: tuple[int, int] | None
    sigmas: Sequence[float]
    seed: int = 0
    licences: Sequence[str] = ()
    copy: bool = False
    limit: int | None = None
    image_bits: int | None = None
    consecutive: bool = False

    @property
    def target(self) -> Path:
        return self.folder / f"{self.name}.toml"

    @property
    def store(self) -> Path:
        """The folder of stored frames."""
        return self.folder / self.name


def check_order(order: SetOrder) -> None:
    """Raise UsageError for a set that cannot be made, before any picture is read."""
    if not is_set_name(order.name):
        raise UsageError(
            f"{shorten(order.name)!r} cannot be the name of a set",
            hint="use a-z, 0-9, '-' and '_', as in night-street",
        )
    if order.name in calibration_names():
        raise UsageError(
            f"{order.name!r} is a set that ships with edgeunet", hint="choose another name"
        )
    if order.frames is not None and not FEWEST_MEMBERS <= order.frames <= MOST_MEMBERS:
        few = order.frames < FEWEST_MEMBERS
        raise UsageError(
            f"a set of {order.frames} frame{'' if order.frames == 1 else 's'} is too "
            + ("small: ranges of so few fit only them" if few else "large"),
            hint=f"take {FEWEST_MEMBERS} to {MOST_MEMBERS} frames, better some dozens",
        )
    if order.limit is not None and order.limit < 1:
        raise UsageError(f"{order.limit} is not a number of pictures", hint="give a limit from 1")
    if len(order.licences) not in (0, 1, len(order.inputs)):
        raise UsageError(
            f"{len(order.licences)} licences are given for {len(order.inputs)} inputs",
            hint="give one for all, or one for each input, in their order",
        )
    if order.consecutive and order.copy:
        raise UsageError(
            "copies of chosen frames are not consecutive",
            hint="leave --copy (copy=True) out, so that the frames before them are read where they "
            "are",
        )
    for sigma in order.sigmas:
        check_noise(sigma, order.seed)
    if order.image_bits is not None and not order.copy:
        raise UsageError(
            "a set that names its pictures would read them again without the image bits",
            hint="store the frames with --copy (copy=True), or write the number into "
            f"{FILE_NAME} in the folder of the pictures",
        )
