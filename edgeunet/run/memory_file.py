"""Reads and writes the memory of frames that a run ends with, so that the next run goes on from it.

The file is a zip of arrays, as numpy writes them (``.npz``), not compressed. One of them is a JSON
document in bytes, which says what bundle the memory is of; the others are those of
``Executor.memory``. A zip has a checksum of each array, so damage is noticed.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from edgeunet.bundle import Bundle
from edgeunet.bundle.manifest import Manifest
from edgeunet.bundle.tensors import state_specs
from edgeunet.errors import BundleError
from edgeunet.files import UNREADABLE, replacing_file
from edgeunet.run.scene_cut import SCENE, blocks_of
from edgeunet.specs import Array
from edgeunet.units import format_size

_ABOUT = "about"
_SCHEMA = 1

# What zipfile and numpy raise for a broken file.
_BROKEN = (KeyError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile)


class _About(msgspec.Struct, frozen=True):
    """What a memory is of.

    bundle, digest: name of the bundle's folder, and SHA-256 of its manifest.
    height, width: size of its frames in pixels.
    saved: when it was written, in seconds since 1970, UTC.
    """

    schema: int
    bundle: str
    digest: str
    height: int
    width: int
    saved: float


def save_memory(path: Path, memory: Mapping[str, Array], bundle: Bundle) -> None:
    """Write a memory of ``Executor.memory`` whole or not at all. Raises OSError."""
    manifest = bundle.manifest
    about = _About(
        _SCHEMA, bundle.path.name, manifest.digest, manifest.height, manifest.width, time.time()
    )
    document = np.frombuffer(msgspec.json.encode(about), np.uint8)
    with replacing_file(path) as beside, beside.open("wb") as file:
        # A path without the suffix .npz would get it.
        np.savez(file, allow_pickle=False, **{_ABOUT: document}, **memory)


def load_memory(path: Path, bundle: Bundle) -> tuple[dict[str, Array], float]:
    """Return (the memory in a file, seconds since it was written).

    Raises BundleError when the file holds none, or one of another bundle, and OSError.
    """
    anew = "give --resume another file; one that is not there yet starts anew"
    damaged = BundleError(f"{path} holds no memory of a run, or is damaged", hint=anew)
    try:
        arrays = _arrays(path)
        about = msgspec.json.decode(arrays.pop(_ABOUT).tobytes(), type=_About)
    except (*_BROKEN, *UNREADABLE) as error:
        raise damaged from error
    if about.schema != _SCHEMA:
        raise BundleError(f"{path} was written by another version of edgeunet", hint=anew)
    if about.digest != bundle.manifest.digest:
        size = format_size(about.height, about.width)
        raise BundleError(
            f"{path} holds the memory of another bundle: {about.bundle}, {size}, "
            f"SHA-256 {about.digest[:12]}",
            hint=anew,
        )
    if not _fit(arrays, bundle.manifest):
        raise damaged
    return arrays, max(0.0, time.time() - about.saved)


def _arrays(path: Path) -> dict[str, Array]:
    """Return all arrays of a file. None is larger than the file, because none is compressed."""
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed")
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _fit(arrays: Mapping[str, Array], manifest: Manifest) -> bool:
    """Return whether arrays are the states of a bundle, and what a cut is told by."""
    wanted = {spec.name: (spec.shape, np.dtype(spec.dtype)) for spec in state_specs(manifest)}
    if SCENE in arrays:
        shape = blocks_of(manifest.height, manifest.width)
        wanted[SCENE] = shape, np.dtype(np.float32)
    return {name: (array.shape, array.dtype) for name, array in arrays.items()} == wanted
