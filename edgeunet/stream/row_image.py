"""Which image of a bundle can go to its sink row by row, so that it is never whole in memory."""

from __future__ import annotations

from pathlib import Path

from edgeunet.bundle.manifest import Manifest
from edgeunet.media.sinks import is_path
from edgeunet.specs import Task
from edgeunet.stream.compose import View
from edgeunet.stream.run_options import RunOptions
from edgeunet.stream.strength import FULL


def image_in_rows(options: RunOptions, manifest: Manifest, view: View) -> str | None:
    """Return the image that is larger than the frame, where the run needs it for one sink alone.

    That sink is a PNG file or a folder of them: a video's encoder, a window and a page take whole
    pictures. None where the image is needed whole.
    """
    image = next((one for one in manifest.outputs if one.task is Task.DENOISE), None)
    sinks = [sink for sink in options.sinks if sink != "none"]
    if image is None or image.shape is None or view is not View.DENOISED or len(sinks) != 1:
        return None
    whole = options.strength != FULL or options.noise_sigma is not None or options.events
    if whole or options.preview is not None or options.recording is not None:
        return None
    path = Path(sinks[0])
    folder = path.is_dir() or sinks[0].endswith("/") or not path.suffix
    return image.name if is_path(sinks[0]) and (folder or path.suffix == ".png") else None
