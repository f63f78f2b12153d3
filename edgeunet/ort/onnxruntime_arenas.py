"""The arenas that onnxruntime's sessions take activations from: one per bundle.

onnxruntime keeps one arena for all sessions of a process that ask for it, and takes its settings
when it is registered. Version 1.32 lets another one be registered in its place: sessions that are
loaded afterwards use the new arena, those loaded before keep theirs, and an arena that was replaced
goes with its last session. Versions 1.20 and 1.22 refuse a second one.

Two bundles in one arena would take more than was predicted for either: what the first one keeps
lies in the region that was measured for the second. So a bundle never shares an arena unless
onnxruntime refuses another, and then the caller is told.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import onnxruntime

from edgeunet.errors import UsageError
from edgeunet.specs import Pool
from edgeunet.units import LARGEST_BYTES, format_bytes, parse_count, shorten

ARENA_LIMIT = "EDGEUNET_ARENA_LIMIT_BYTES"
"""Environment variable: a hard limit on each arena; runs past it fail."""

# Of arena_extend_strategy: every further region is twice as large as the one before it.
_DOUBLE = 0
_LARGEST_REGION_BYTES = (1 << 31) - 1


@contextlib.contextmanager
def arena_for(pool: Pool | None) -> Iterator[str | None]:
    """While it lasts, the sessions that are loaded use the arena of a pool.

    Give every session of a bundle the same ``Pool`` object, one after the other: each time another
    one comes in between, an arena is made anew. None is for sessions that nothing was predicted
    for; they share an arena of their own. Yields None, or a sentence that says why the pool has no
    arena of its own; the sentence comes once per pool.
    Raises UsageError when the environment's limit is no number of bytes.
    """
    with _LOCK:
        yield _STATE.use(pool)


class _State:
    """Which arena is registered."""

    def __init__(self) -> None:
        self._made = False
        self._pool: Pool | None = None
        self._refused: Pool | None = None

    def use(self, pool: Pool | None) -> str | None:
        if self._made and pool is self._pool:
            return None
        settings = _settings(pool)
        try:
            _register(settings)
        except RuntimeError:
            if not self._made:
                raise
            return self._why_shared(pool)
        self._made, self._pool = True, pool
        return None

    def _why_shared(self, pool: Pool | None) -> str | None:
        if pool is None or pool is self._refused:
            return None
        self._refused = pool
        there = "" if self._pool is None else f" of {format_bytes(self._pool.region_bytes)}"
        return (
            f"onnxruntime {onnxruntime.__version__} has one arena per process, and this process "
            f"set one up{there} before: what was predicted for this bundle, a region of "
            f"{format_bytes(pool.region_bytes)}, may be exceeded; update onnxruntime, or run the "
            "bundle in a process of its own"
        )


_LOCK = threading.Lock()
_STATE = _State()


def _settings(pool: Pool | None) -> dict[str, int]:
    limit = _arena_limit()
    settings = {"max_mem": limit, "arena_extend_strategy": _DOUBLE}
    if pool is not None:
        region = min(limit, pool.region_bytes) if limit else pool.region_bytes
        settings["initial_chunk_size_bytes"] = min(region, _LARGEST_REGION_BYTES)
        settings["max_dead_bytes_per_chunk"] = pool.dead_bytes
    return settings


def _register(settings: dict[str, int]) -> None:
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg(settings))


def _arena_limit() -> int:
    text = os.environ.get(ARENA_LIMIT, "0")
    limit = parse_count(text, LARGEST_BYTES) if text.isdecimal() else None
    if limit is None:
        raise UsageError(f"{ARENA_LIMIT} is {shorten(text)!r}, no number of bytes", hint="unset it")
    return limit
