"""Writing whole files or none: write beside the target, then rename over it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target``; on success rename it over, on failure remove it.

    The temporary name keeps the suffix, because codecs and plotters choose formats by it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{target.stem}-", suffix=f".partial{target.suffix}", dir=target.parent
    )
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        _open_up(beside, 0o666)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; on success it takes the target's place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".partial", dir=target.parent))
    retired: Path | None = None
    try:
        yield beside
        _open_up(beside, 0o777)
        if target.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            target.rename(retired / target.name)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if retired is not None:
            if not target.exists():
                (retired / target.name).rename(target)
            shutil.rmtree(retired, ignore_errors=True)


def _open_up(path: Path, mode: int) -> None:
    """Give what tempfile made private the mode that a plain open() or mkdir() would give it."""
    # A disk without Unix modes, such as a FAT memory card, refuses; there nothing is private.
    with contextlib.suppress(OSError):
        path.chmod(mode & ~_current_umask())


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
