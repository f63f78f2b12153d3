"""``edgeunet demo``: the whole tour on real photographs, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeunet.cli.choices import choose_weights, missing_package
from edgeunet.cli.console import note, print_json, print_table, progress
from edgeunet.cli.options import AsJson
from edgeunet.recipes import load_recipe
from edgeunet.specs import Precision
from edgeunet.units import format_bytes, format_size

if TYPE_CHECKING:
    from edgeunet.memory.report import MemoryReport
    from edgeunet.stream.pipeline import RunSummary

_SIZE = (288, 512)
_FRAMES = 48
_FRAME_RATE = 12.0
_SIGMA = 25.0
_MODEL = "unetmm"
_BASELINE = "nafnet"
_PLOT_SIZE = (1080, 1920)
_PHOTOGRAPHS = ("coffee", "rocket", "astronaut")


def command(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to fill.")] = Path(
        "demo"
    ),
    as_json: AsJson = False,
) -> None:
    """Make a noisy clip, export the flagship, clean the clip.

    A plot shows where the memory goes.
    """
    try:
        from edgeunet.convert.export import ExportOrder, export_bundle
        from edgeunet.photographs import shipped_photographs
        from edgeunet.stream.photo_clip import write_photo_clip
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="the demo", extra="all") from error
    from edgeunet.stream.executor import Executor

    out.mkdir(parents=True, exist_ok=True)
    clip = out / "clean.mkv"
    note(f"making {clip} from photographs")
    shipped = shipped_photographs()
    write_photo_clip(
        clip,
        [shipped[name][:, :, ::-1].copy() for name in _PHOTOGRAPHS],
        height=_SIZE[0],
        width=_SIZE[1],
        frames=_FRAMES,
        frame_rate=_FRAME_RATE,
    )
    bundle = out / f"{_MODEL}-{format_size(*_SIZE)}-fp16.bundle"
    flagship = load_recipe(_MODEL)
    order = ExportOrder(flagship, *_SIZE, Precision.FP16, weights=choose_weights(_MODEL, flagship))
    export_bundle(order, bundle, open_runner=Executor, report=note)
    summary = _clean(clip, bundle, out)
    reports = _draw_memory(out)
    document = _document(summary, reports)
    if as_json:
        print_json(document)
    else:
        _print(summary, reports)
    for path in sorted(out.iterdir()):
        note(f"  {path}")


def _clean(clip: Path, bundle: Path, out: Path) -> RunSummary:
    from edgeunet.stream.pipeline import RunOptions, run_pipeline

    def options(sink: Path, frames: int | None) -> RunOptions:
        return RunOptions(
            source=str(clip),
            bundle=bundle,
            sink=str(sink),
            noise_sigma=_SIGMA,
            view="side-by-side",
            frame_limit=frames,
        )

    run_pipeline(options(out / "still.png", 1))
    with progress(" frames/s") as bar:
        task = bar.add_task("cleaning", total=None, rate="-")

        def show(done: int, total: int | None, rate: float) -> None:
            bar.update(task, completed=done, total=total, rate=f"{rate:.1f}")

        return run_pipeline(options(out / "side-by-side.mp4", None), on_frame=show, on_note=note)


def _draw_memory(out: Path) -> list[MemoryReport]:
    """Draw the baseline beside the flagship at equal width, and return both reports."""
    from edgeunet.convert.network_graph import graph_of_recipe
    from edgeunet.graph.view import view_of_model
    from edgeunet.memory.plot import draw
    from edgeunet.memory.report import analyse

    flagship = load_recipe(_MODEL)
    reports = []
    for recipe in (load_recipe(_BASELINE).with_width(flagship.network.width), flagship):
        note(f"analysing the memory of {recipe.name} at {format_size(*_PLOT_SIZE)}")
        graph = graph_of_recipe(recipe, *_PLOT_SIZE, Precision.FP16)
        reports.append(analyse(view_of_model(graph), model=recipe.name))
    draw(reports, [out / "memory.png", out / "memory.svg"])
    return reports


def _document(summary: RunSummary, reports: list[MemoryReport]) -> dict[str, Any]:
    quality, latency = summary.quality, summary.latency_ms
    return {
        "frames": summary.frames,
        "size": format_size(*_SIZE),
        "sigma": _SIGMA,
        "psnr_db_noisy": quality and quality.before,
        "psnr_db_denoised": quality and quality.after,
        "fps": summary.frames_per_second,
        "latency_ms_p50": latency and latency.p50,
        "memory": [report.document() for report in reports],
    }


def _print(summary: RunSummary, reports: list[MemoryReport]) -> None:
    quality = summary.quality
    if quality is not None and quality.after is not None:
        print_table(
            f"{_MODEL} fp16 on {summary.frames} frames of {format_size(*_SIZE)}, "
            f"noise sigma {_SIGMA:g}, {summary.engine}",
            ("PSNR noisy dB", "PSNR denoised dB", "frames per second"),
            [
                (
                    f"{quality.before:.2f}",
                    f"{quality.after:.2f}",
                    f"{summary.frames_per_second:.1f}",
                )
            ],
            text_columns=0,
        )
    print_table(
        f"activation memory at {format_size(*_PLOT_SIZE)} fp16, width 16, computed from the graph",
        ("network", "skip bytes", "peak live bytes", "arena bytes", "I/O bytes", "weight bytes"),
        [
            (
                report.model,
                format_bytes(report.skip_bytes),
                format_bytes(report.peak_live_bytes),
                format_bytes(report.arena_bytes),
                format_bytes(report.io_bytes),
                format_bytes(report.weight_bytes),
            )
            for report in reports
        ],
    )
