"""Compares a source's size with a bundle's before the first frame."""

from __future__ import annotations

from edgeunet.bundle import Bundle
from edgeunet.errors import SourceError
from edgeunet.run.export_command import export_command
from edgeunet.units import format_size


def check_size(bundle: Bundle, name: str, height: int, width: int) -> None:
    """Raise SourceError when a source's size is not the bundle's. The hint has a fitting export.

    name: the source, for the message.
    height, width: size of the source in pixels.
    """
    manifest = bundle.manifest
    if (height, width) == (manifest.height, manifest.width):
        return
    smallest = manifest.network.smallest_side
    if min(height, width) < smallest:
        hint = f"give a source of {smallest} pixels or more on each side"
    else:
        hint = f"make a bundle of its size: {export_command(manifest, (height, width))}"
    raise SourceError(
        f"{name!r} is {format_size(height, width)}, {bundle.path.name} takes "
        f"{format_size(manifest.height, manifest.width)}",
        hint=hint,
    )
