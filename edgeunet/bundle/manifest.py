"""The bundle's ``manifest.json``: what is in the folder and how a frame goes through it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from edgeunet.recipes import Recipe
from edgeunet.specs import ClassLabel, Precision, Task, TensorSpec

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"
ENGINES = "engines"

# What msgspec raises over a document that is not one of ours.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A JSON object whose keys are all known."""


class TensorEntry(_Entry, frozen=True):
    """One tensor at a stage's border."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def spec(self) -> TensorSpec:
        return TensorSpec(self.name, self.shape, self.dtype)


class StageEntry(_Entry, frozen=True):
    """A graph that runs once per frame. ``graph`` is a path inside the bundle."""

    name: str
    graph: str
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]


class ClassEntry(_Entry, frozen=True):
    """A class of a label map, with the RGB colour it is drawn in."""

    name: str
    colour: tuple[int, int, int]

    def label(self) -> ClassLabel:
        return ClassLabel(self.name, self.colour)


class OutputEntry(_Entry, frozen=True):
    """What one of the frame's outputs means.

    denoise: (1, H, W, 3) uint8 BGR. segment: (1, H, W) uint8 class indices.
    classify: (1, classes) float32 probabilities.
    """

    name: str
    task: Task
    classes: tuple[ClassEntry, ...] = ()

    def spec(self, height: int, width: int) -> TensorSpec:
        """Return the shape and type it must have in a bundle for frames of this size."""
        if self.task is Task.DENOISE:
            return TensorSpec(self.name, (1, height, width, 3), "uint8")
        if self.task is Task.SEGMENT:
            return TensorSpec(self.name, (1, height, width), "uint8")
        return TensorSpec(self.name, (1, len(self.classes)), "float32")


class ParityEntry(_Entry, frozen=True):
    """Agreement of one output with torch FP32 on one frame; a null value is bit equality."""

    frame: str
    output: str
    metric: str
    value: float | None
    limit: float


class MemoryEntry(_Entry, frozen=True):
    """Figures computed from the graphs, in bytes; see ARCHITECTURE.md for the four words."""

    skip_bytes: int
    peak_live_bytes: int
    arena_bytes: int
    io_bytes: int
    weight_bytes: int


class Manifest(_Entry, frozen=True):
    """The whole manifest.

    files: every other file in the folder, to its SHA-256; ``engines/`` is not listed, since
    the device fills it. digest: see ``digest_of``.
    """

    schema_version: int
    name: str
    recipe: Recipe
    weights: str
    weights_sha256: str
    height: int
    width: int
    precision: Precision
    stages: tuple[StageEntry, ...]
    outputs: tuple[OutputEntry, ...]
    parity: tuple[ParityEntry, ...]
    memory: MemoryEntry
    tools: dict[str, str]
    files: dict[str, str]
    calibration: str | None = None
    digest: str = ""

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def decode(data: bytes) -> Manifest:
    """Decode a manifest; raises one of UNREADABLE."""
    return msgspec.json.decode(data, type=Manifest)


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of a manifest's compact JSON with an empty digest in it.

    Of the document, not of what is decoded from it: a field that a later version adds must
    not change the digest of an older manifest.
    """
    document = msgspec.json.decode(data)
    return hashlib.sha256(msgspec.json.encode({**document, "digest": ""})).hexdigest()


def sealed(manifest: Manifest) -> Manifest:
    """Return the manifest with its digest filled in."""
    return msgspec.structs.replace(manifest, digest=digest_of(manifest.to_json()))


class _RecipePart(msgspec.Struct, frozen=True):
    recipe: Recipe


def model_named_in(data: bytes) -> str | None:
    """Return the recipe's name when at least the recipe can be read, else None."""
    try:
        return msgspec.json.decode(data, type=_RecipePart).recipe.name
    except UNREADABLE:
        return None


def schema_version_of(data: bytes) -> Any:
    """Return what the file calls its schema version, whatever the rest looks like."""
    document = msgspec.json.decode(data)
    return document.get("schema_version") if isinstance(document, dict) else None
