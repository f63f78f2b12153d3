"""The timings of kernels, kept between builds: the second build of a network takes seconds.

They hold for one version of TensorRT on one GPU, so the file's name has both. A file that does not
load costs time and nothing else: it is left out of account, said so, and replaced.
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
    """A file, and what was said when it was read."""

    path: Path
    notes: tuple[str, ...]


def timing_cache_path(provider: Provider, device: Gpu | None) -> Path:
    """Return where the timings of this TensorRT on this GPU are kept."""
    words = (provider.name, provider.version_text, device.name if device else "no-gpu")
    name = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word).strip("_") for word in words)
    return cache_folder() / "timing" / f"{name}.cache"


def attach(config: Any, provider: Provider, path: Path) -> TimingCache | None:
    """Give a builder config the timings in a file, or none yet; None where they mean nothing."""
    if provider.rtx:
        # Its kernels are compiled on the device that runs them; the calls only ask for a GPU.
        return None
    notes = []
    data = b""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        notes.append(f"the timing cache {path} cannot be read: {error.strerror}")
    cache = _made(config, data)
    if cache is None or not config.set_timing_cache(cache, False):
        if data:
            notes.append(
                f"the timing cache {path} is broken or of another TensorRT or GPU: "
                "it is left out of account and replaced"
            )
        cache = _made(config, b"")
        if cache is None or not config.set_timing_cache(cache, False):
            return None
    return TimingCache(path, tuple(notes))


def keep(config: Any, cache: TimingCache) -> str | None:
    """Write the timings that a build ended with; return what went wrong, which costs only time."""
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


def _made(config: Any, data: bytes) -> Any:
    try:
        return config.create_timing_cache(data)
    except (RuntimeError, TypeError):
        return None
