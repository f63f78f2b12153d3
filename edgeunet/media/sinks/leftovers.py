"""Files that a killed process was writing: hidden, beside their targets, and worth keeping."""

from __future__ import annotations

import contextlib
import glob
from pathlib import Path

from edgeunet.media import pyav
from edgeunet.media.sinks import VIDEO_SUFFIXES
from edgeunet.names import shown


def left_behind(target: Path) -> list[Path]:
    """Return what ``files.replacing_file`` left beside a target of processes that were killed.

    Whoever asks has claimed the target, so that no other process is writing one of them now.
    """
    # Its random part has eight letters; more would be a file of another target.
    name = glob.escape(f".{target.stem}-") + "????????" + glob.escape(f".partial{target.suffix}")
    return sorted(target.parent.glob(name))


def recover(target: Path) -> list[str]:
    """Give what plays of a video that was being written a name; remove what does not.

    Returns a line for the user per file. A target that is no video, or a folder that cannot be
    written, is left alone.
    """
    told: list[str] = []
    if target.suffix.lower() not in VIDEO_SUFFIXES:
        return told
    with contextlib.suppress(OSError):
        for left in left_behind(target):
            if not pyav.is_there() or not plays(left):
                left.unlink(missing_ok=True)
                continue
            found = _free_name(target)
            left.rename(found)
            told.append(f"what a killed run had written of {shown(target)} is in {shown(found)}")
    return told


def plays(path: Path) -> bool:
    """Return whether a file has at least one frame that can be read."""
    try:
        with pyav.open_to_read(path) as container:
            return next(container.decode(video=0), None) is not None
    except pyav.failures():
        return False
    except IndexError:  # it has no video
        return False


def _free_name(target: Path) -> Path:
    number = 1
    while (found := target.with_name(f"{target.stem}-recovered-{number}{target.suffix}")).exists():
        number += 1
    return found
