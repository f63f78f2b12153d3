"""GStreamer's Python binding. Only this file imports gi.

The binding comes with the system (Debian: python3-gi; JetPack has it), not from PyPI.
"""

from __future__ import annotations

from edgeunet.errors import MissingPackageError

try:
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst
except (ImportError, ValueError) as missing:
    absence = MissingPackageError("gi", purpose="a GStreamer pipeline", extra="video")
    absence.hint = "apt install python3-gi python3-gst-1.0"
    raise absence from missing

__all__ = ["GLib", "Gst", "has_element"]


def has_element(name: str) -> bool:
    """Return whether GStreamer has an element of this name."""
    Gst.init(None)
    return Gst.ElementFactory.find(name) is not None
