"""Read TOML files; write files and folders whole or not at all, by renaming."""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

_BLOCK_BYTES = 1 << 20


_Table = TypeVar("_Table")


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a JSON or TOML file raises when it is broken."""

_LARGEST_TOML_BYTES = 16 << 20
# A dotted key of n parts takes memory that grows with n squared.
_DEEP_KEY = re.compile(rb"""(?:\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*){64}""")


def read_toml(path: Path, type: type[_Table]) -> _Table:
    """Read a TOML file into a msgspec type. A byte order mark is skipped.

    Raises OSError, msgspec.DecodeError, or UnicodeDecodeError for a file that is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST_TOML_BYTES + 1)
    if len(data) > _LARGEST_TOML_BYTES:
        raise msgspec.DecodeError(f"it has more than {_LARGEST_TOML_BYTES >> 20} MiB")
    if _DEEP_KEY.search(data):
        raise msgspec.DecodeError("its keys are nested more than 64 deep")
    try:
        return msgspec.toml.decode(data.removeprefix(codecs.BOM_UTF8), type=type)
    except RecursionError as error:
        raise msgspec.DecodeError("its values are nested too deep") from error
    except UnicodeDecodeError:
        raise
    except ValueError as error:  # a number of more digits than Python converts
        raise msgspec.DecodeError(str(error)) from error


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def naming(target: Path, beside: Path | None = None) -> Iterator[None]:
    """Make an OSError name ``target``, the file that the user asked for.

    beside: the file that is written first; errors that name other files are not changed.
    """
    try:
        yield
    except OSError as error:
        # If a copy fails, the second file name is the one being written.
        named = error.filename if error.filename2 is None else error.filename2
        hidden = named is None or str(named).startswith(str(beside or ""))
        if hidden and error.errno is not None:
            error.filename = str(target)
            del error.filename2
        raise


@contextlib.contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target``; on success rename it over, on failure remove it.

    The temporary name keeps the suffix, because codecs and plotters choose formats by it.
    Folders made for the target are removed again on failure; an OSError names the target.
    """
    with _parents(target):
        with naming(target):
            handle, name = tempfile.mkstemp(
                prefix=f".{target.stem}-", suffix=f".partial{target.suffix}", dir=target.parent
            )
        os.close(handle)
        beside = Path(name)
        try:
            with naming(target, beside):
                yield beside
                _open_up(beside, 0o666)
                beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


def keep_part(beside: Path, target: Path) -> Path:
    """Give an unfinished file of ``replacing_file`` a name beside its target, and return it.

    The name is ``out.part.mp4`` for ``out.mp4``, or the first of ``out.part-2.mp4`` and so on that
    is free.
    """
    number, kept = 1, target.with_name(f"{target.stem}.part{target.suffix}")
    while kept.exists():
        number += 1
        kept = target.with_name(f"{target.stem}.part-{number}{target.suffix}")
    _open_up(beside, 0o666)
    beside.rename(kept)
    return kept


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; on success it takes the target's place.

    Folders made for the target are removed again on failure; an OSError names the target.
    """
    with _parents(target):
        beside = _folder_beside(target)
        retired: Path | None = None
        try:
            with naming(target, beside):
                yield beside
                _open_up(beside, 0o777)
                if target.exists():
                    retired = _folder_beside(target)
                    target.rename(retired / target.name)
                beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            if retired is not None:
                if not target.exists():
                    (retired / target.name).rename(target)
                shutil.rmtree(retired, ignore_errors=True)


def check_writable(target: Path) -> None:
    """Raise OSError if ``replacing_folder`` could not write; nothing is left behind."""
    with _parents(target) as made:
        _folder_beside(target).rmdir()
        _remove_empty(made)


def _folder_beside(target: Path) -> Path:
    with naming(target):
        return Path(
            tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".partial", dir=target.parent)
        )


@contextlib.contextmanager
def _parents(target: Path) -> Iterator[list[Path]]:
    """Make the folders above ``target``; on failure remove those that were made."""
    made = [folder for folder in target.parents if not folder.exists()]
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(
                errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent)
            ) from error
        yield made
    except BaseException:
        _remove_empty(made)
        raise


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders that are still empty, the innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _open_up(path: Path, mode: int) -> None:
    """Give a file of tempfile, which is private, the usual mode of open() or mkdir()."""
    # File systems without Unix modes, such as FAT, raise OSError.
    with contextlib.suppress(OSError):
        path.chmod(mode & ~_current_umask())


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
