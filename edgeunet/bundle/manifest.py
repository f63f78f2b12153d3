"""The bundle's ``manifest.json``: what is in the folder and how a frame goes through it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from edgeunet.contracts import ForeignNetwork
from edgeunet.files import UNREADABLE
from edgeunet.frame_windows import Halo, Window, windows
from edgeunet.network_facts import NetworkFacts
from edgeunet.recipes import Recipe
from edgeunet.specs import ClassLabel, Engine, FrameType, Precision, Task, TensorSpec

SCHEMA_VERSION = 4
FILE_NAME = "manifest.json"
ENGINES = "engines"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A JSON object whose keys are all known."""


class TensorEntry(_Entry, frozen=True):
    """One tensor at a stage's border."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def spec(self) -> TensorSpec:
        return TensorSpec(self.name, self.shape, self.dtype)


class WindowEntry(_Entry, frozen=True):
    """The window a stage runs on, in pixels of the padded frame.

    align: windows start at multiples of it. halo_rows, halo_columns: (before, after), the pixels
    at a window's ends that come out wrong unless the frame ends there.
    """

    height: int
    width: int
    align: int
    halo_rows: tuple[int, int]
    halo_columns: tuple[int, int]

    @property
    def cellwise(self) -> bool:
        """Whether no window needs a pixel of its neighbours."""
        return not any((*self.halo_rows, *self.halo_columns))

    def cover(self, height: int, width: int) -> tuple[list[Window], list[Window]]:
        """Return the windows along the rows and along the columns of a padded frame.

        Raises UsageError when a window is too small for its halo.
        """
        rows, columns = Halo(*self.halo_rows), Halo(*self.halo_columns)
        return (
            windows(height, min(self.height, height), align=self.align, halo=rows),
            windows(width, min(self.width, width), align=self.align, halo=columns),
        )


class StageEntry(_Entry, frozen=True):
    """A graph that runs once per frame, or once per window when it has one.

    graph: a path inside the bundle. inputs, outputs: as the graph has them, of one window.
    chain: the name of the chain that it takes turns in with its neighbours; see window_turns.py.
    """

    name: str
    graph: str
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    window: WindowEntry | None = None
    chain: str = ""


class HeldEntry(_Entry, frozen=True):
    """A tensor of the padded frame that stages hand on to later ones.

    stride: pixels that hold ``finer`` elements, 1 unless the tensor is finer than the frame. axes:
    which are rows and columns; None for a vector.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stride: int
    axes: tuple[int, int] | None
    finer: int = 1

    def spec(self) -> TensorSpec:
        return TensorSpec(self.name, self.shape, self.dtype)

    def shape_in(self, window: tuple[int, int], frame: tuple[int, int]) -> tuple[int, ...]:
        """Return its shape within a window. window, frame: (height, width) in pixels."""
        if self.axes is None:
            return self.shape
        shape = list(self.shape)
        for axis, length, whole in zip(self.axes, window, frame, strict=True):
            shape[axis] -= (whole - length) * self.finer // self.stride
        return tuple(shape)


class StateEntry(_Entry, frozen=True):
    """A tensor that is kept from frame to frame, and what takes its place after a frame.

    name: an input of a stage, which no stage makes. made_by: an output, a tensor of a stage, the
    frame, or a state that is listed after this one. The plan lists both tensors.
    repeats_first: before the first frame it is that frame; otherwise it is zero.
    """

    name: str
    made_by: str
    repeats_first: bool = False


class FramePlanEntry(_Entry, frozen=True):
    """How the frame is cut into stages.

    height, width: of the frame with zeros added at the right and bottom. level, recompute, relays:
    see graph/split.py. tensors: all at a stage's border: the frame, what is held, the outputs.
    recompute_ratio: operations done over operations of the whole frame. predicted_bytes: what a
    run is expected to take, on ``engine``; see imitation/prediction.py. workers: how many windows
    run at a time in it. worker_bytes: what each further worker is expected to take.
    """

    height: int
    width: int
    level: int
    recompute: int
    tensors: tuple[HeldEntry, ...]
    recompute_ratio: float
    engine: Engine
    predicted_bytes: int
    budget_bytes: int | None = None
    relays: tuple[int, ...] = ()
    workers: int = 1
    worker_bytes: int = 0


class ClassEntry(_Entry, frozen=True):
    """A class of a label map, with the RGB colour it is drawn in."""

    name: str
    colour: tuple[int, int, int]

    def label(self) -> ClassLabel:
        return ClassLabel(self.name, self.colour)


class OutputEntry(_Entry, frozen=True):
    """What one of the frame's outputs means.

    denoise: (1, H, W, 3) uint8 BGR. segment: (1, H, W) uint8 class indices.
    classify: (1, classes) float32 probabilities, or a foreign network's vector.
    In a bundle for float frames the graph gives the first two in float32, and whoever runs it
    rounds them.
    shape: where it is not the frame's, as for an image twice as large, or labels at a quarter.
    """

    name: str
    task: Task
    classes: tuple[ClassEntry, ...] = ()
    shape: tuple[int, ...] | None = None

    def scale(self, height: int) -> int:
        """Return how many rows of an image there are per row of a frame of this height."""
        return 1 if self.shape is None else self.shape[1] // height

    def spec(self, height: int, width: int, frame_type: FrameType = FrameType.UINT8) -> TensorSpec:
        """Return the shape and type it must have in a bundle for such frames of this size."""
        if self.shape is not None:
            floats = self.task is Task.CLASSIFY
            return TensorSpec(self.name, self.shape, "float32" if floats else str(frame_type))
        if self.task is Task.DENOISE:
            return TensorSpec(self.name, (1, height, width, 3), str(frame_type))
        if self.task is Task.SEGMENT:
            return TensorSpec(self.name, (1, height, width), str(frame_type))
        return TensorSpec(self.name, (1, len(self.classes)), "float32")


class ParityEntry(_Entry, frozen=True):
    """Agreement of one output with torch FP32 on one frame; a null value is bit equality.

    limit: null where nothing was demanded.
    """

    frame: str
    output: str
    metric: str
    value: float | None
    limit: float | None


class MemoryEntry(_Entry, frozen=True):
    """Figures computed from the graphs, in bytes; see ARCHITECTURE.md for the four words.

    held_bytes: what stages hold for later ones, within peak_live_bytes and arena_bytes.
    region_bytes: what onnxruntime's arena needs, all stages sharing it, on the processor that needs
        most; 0 for other engines.
    """

    skip_bytes: int
    peak_live_bytes: int
    arena_bytes: int
    io_bytes: int
    weight_bytes: int
    held_bytes: int = 0
    region_bytes: int = 0


class ProcessorEntry(_Entry, frozen=True):
    """What onnxruntime is expected to take on the processors of some classes, in bytes.

    classes: their names; see ``processors.py``. region_bytes: its arena's region.
    predicted_bytes: activations, buffers included, weights not; see imitation/prediction.py.
    thread_bytes: what both are larger by for each thread more than the ``threads`` of CpuEntry.
    stack_bytes: what the second is larger by besides, for each more, and smaller for each fewer;
        null in bundles that say nothing of it.
    """

    classes: tuple[str, ...]
    region_bytes: int
    predicted_bytes: int
    thread_bytes: int = 0
    stack_bytes: int | None = None


class CpuEntry(_Entry, frozen=True):
    """The processors that a bundle was made for, and what onnxruntime takes on them.

    name: the export's ``--cpu``; null for every class. threads: what the figures are for.
    budget_bytes: the most that activations may take; null without a limit.
    """

    name: str | None
    threads: int
    budget_bytes: int | None
    processors: tuple[ProcessorEntry, ...]


class QuantizationEntry(_Entry, frozen=True):
    """How an INT8 bundle was quantized.

    target: the engine its integers are for. calibrator: how ranges were chosen. members:
    digest of the calibration set's frames. convolutions: how many are computed in 8 bits, of
    how many. macs_share: of the multiply-accumulates. kept: the weights that stayed in floats.
    loss_db: of PSNR on frames of the set held back, where layers were chosen by it.
    """

    target: str
    calibrator: str
    members: str
    convolutions: tuple[int, int]
    macs_share: float
    kept: tuple[str, ...]
    loss_db: float | None = None


class Manifest(_Entry, frozen=True):
    """The whole manifest.

    recipe, foreign: what the network is; one of them is null.
    frame_type: what the graphs take frames as; see ``FrameType``.
    cpu: None in bundles for another engine, and in those of schema 3 and older.
    files: every other file in the folder, to its SHA-256; ``engines/`` is not listed, since
    the device fills it. digest: see ``digest_of``.
    """

    schema_version: int
    name: str
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
    recipe: Recipe | None = None
    foreign: ForeignNetwork | None = None
    frame_type: FrameType = FrameType.UINT8
    calibration: str | None = None
    quantization: QuantizationEntry | None = None
    plan: FramePlanEntry | None = None
    states: tuple[StateEntry, ...] = ()
    cpu: CpuEntry | None = None
    digest: str = ""

    @property
    def network(self) -> NetworkFacts:
        """The recipe, or the foreign network."""
        found = self.recipe or self.foreign
        if found is None:
            raise ValueError("a manifest without a network; agreement.py refuses it")
        return found

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def decode(data: bytes) -> Manifest:
    """Decode a manifest of this schema or an older one; raises one of UNREADABLE.

    What is decoded is of this schema. Its digest stays that of the file: TensorRT plans that were
    built for a bundle are known by it.
    """
    document = msgspec.json.decode(data)
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version in (1, 2):
        document = _of_this_schema(document)
    if version in (1, 2, 3):
        data = msgspec.json.encode({**document, "schema_version": SCHEMA_VERSION})
    return msgspec.json.decode(data, type=Manifest)


def _of_this_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document of schema 1 or 2 in the words of later ones, which call halos halos."""
    stages = document.get("stages")
    if not isinstance(stages, list):
        return document
    return {
        **document,
        "stages": [_stage_of_this_schema(stage) for stage in stages],
    }


def _stage_of_this_schema(stage: Any) -> Any:
    if not isinstance(stage, dict):
        return stage
    renamed = {"window" if key == "tile" else key: value for key, value in stage.items()}
    if isinstance(renamed.get("window"), dict):
        words = {"rows": "halo_rows", "columns": "halo_columns"}
        renamed["window"] = {words.get(key, key): value for key, value in renamed["window"].items()}
    return renamed


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


class _NetworkPart(msgspec.Struct, frozen=True):
    recipe: Recipe | None = None
    foreign: ForeignNetwork | None = None


def source_named_in(data: bytes) -> str | None:
    """Return the options that name the network to ``edgeunet export``, None if unreadable."""
    try:
        found = msgspec.json.decode(data, type=_NetworkPart)
    except UNREADABLE:
        return None
    if found.foreign is not None:
        return f"--onnx {found.foreign.file}"
    return None if found.recipe is None else f"--model {found.recipe.name}"


def schema_version_of(data: bytes) -> Any:
    """Return what the file calls its schema version, whatever the rest looks like."""
    document = msgspec.json.decode(data)
    return document.get("schema_version") if isinstance(document, dict) else None
