"""Opening and writing bundle folders. Opening verifies everything before anything is used."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from edgeunet.bundle import manifest as manifests
from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import BundleError
from edgeunet.files import replacing_folder, sha256_of

_AGAIN = "export it again: edgeunet export --model {name}"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: Manifest

    def file(self, relative: str) -> Path:
        return self.path / relative


def open_bundle(path: Path) -> Bundle:
    """Open a bundle; verify its schema, its paths and the hash of every file.

    Raises BundleError that names what is wrong and what to do.
    """
    if not path.is_dir():
        raise BundleError(
            f"there is no bundle folder {str(path)!r}",
            hint="make one with: edgeunet export --model unetmm --fp16",
        )
    document = path / manifests.FILE_NAME
    if not document.is_file():
        raise BundleError(
            f"{path.name} has no {manifests.FILE_NAME}, so it is not a bundle",
            hint="give the folder that edgeunet export wrote",
        )
    data = document.read_bytes()
    again = _AGAIN.format(name=path.name.partition("-")[0] or "NAME")
    try:
        version = manifests.schema_version_of(data)
        if isinstance(version, int) and version < 1:
            raise BundleError(f"{path.name} has no bundle schema {version}", hint=again)
        if isinstance(version, int) and version > manifests.SCHEMA_VERSION:
            raise BundleError(
                f"{path.name} has bundle schema {version}; "
                f"this version reads up to {manifests.SCHEMA_VERSION}",
                hint="update edgeunet on this machine, or export with this version",
            )
        manifest = manifests.decode(data)
    except msgspec.DecodeError as error:
        raise BundleError(f"the manifest of {path.name} is broken: {error}", hint=again) from error
    again = _AGAIN.format(name=manifest.recipe.name)
    _check_paths(path, manifest, again)
    for relative, digest in manifest.files.items():
        target = path / relative
        if not target.is_file():
            raise BundleError(f"{path.name} lacks the file {relative!r}", hint=again)
        if sha256_of(target) != digest:
            raise BundleError(
                f"the file {relative!r} in {path.name} is not the one that was exported "
                "(its SHA-256 differs)",
                hint=f"copy the bundle again, or {again}",
            )
    return Bundle(path, manifest)


def check_target(target: Path) -> None:
    """Raise BundleError where something lies that is neither a bundle nor an empty folder."""
    if not target.exists() or _is_empty_folder(target) or _has_manifest(target):
        return
    raise BundleError(
        f"{str(target)!r} exists and is not a bundle, so it is not replaced",
        hint="name another place for the bundle, or remove it",
    )


def _has_manifest(folder: Path) -> bool:
    """Whether its manifest is one of ours; other programs have a ``manifest.json`` too."""
    try:
        version = manifests.schema_version_of((folder / manifests.FILE_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return isinstance(version, int)


def write_bundle(target: Path, manifest: Manifest, files: dict[str, bytes | Path]) -> Bundle:
    """Write a bundle whole or not at all; ``files`` maps paths inside it to their content.

    The manifest's ``files`` are filled in here from what was written. Content given as a path
    is moved. An older bundle is replaced; raises BundleError rather than replace anything else.
    """
    check_target(target)
    with replacing_folder(target) as beside:
        hashes: dict[str, str] = {}
        for relative, content in files.items():
            destination = beside / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                # Not rename: the content may come from another disk.
                shutil.move(content, destination)
            else:
                destination.write_bytes(content)
            hashes[relative] = sha256_of(destination)
        manifest = msgspec.structs.replace(manifest, files=hashes)
        (beside / manifests.FILE_NAME).write_bytes(manifest.to_json())
    return Bundle(target, manifest)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _check_paths(path: Path, manifest: Manifest, again: str) -> None:
    """Refuse paths that leave the folder, links included, and stages that no hash covers."""
    root = path.resolve()
    for relative in (*manifest.files, *(stage.graph for stage in manifest.stages)):
        pure = PurePosixPath(relative)
        outside = pure.is_absolute() or ".." in pure.parts or "\\" in relative
        outside = outside or "\0" in relative
        if outside or not (path / relative).resolve().is_relative_to(root):
            raise BundleError(
                f"the manifest of {path.name} names {relative!r}, which is outside the bundle",
                hint="do not use this bundle; get it again from where it was exported",
            )
    for stage in manifest.stages:
        if stage.graph not in manifest.files:
            raise BundleError(
                f"the manifest of {path.name} does not list {stage.graph!r}", hint=again
            )
