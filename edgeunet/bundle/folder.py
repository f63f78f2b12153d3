"""Opens and writes bundle folders. Opening verifies every file before any is used."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from edgeunet.bundle import manifest as manifests
from edgeunet.bundle.agreement import contradiction_in
from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import BundleError
from edgeunet.files import UNREADABLE, replacing_folder, sha256_of
from edgeunet.notebook import html_table
from edgeunet.units import format_bytes, format_size

_COPY = "copy the bundle again, or {again}"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk.

    path: its folder.
    manifest: its description.
    """

    path: Path
    manifest: Manifest

    def file(self, relative: str) -> Path:
        """Return the path of a file of the bundle."""
        return self.path / relative

    def _repr_html_(self) -> str:
        """Return tables for a notebook: the bundle's properties and its parity."""
        of, memory = self.manifest, self.manifest.memory
        facts = html_table(
            self.path.name,
            ("network", "frame", "precision", "weights", "outputs", "arena", "weights take"),
            [
                (
                    of.network.name,
                    format_size(of.height, of.width),
                    str(of.precision),
                    of.weights,
                    ", ".join(entry.name for entry in of.outputs),
                    format_bytes(memory.arena_bytes),
                    format_bytes(memory.weight_bytes),
                )
            ],
        )
        parity = html_table(
            "compared with the network itself",
            ("frame", "output", "measure", "value", "limit"),
            [
                (
                    entry.frame,
                    entry.output,
                    entry.metric,
                    "equal" if entry.value is None else f"{entry.value:.4g}",
                    "" if entry.limit is None else f"{entry.limit:.4g}",
                )
                for entry in of.parity
            ],
        )
        return facts + parity


def open_bundle(path: Path) -> Bundle:
    """Open a bundle, after verifying its schema, its paths and the hash of every file.

    path: the bundle's folder.
    Raises BundleError that says what is wrong and what to do.
    """
    name = path.name or repr(str(path))
    if not path.is_dir():
        raise BundleError(
            f"there is no bundle folder {str(path)!r}",
            hint="make one with: edgeunet export --model unetmm --fp16",
        )
    document = path / manifests.FILE_NAME
    if not document.is_file():
        raise BundleError(
            f"{name} has no {manifests.FILE_NAME}, so it is not a bundle",
            hint="give the folder that edgeunet export wrote",
        )
    data = document.read_bytes()
    again = _again(data)
    try:
        version = manifests.schema_version_of(data)
        if isinstance(version, int) and version < 1:
            raise BundleError(f"{name} has no bundle schema {version}", hint=again)
        if isinstance(version, int) and version > manifests.SCHEMA_VERSION:
            raise BundleError(
                f"{name} has bundle schema {version}; "
                f"this version reads up to {manifests.SCHEMA_VERSION}",
                hint="update edgeunet on this machine, or export with this version",
            )
        manifest = manifests.decode(data)
    except UNREADABLE as error:
        raise BundleError(f"the manifest of {name} is broken: {error}", hint=again) from error
    if manifest.digest != manifests.digest_of(data):
        raise BundleError(
            f"the manifest of {name} was changed after the export",
            hint=_COPY.format(again=again),
        )
    contradiction = contradiction_in(manifest)
    if contradiction:
        raise BundleError(f"the manifest of {name} contradicts itself: {contradiction}", hint=again)
    _check_paths(path, name, manifest, again)
    for relative, digest in manifest.files.items():
        target = path / relative
        if not target.is_file():
            raise BundleError(f"{name} lacks the file {relative!r}", hint=again)
        if sha256_of(target) != digest:
            raise BundleError(
                f"the file {relative!r} in {name} is not the one that was exported "
                "(its SHA-256 differs)",
                hint=_COPY.format(again=again),
            )
    return Bundle(path, manifest)


def check_target(target: Path) -> None:
    """Raise BundleError when a bundle cannot be written to ``target``.

    It can when nothing is there, an empty folder, or a bundle without other files.
    """
    if target.name in ("", ".."):
        raise BundleError(
            f"{str(target)!r} is not a name for a bundle",
            hint="name the folder to write, like unetmm.bundle",
        )
    if target.is_symlink():
        raise BundleError(
            f"{str(target)!r} is a symbolic link, so it is not replaced",
            hint="give the folder it points to",
        )
    if not target.exists() or _is_empty_folder(target):
        return
    hint = "name another place for the bundle, or remove it"
    try:
        manifest = manifests.decode((target / manifests.FILE_NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, *UNREADABLE):
        raise BundleError(
            f"{str(target)!r} exists and is not a bundle, so it is not replaced", hint=hint
        ) from None
    extra = _first_extra(target, manifest)
    if extra is not None:
        raise BundleError(
            f"{str(target)!r} is a bundle but also holds {extra!r}, which is not part of the "
            "bundle, so it is not replaced",
            hint=f"move {extra!r} away, or name another place for the bundle",
        )


def _first_extra(folder: Path, manifest: Manifest) -> str | None:
    """Return a file in the folder that is not part of the bundle, or None."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        ours = relative.as_posix() in (manifests.FILE_NAME, *manifest.files)
        is_folder = path.is_dir() and not path.is_symlink()
        if not ours and not is_folder and relative.parts[0] != manifests.ENGINES:
            return relative.as_posix()
    return None


def _again(data: bytes) -> str:
    source = manifests.source_named_in(data)
    if source is None:
        return "export it again with edgeunet export"
    return f"export it again: edgeunet export {source}"


def write_bundle(target: Path, manifest: Manifest, files: dict[str, bytes | Path]) -> Bundle:
    """Write a bundle, whole or not at all, and return it.

    target: the folder; an older bundle there is replaced.
    manifest: its ``files`` and ``digest`` are computed here.
    files: path in the bundle -> content; a file that is given as a path is moved.
    Raises BundleError when ``target`` holds anything else than a bundle.
    """
    check_target(target)
    with replacing_folder(target) as beside:
        hashes: dict[str, str] = {}
        for relative, content in files.items():
            destination = beside / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                # Not rename: the file may be on another disk.
                shutil.move(content, destination)
            else:
                destination.write_bytes(content)
            hashes[relative] = sha256_of(destination)
        manifest = manifests.sealed(msgspec.structs.replace(manifest, files=hashes))
        (beside / manifests.FILE_NAME).write_bytes(manifest.to_json())
    return Bundle(target, manifest)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _check_paths(path: Path, name: str, manifest: Manifest, again: str) -> None:
    """Raise BundleError for paths outside the folder and for stages without a hash.

    A path may also leave the folder through a link.
    """
    root = path.resolve()
    for relative in (*manifest.files, *(stage.graph for stage in manifest.stages)):
        pure = PurePosixPath(relative)
        outside = pure.is_absolute() or ".." in pure.parts or "\\" in relative
        outside = outside or "\0" in relative
        if outside or not (path / relative).resolve().is_relative_to(root):
            raise BundleError(
                f"the manifest of {name} names {relative!r}, which is outside the bundle",
                hint="do not use this bundle; get it again from where it was exported",
            )
    for stage in manifest.stages:
        if stage.graph not in manifest.files:
            raise BundleError(f"the manifest of {name} does not list {stage.graph!r}", hint=again)
