"""The container file for Jetson boards. None was at hand, so only what it names is checked."""

from __future__ import annotations

import re

from edgeunet.doctor.jetpack import find_jetpack
from tests.house.source import ROOT

_TEXT = (ROOT / "docs" / "l4t.Dockerfile").read_text("utf-8")


def test_its_base_is_a_release_that_is_known() -> None:
    (number,) = re.findall(r"^FROM nvcr\.io/nvidia/l4t-jetpack:r([\d.]+)$", _TEXT, re.MULTILINE)
    release = find_jetpack(number)
    assert release is not None
    assert "JetPack 6" in _TEXT.splitlines()[0]
    assert release.jetpack.startswith("6.")


def test_it_has_what_a_service_needs() -> None:
    """What messages tell people to install for streams is there, and nothing runs as root."""
    words = set(_TEXT.split())
    for package in (
        *("python3-gi", "python3-gst-1.0", "python3-opencv", "gstreamer1.0-plugins-good"),
        *("gstreamer1.0-plugins-bad", "gstreamer1.0-plugins-ugly", "gstreamer1.0-rtsp"),
        *("av", "aiohttp", "prometheus-client", "pycuda"),
    ):
        assert package in words
    assert _TEXT.index("USER edgeunet") < _TEXT.index("ENTRYPOINT")
