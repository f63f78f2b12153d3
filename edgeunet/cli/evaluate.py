"""``edgeunet eval``: measure the quality of a network or a bundle on images and clips."""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeunet.choosing.networks import choose_weights, is_bundle, missing_package
from edgeunet.cli.choices import read_recipe_at
from edgeunet.cli.console import note, print_json, progress, warn
from edgeunet.cli.evaluate_report import check_report, make_report, print_report, write_report
from edgeunet.cli.options import AsJson, ImageBits, Seed, Threads, Weights, Width, Workers
from edgeunet.errors import EdgeUnetError, UsageError
from edgeunet.files import check_writable, replacing_file
from edgeunet.specs import Task
from edgeunet.units import parse_size, shorten

if TYPE_CHECKING:
    from edgeunet.evaluate.backends import Backend
    from edgeunet.evaluate.evaluation import Levels, Result
    from edgeunet.evaluate.protocol import NoiseKind
    from edgeunet.evaluate.truth import DataSet, Fit

_TORCH = "torch"
_NOISES = ("float", "uint8", "both")
_NAMED_IMAGES = 5


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|BUNDLE",
            help="A recipe's name or .toml file, or a bundle folder.",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="A folder of images, one with images/ and labels/, one with a folder per class, "
            "one of real pairs with noisy/ and clean/, an image, or a video. For a network with "
            "larger images: pairs, whose clean/ is as much larger.",
            show_default=False,
        ),
    ],
    sigma: Annotated[
        str | None,
        typer.Option(
            "--sigma",
            metavar="LIST",
            help="Noise levels in 8-bit units; default: 0,15,25,50, or 0 for a network that does "
            "not denoise. Real pairs have their own noise.",
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            "--noise",
            metavar="float|uint8|both",
            help="float: not clipped, as in the literature; uint8: clipped to 8 bits, as from a "
            "camera. Default: both for a MODEL, uint8 for a BUNDLE.",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="auto|torch|onnxruntime|tensorrt",
            help="torch for a MODEL; onnxruntime or tensorrt for a BUNDLE.",
        ),
    ] = "auto",
    threads: Threads = None,
    workers: Workers = None,
    weights: Weights = None,
    width: Width = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size", metavar="HxW", help="Frame size that a MODEL is evaluated at, as a BUNDLE is."
        ),
    ] = None,
    fit: Annotated[
        str,
        typer.Option(
            "--fit",
            metavar="crop|skip|refuse",
            help="Images of another size than the frame: crop the centre of larger ones, skip "
            "them, or end with an error. Nothing is resized.",
        ),
    ] = "crop",
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", help="Largest number of images of each DATA."),
    ] = None,
    seed: Seed = 0,
    clip: Annotated[
        bool,
        typer.Option("--clip", help="The images are consecutive frames: also measure flicker."),
    ] = False,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write one row per image and noise level."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="MODEL|BUNDLE",
            help="Another form of the network, INT8 for example, for --report. May be given again.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE.html",
            help="Write a page: quality, size, memory, speed, and the worst images side by side.",
        ),
    ] = None,
    image_bits: ImageBits = None,
    as_json: AsJson = False,
) -> None:
    """Measure PSNR, SSIM, mIoU, accuracy and flicker on your images."""
    _check(limit, csv_file)
    check_report(report, against or (), csv_file)
    try:
        from edgeunet.cli.evaluate_tables import document_of, print_figures
        from edgeunet.evaluate.evaluation import Levels
        from edgeunet.evaluate.named_set import holds_pairs, open_data
        from edgeunet.evaluate.protocol import CLEAN, SIGMAS, parse_sigmas
        from edgeunet.noise_models import check_noise
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="evaluating", extra="eval") from error
    given = [name for name, value in (("--sigma", sigma), ("--noise", noise)) if value is not None]
    how = _read_fit(fit)
    sigmas = None if sigma is None else parse_sigmas(sigma)
    check_noise(0, seed)
    targets = [target, *(against or ())]
    kinds = _read_noise(noise, targets)
    mixed = len({is_bundle(name) for name in targets}) == 2

    if not any(is_bundle(name) for name in targets):
        _refuse_on_torch(threads, workers)

    def open_backend(name: str) -> Backend:
        if is_bundle(name):
            # Some options are only for models, others only for bundles.
            asked = "auto" if mixed and engine == _TORCH else engine
            of_model = {"--weights": weights, "--width": width, "--size": size}
            return _open_bundle(name, asked, {} if mixed else of_model, threads, workers)
        if not mixed:
            return _open_network(name, engine, weights, width, size)
        return _open_network(name, _TORCH, weights, width, size)

    def levels_of(backend: Backend) -> Levels:
        denoises = Task.DENOISE in {head.task for head in backend.heads}
        return Levels(kinds, sigmas or (SIGMAS if denoises else CLEAN), seed)

    def open_sets(backend: Backend) -> list[DataSet]:
        if given and all(holds_pairs(Path(text), backend.heads) for text in data):
            raise UsageError(
                f"{given[0]} is for noise that is added, and real pairs have noise of their own",
                hint=f"leave {given[0]} out, or evaluate clean images too",
            )
        return [
            open_data(
                text,
                backend.heads,
                frame=backend.frame,
                fit=how,
                limit=limit,
                scale=backend.scale,
            )
            for text in data
        ]

    if report is not None:
        page = make_report(
            targets,
            levels_of,
            open_backend=open_backend,
            open_sets=open_sets,
            evaluate=lambda one, entry: _evaluate(one, entry, levels_of(one), clip=clip),
        )
        written = write_report(report, page)
        if as_json:
            print_json(written)
        else:
            print_report(written)
        return
    backend = open_backend(target)
    try:
        levels = levels_of(backend)
        sets = open_sets(backend)
        _tell(backend, sets)
        results = [_evaluate(backend, entry, levels, clip=clip) for entry in sets]
    finally:
        backend.close()
    if csv_file is not None:
        _write_csv(csv_file, sets, results)
    if as_json:
        print_json(document_of(backend, levels, how, sets, results))
    else:
        print_figures(backend, sets, results)
    if csv_file is not None:
        note(f"wrote {csv_file}")


def _check(limit: int | None, csv_file: Path | None) -> None:
    """Raise UsageError for options that would fail only after the work."""
    if limit is not None and limit < 1:
        raise UsageError(f"{limit} is not a number of images", hint="use --limit 1 or more")
    if csv_file is None:
        return
    if csv_file.is_dir():
        raise UsageError(f"{str(csv_file)!r} is a folder", hint="name a file, like figures.csv")
    check_writable(csv_file)


def _read_fit(text: str) -> Fit:
    from edgeunet.evaluate.truth import Fit

    if text not in tuple(Fit):
        raise UsageError(f"there is no --fit {shorten(text)}", hint="use crop, skip or refuse")
    return Fit(text)


def _read_noise(text: str | None, targets: Sequence[str]) -> tuple[NoiseKind, ...]:
    from edgeunet.evaluate.protocol import ADDED, NoiseKind

    if text not in (None, *_NOISES):
        raise UsageError(f"there is no noise {shorten(text)!r}", hint="use float, uint8 or both")
    bundle = next((target for target in targets if is_bundle(target)), None)
    if bundle is None:
        return ADDED if text in (None, "both") else (NoiseKind(text),)
    if text in ("float", "both"):
        raise UsageError(
            f"float noise cannot go through {Path(bundle).name}: a bundle takes 8-bit frames",
            hint="use --noise uint8, or evaluate the MODEL itself with --noise float",
        )
    return (NoiseKind.UINT8,)


def _refuse_on_torch(threads: int | None, workers: int | None) -> None:
    """Raise UsageError for options of a bundle's engine."""
    for name, value in (("--threads", threads), ("--workers", workers)):
        if value is not None:
            raise UsageError(
                f"{name} is for a BUNDLE: torch runs a MODEL in its own way",
                hint=f"leave {name} out, or export a bundle",
            )


def _open_bundle(
    target: str,
    engine: str,
    of_model: Mapping[str, object],
    threads: int | None,
    workers: int | None,
) -> Backend:
    """Open a bundle. of_model: options that only a model can have."""
    from edgeunet.evaluate.backends import BundleBackend

    if engine == _TORCH:
        raise UsageError(
            "torch does not run a bundle",
            hint="leave --engine out, or evaluate the MODEL itself in torch, with --size HxW to "
            "compare",
        )
    given = next((name for name, value in of_model.items() if value is not None), None)
    if given is not None:
        raise UsageError(
            f"{given} is for a MODEL: a bundle has its weights, width and frame size",
            hint=f"leave {given} out, or export another bundle",
        )
    return BundleBackend(Path(target), engine, threads=threads, workers=workers, on_note=note)


def _open_network(
    target: str, engine: str, weights: Path | None, width: str | None, size: str | None
) -> Backend:
    if engine not in ("auto", _TORCH):
        raise UsageError(
            f"a MODEL is evaluated in torch, not in {shorten(engine)!r}",
            hint="leave --engine out, or export a bundle and evaluate that",
        )
    recipe = read_recipe_at(target, width)
    frame = None if size is None else parse_size(size)
    try:
        chosen = choose_weights(target, recipe, weights)
    except EdgeUnetError as error:
        raise type(error)(
            error.message, hint="give --weights FILE.safetensors: untrained, it has no quality"
        ) from error
    try:
        from edgeunet.evaluate.torch_backend import TorchBackend
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="evaluating a MODEL", extra="export") from error
    # Not None, because random weights were not requested.
    return TorchBackend(recipe, chosen or Path(), frame=frame)


def _tell(backend: Backend, sets: Sequence[DataSet]) -> None:
    """Note which measures are left out, and how the figures must not be read."""
    from edgeunet.evaluate.image_folders import CLASSIFIED, LABELLED, FolderData
    from edgeunet.evaluate.protocol import NoiseKind
    from edgeunet.evaluate.truth import PAIRS
    from edgeunet.label_maps import has_labels

    noise_is_added = any(entry.kind != PAIRS for entry in sets)
    if noise_is_added and NoiseKind.FLOAT not in backend.kinds:
        note(
            f"{backend.name} takes 8-bit frames: the noise is clipped to them, so the figures "
            "are not those of the literature's float noise"
        )
    tasks = {head.task for head in backend.heads}
    for entry in sets:
        if Task.SEGMENT not in tasks and has_labels(Path(entry.name)):
            note(f"{entry.name}: {backend.name} has no segment head, the labels are not read")
        if Task.SEGMENT in tasks and entry.kind != LABELLED:
            note(f"{entry.name}: no images/ beside labels/, so mIoU is not measured")
        if tasks == {Task.CLASSIFY} and entry.kind != CLASSIFIED:
            note(f"{entry.name}: no folder per class, so accuracy is not measured")
        if isinstance(entry, FolderData) and entry.label_notice:
            warn(f"{entry.name}: {entry.label_notice}")
        if entry.cropped:
            of = "" if entry.count is None else f" of {entry.count}"
            note(
                f"{entry.name}: {entry.cropped}{of} images are larger than the frame, their "
                "centre is evaluated"
            )


def _evaluate(backend: Backend, entry: DataSet, levels: Levels, *, clip: bool) -> Result:
    from edgeunet.evaluate.evaluation import evaluate
    from edgeunet.pairs import swapped_in_words

    if entry.swapped:
        warn(f"{entry.name}: {swapped_in_words(entry.swapped)}")
    with progress(" images/s") as bar:
        task = bar.add_task(entry.name, total=entry.count, rate="-")
        start_s = time.perf_counter()

        def show(done: int) -> None:
            rate = done / max(time.perf_counter() - start_s, 1e-9)
            bar.update(task, completed=done, rate=f"{rate:.1f}")

        result = evaluate(backend, entry, levels, clip=clip or entry.consecutive, on_image=show)
    for line in entry.warnings[:_NAMED_IMAGES]:
        warn(line)
    for line in entry.left_out[:_NAMED_IMAGES]:
        warn(f"left out: {line}")
    if len(entry.left_out) > _NAMED_IMAGES:
        warn(f"left out: {len(entry.left_out) - _NAMED_IMAGES} more")
    return result


def _write_csv(path: Path, sets: Sequence[DataSet], results: Sequence[Result]) -> None:
    rows = [
        {"data": entry.name, **dataclasses.asdict(row)}
        for entry, result in zip(sets, results, strict=True)
        for row in result.rows
    ]
    with (
        replacing_file(path) as beside,
        beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
