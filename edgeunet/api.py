"""edgeunet from Python: a network's memory, its export to a bundle, and running it.

Everything in ``__all__`` is reached as ``edgeunet.NAME``. Heavy packages are imported when they
are used: ``open_bundle`` and ``frames`` need no torch.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgeunet.analysis.memory_report import MemoryReport
from edgeunet.bundle import open_bundle as _verified
from edgeunet.bundle.folder import Bundle
from edgeunet.calibration import FOLDER
from edgeunet.choosing.export_subject import NetworkOptions, choose_network, export_order
from edgeunet.choosing.int8 import int8_order
from edgeunet.choosing.memory import TorchModule, Wanted, subject_of
from edgeunet.choosing.networks import missing_package
from edgeunet.choosing.plan_choice import Windows, cpu_choice, plan_request, planned_engine
from edgeunet.errors import EdgeUnetError, SourceError, UsageError, near_match
from edgeunet.images.stated_bits import stating_bits
from edgeunet.media.sources import open_source
from edgeunet.recipes import recipe_names
from edgeunet.run.loaded_network import Network
from edgeunet.specs import Engine, FrameType, Image, Precision
from edgeunet.units import parse_bytes, parse_size

if TYPE_CHECKING:
    from edgeunet.calibration.making import MadeSet

__all__ = [
    "Bundle",
    "EdgeUnetError",
    "Engine",
    "FrameType",
    "MemoryReport",
    "Network",
    "Precision",
    "export",
    "frames",
    "make_calibration_set",
    "memory",
    "network_names",
    "open_bundle",
]

Size = tuple[int, int] | str
"""(height, width) in pixels, or a text such as ``1080x1920``."""

Bytes = int | str
"""A number of bytes, or a text such as ``200MiB``."""

Note = Callable[[str], None]
"""Is told, in a sentence, what is being done or was decided."""

_Member = TypeVar("_Member", bound=enum.Enum)


def network_names() -> tuple[str, ...]:
    """Return the names of the networks that ship with edgeunet."""
    return recipe_names()


def memory(
    target: str | Path | TorchModule,
    *,
    size: Size | None = None,
    precision: Precision | str | None = None,
    width: int | None = None,
    budget: Bytes | None = None,
    windows: Windows | None = None,
    board: str | None = None,
    cpu: str | None = None,
) -> MemoryReport:
    """Compute the memory that a network needs. Nothing is run.

    target: the name of a network, a recipe's path, a bundle's folder, an ONNX file, or a torch
        module that takes one (1, 3, H, W) float32 image.
    size: of the frame. A network of edgeunet has one of its own; a torch module needs it, and an
        ONNX file whose axes are open, with a batch of 1.
    precision: ``fp32`` unless given, or ``fp16``.
    width: channels at full resolution; the recipe's own unless given.
    budget: the most memory for activations. The frame plan that fits is analysed.
    windows: (rows, columns) in pixels, ``auto``, or ``none`` for whole frames.
    board: a Jetson module, such as ``orin-nano-4gb``. Its usable memory is the budget.
    cpu: the processors that the plan's memory is for: ``avx512``, ``avx2``, ``arm64`` or ``here``;
        every class unless given.

    precision, width, budget, windows, board and cpu are for networks of edgeunet; anything else is
    what it is.

    Returns a report. Its figures are in bytes, and a notebook shows it as tables.
    Raises UsageError for what cannot be asked, BudgetError when nothing fits, GraphError for a
    file that is no network, RecipeError for a network that is not known.
    """
    kind = None if precision is None else _member(Precision, precision, "precision")
    wanted = Wanted(
        size=_size(size),
        precision=kind,
        width=width,
        budget_bytes=_bytes(budget),
        windows=windows,
        board=board,
        cpu=cpu_choice(cpu, board, planned_engine(kind)),
    )
    return subject_of(str(target) if isinstance(target, Path) else target, wanted).report


def export(
    model: str | Path | TorchModule,
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    size: Size | None = None,
    precision: Precision | str = Precision.FP32,
    width: int | None = None,
    weights: str | Path | None = None,
    random_weights: bool = False,
    budget: Bytes | None = None,
    windows: Windows | None = None,
    board: str | None = None,
    cpu: str | None = None,
    workers: int | None = None,
    calibration: str | Path | None = None,
    engine: Engine | str = Engine.ONNXRUNTIME,
    max_drop_db: float | None = None,
    frame_type: FrameType | str = FrameType.UINT8,
    out: str | Path | None = None,
    on_note: Note | None = None,
) -> Bundle:
    """Export a network to a bundle. It is compared with the network before it is written.

    model: the name of a network, a recipe's path, an ONNX file, or a torch module that takes one
        (1, 3, H, W) float32 image.
    inputs, outputs: what the tensors of a file or a module are, by name, such as
        ``{"x": "rgb,0..255"}`` and ``{"y": "logits"}``; what is not said is found or assumed. A
        module's input is ``x``. The words are those of ``edgeunet export --input`` and
        ``--output``. width, weights and random_weights are for networks of edgeunet.
    size, width, budget, windows, board, cpu: as for ``memory``.
    workers: how many windows are to run at a time on onnxruntime, within the budget.
    precision: ``fp32``, ``fp16`` or ``int8``.
    weights: a .safetensors file; the shipped one unless given.
    random_weights: take untrained weights, to measure memory and speed.
    calibration: for INT8, a calibration set's name or path; ``photographs`` unless given.
    engine: for INT8, whose integer kernels the graph is for: ``onnxruntime`` or ``tensorrt``.
    max_drop_db: for INT8, the most PSNR in dB that may be lost. As few convolutions as that
        takes stay in floats.
    frame_type: ``uint8``, or ``float32`` for TensorRT before 8.5.
    out: the bundle's folder; named after network, size and precision unless given.
    on_note: is told what is being done.

    Returns the bundle. Its manifest has the parity and memory figures.
    Raises ParityError when the graph does not reproduce the network, BudgetError when nothing
    fits, WeightsError, BundleError and UsageError as their names say, OSError when the folder
    cannot be written, MissingPackageError without torch.
    """
    kind = _member(Precision, precision, "precision")
    chosen = choose_network(
        NetworkOptions(
            model=str(model) if isinstance(model, Path) else model,
            size=_size(size),
            width=width,
            weights=None if weights is None else Path(weights),
            random_weights=random_weights,
            inputs=_said(inputs),
            outputs=_said(outputs),
        ),
        _member(FrameType, frame_type, "frame type"),
    )
    request = plan_request(
        budget_bytes=_bytes(budget), windows=windows, board=board, workers=workers
    )
    target = chosen.bundle_path(kind) if out is None else Path(out)
    int8 = None
    if kind is Precision.INT8:
        int8 = int8_order(
            chosen.network,
            calibration=None if calibration is None else str(calibration),
            engine=_member(Engine, engine, "engine"),
            max_drop_db=max_drop_db,
            keeps_ranges=chosen.keeps_ranges(None if calibration is None else str(calibration)),
        )
    elif calibration is not None or max_drop_db is not None:
        raise UsageError(
            f"calibration and max_drop_db are for INT8, and the export is {kind}",
            hint='add precision="int8", or leave them out',
        )
    order = export_order(
        chosen,
        kind,
        request=request,
        int8=int8,
        cpu=cpu,
        board=board,
        frame_type=_member(FrameType, frame_type, "frame type"),
    )
    from edgeunet.convert.exporting import export_bundle
    from edgeunet.run.executor import Executor

    tell = on_note or _ignore
    return export_bundle(
        order, target, open_runner=Executor, graphs=chosen.graphs, report=tell
    ).bundle


def open_bundle(
    path: str | Path,
    *,
    engine: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    on_note: Note | None = None,
) -> Network:
    """Verify a bundle, and load it into an engine.

    engine: ``onnxruntime``, ``tensorrt``, or ``auto``, which takes TensorRT where the bundle has
        plans for this GPU.
    threads: of the CPU; all of them unless given.
    workers: windows that run at a time on onnxruntime and share the threads; unless given, as many
        as the bundle was exported for. The answers are the same.
    on_note: is told which engine was chosen and why.

    Returns the network. Use it in a ``with`` statement, or close it.
    Raises BundleError for a folder that is no whole bundle; EngineError and MissingPackageError
    when no engine can run it.
    """
    return Network(
        _verified(Path(path)), engine=engine, threads=threads, workers=workers, on_note=on_note
    )


def frames(
    source: str | Path,
    *,
    size: Size | None = None,
    limit: int | None = None,
    image_bits: int | None = None,
) -> Iterator[Image]:
    """Yield the frames of a source, (H, W, 3) uint8 BGR. Each array belongs to the caller.

    source: a video, an image, a folder, a glob, a camera (``0``, ``v4l2:///dev/video0``,
        ``csi://0``), ``rtsp://...``, ``gst://PIPELINE``, or ``test://`` for a moving pattern.
        Files give every frame, cameras the newest.
    size: what a camera is set to.
    limit: the most frames.
    image_bits: how many bits are meant in 16-bit image files that do not say it, like 12.

    The source is opened with the first frame, and closed when the iteration ends. What was left
    out, and why, is said by ``warnings.warn`` then.
    Raises UsageError for what is no source, SourceError when it cannot be opened or breaks off.
    """
    if limit is not None and limit < 0:
        raise UsageError(f"{limit} is not a number of frames", hint="give a limit from 0")
    with stating_bits(image_bits):
        opened = open_source(str(source), _size(size))
    try:
        delivered = 0
        while delivered != limit:
            # Around every reading, not around the whole: the caller goes on between two frames.
            with stating_bits(image_bits):
                frame = opened.read()
            if frame is None:
                report = opened.report()
                damage = f"{opened.name}: {report.damage()}" if report.damaged else ""
                for line in filter(None, (*report.warnings, *report.skipped, damage)):
                    warnings.warn(line, stacklevel=2)
                if report.broken_off:
                    raise SourceError(report.broken_off, hint="check the file or the camera")
                return
            delivered += 1
            yield frame.image
    finally:
        opened.close()


def make_calibration_set(
    inputs: str | Path | Sequence[str | Path],
    name: str,
    *,
    folder: str | Path = FOLDER,
    count: int | None = None,
    size: Size | None = None,
    sigmas: Sequence[float] = (0.0, 15.0, 25.0, 50.0),
    seed: int = 0,
    licences: Sequence[str] = (),
    copy: bool = False,
    limit: int | None = None,
    image_bits: int | None = None,
    consecutive: bool = False,
) -> MadeSet:
    """Choose frames of pictures to measure INT8 ranges on, and write the set.

    inputs: folders of images, images, videos, cameras.
    name: of the set: a-z, 0-9, ``-`` and ``_``.
    folder: where ``NAME.toml`` is written.
    count: of frames; 64, or as many different ones as there are, unless given.
    size: (height, width) of every frame; that of the pictures unless given.
    sigmas: levels of white noise that is added, in 8-bit units.
    licences: terms of the pictures, once or once per input.
    copy: store the frames beside the set.
    limit: the most pictures of each input.
    image_bits: as for ``frames``; the frames must be stored then (``copy``).
    consecutive: the pictures of a folder are the frames of one clip, in the order of their names.

    Returns what was made; give its ``path`` to ``export`` as ``calibration``.
    Raises UsageError for what contradicts itself, SourceError for pictures that no set can be
    made of, OSError when it cannot be written.
    """
    many = [inputs] if isinstance(inputs, (str, Path)) else inputs
    try:
        from edgeunet.calibration.making import make_set
        from edgeunet.calibration.set_order import SetOrder
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="making a calibration set", extra="export") from error
    order = SetOrder(
        inputs=tuple(str(one) for one in many),
        name=name,
        folder=Path(folder),
        frames=count,
        size=_size(size),
        sigmas=tuple(sigmas),
        seed=seed,
        licences=tuple(licences),
        copy=copy,
        limit=limit,
        image_bits=image_bits,
        consecutive=consecutive,
    )
    return make_set(order, lambda done, total: None)


def _said(words: Mapping[str, str] | None) -> tuple[str, ...]:
    return tuple(f"{name}={text}" for name, text in (words or {}).items())


def _size(size: Size | None) -> tuple[int, int] | None:
    return parse_size(size) if isinstance(size, str) else size


def _bytes(size: Bytes | None) -> int | None:
    return parse_bytes(size) if isinstance(size, str) else size


def _member(kind: type[_Member], text: _Member | str, what: str) -> _Member:
    """Return the member of an enum that a text names."""
    known = [str(member) for member in kind]
    if str(text) not in known:
        raise UsageError(
            f"there is no {what} {str(text)!r}",
            hint=near_match(str(text), known) + f"known: {', '.join(known)}",
        )
    return kind(str(text))


def _ignore(text: str) -> None: ...
