"""Kernel timings that are kept between builds, which make later builds of a network much faster.

Timings are valid for one TensorRT version on one GPU, so the file's name has both. A file that
cannot be loaded only costs time: it is ignored, reported and replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeunet.engine.trt.build_options import cache_folder
from edgeunet.engine.trt.plans import Gpu
from edgeunet.engine.trt.provider import Provider
from edgeunet.files import replacing_file


@dataclass(frozen=True)
class TimingCache:
    """A cache file that a build uses. notes: lines for the user from reading it."""

    path: Path
    notes: tuple[str, ...]


def timing_cache_path(provider: Provider, device: Gpu | None) -> Path:
    """Return the default cache file for this TensorRT and GPU."""
    words = (provider.name, provider.version_text, device.name if device else "no-gpu")
    name = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word).strip("_") for word in words)
    return cache_folder() / "timing" / f"{name}.cache"


def attach(config: Any, provider: Provider, path: Path) -> TimingCache | None:
    """Load the timings in a file into a builder config. A missing file gives an empty cache.

    Returns None for TensorRT-RTX, which compiles kernels on the device that runs them, and where
    TensorRT makes no cache.
    """
    if provider.rtx:
        return None
    notes = []
    data = b""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        notes.append(f"the timing cache {path} cannot be read: {error.strerror}")
    cache = _create_cache(config, data)
    if cache is None or not config.set_timing_cache(cache, False):
        if data:
            notes.append(
                f"the timing cache {path} is broken or of another TensorRT or GPU: "
                "it is ignored and replaced"
            )
        cache = _create_cache(config, b"")
        if cache is None or not config.set_timing_cache(cache, False):
            return None
    return TimingCache(path, tuple(notes))


def keep(config: Any, cache: TimingCache) -> str | None:
    """Write the timings of a finished build. Returns a note when writing failed, else None."""
    timings = config.get_timing_cache()
    if timings is None:
        return None
    data = bytes(timings.serialize())
    try:
        with replacing_file(cache.path) as beside:
            beside.write_bytes(data)
    except OSError as error:
        return f"the timing cache {cache.path} cannot be written: {error.strerror}"
    return None


def _create_cache(config: Any, data: bytes) -> Any:
    try:
        return config.create_timing_cache(data)
    except (RuntimeError, TypeError):
        return None
