"""``edgeunet demo``: a tour of edgeunet on a camera's noisy clip, in one folder."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeunet.choosing.networks import choose_weights, missing_package
from edgeunet.cli.console import note, print_json, print_table, progress
from edgeunet.cli.demo_budget import Budgeted, print_budgeted, run_within_budget
from edgeunet.cli.demo_video import Remembered, print_remembered, run_with_memory
from edgeunet.cli.options import AsJson
from edgeunet.recipes import load_recipe
from edgeunet.specs import Precision
from edgeunet.units import format_bytes, format_size

if TYPE_CHECKING:
    from edgeunet.analysis.memory_report import MemoryReport
    from edgeunet.specs import Image
    from edgeunet.stream.comparison import Comparison
    from edgeunet.stream.run_summary import RunSummary

_SIZE = (288, 480)
_FRAMES = 48
_BURST_FRAMES = 12
_FRAME_RATE = 12.0
_MODEL = "unetmm"
_PHOTOGRAPHS = ("coffee", "rocket", "astronaut")

_BUDGET_SIZE = (544, 960)
_BUDGET_BYTES = 64 << 20

_FIXED_SIZE = (192, 320)

_BASELINE = "nafnet"
_PLOT_SIZE = (1080, 1920)


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
        from edgeunet.convert.exporting import ExportOrder, export_bundle
        from edgeunet.run.executor import Executor

        out.mkdir(parents=True, exist_ok=True)
        _make_clips(out)
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="the demo", extra="all") from error
    bundle = out / f"{_MODEL}-{format_size(*_SIZE)}-fp16.bundle"
    flagship = load_recipe(_MODEL)
    weights = choose_weights(_MODEL, flagship)
    order = ExportOrder(flagship, *_SIZE, Precision.FP16, weights=weights)
    export_bundle(order, bundle, open_runner=Executor, report=note)
    summary = _clean(bundle, out)
    comparison = _compare(out)
    budgeted = run_within_budget(flagship, weights, _BUDGET_SIZE, _BUDGET_BYTES, out)
    remembered = run_with_memory(_photographs()[1:], _FIXED_SIZE, out)
    reports = _draw_memory(out)
    if as_json:
        print_json(_document(summary, comparison, budgeted, remembered, reports))
    else:
        _print(summary, comparison, budgeted, remembered, reports)
    for path in sorted(out.iterdir()):
        note(f"  {path}")


def _make_clips(out: Path) -> None:
    """Write clean.mkv and noisy.mkv, a pan over photographs, and burst.mkv, one still scene."""
    from edgeunet.camera.night import night_shot
    from edgeunet.stream.camera_clip import camera_frames, write_clips
    from edgeunet.stream.photo_clip import photo_frames

    shot = night_shot(*_SIZE)
    height, width = shot.sensor_size
    photographs = _photographs()
    note("taking clips of photographs with a camera in software: a small sensor in a dark street")
    scenes = photo_frames(photographs, height=height, width=width, frames=_FRAMES)
    clips = {out / "noisy.mkv": 0, out / "clean.mkv": 1}
    write_clips(clips, camera_frames(scenes, shot), _FRAME_RATE)
    (still,) = photo_frames(photographs[-1:], height=height, width=width, frames=1)
    burst = camera_frames(itertools.repeat(still, _BURST_FRAMES), shot, seed=1)
    write_clips({out / "burst.mkv": 0}, burst, _FRAME_RATE)


def _photographs() -> list[Image]:
    from edgeunet.photographs import shipped_photographs

    shipped = shipped_photographs()
    return [shipped[name][:, :, ::-1].copy() for name in _PHOTOGRAPHS]


def _clean(bundle: Path, out: Path) -> RunSummary:
    from edgeunet.stream.pipeline import run_pipeline
    from edgeunet.stream.run_options import RunOptions

    options = RunOptions(str(out / "noisy.mkv"), bundle, (str(out / "denoised.mkv"),))
    with progress(" frames/s") as bar:
        task = bar.add_task("cleaning", total=_FRAMES, rate="-")

        def show(done: int, total: int | None, rate: float) -> None:
            bar.update(task, completed=done, total=total, rate=f"{rate:.1f}")

        return run_pipeline(options, on_frame=show, on_note=note)


def _compare(out: Path) -> Comparison:
    """Measure the clips, and write still.png and side-by-side.mp4."""
    from edgeunet.stream.comparison import compare_clips, write_beside, write_still

    noisy, denoised, clean = (out / f"{name}.mkv" for name in ("noisy", "denoised", "clean"))
    note("comparing with non-local means")
    with progress("") as bar:
        task = bar.add_task("comparing", total=_FRAMES, rate="")
        comparison = compare_clips(
            noisy, denoised, clean, on_frame=lambda done: bar.update(task, completed=done)
        )
    write_still(out / "still.png", comparison.still)
    write_beside(out / "side-by-side.mp4", noisy, denoised, _FRAME_RATE)
    return comparison


def _draw_memory(out: Path) -> list[MemoryReport]:
    """Draw the memory of the baseline beside the flagship, and return both reports."""
    from edgeunet.analysis.memory_plot import draw
    from edgeunet.analysis.memory_report import analyse
    from edgeunet.convert.network_graph import graph_of_recipe
    from edgeunet.graph.summary import view_of_model

    flagship = load_recipe(_MODEL)
    reports = []
    for recipe in (load_recipe(_BASELINE).with_width(flagship.network.width), flagship):
        note(f"analysing the memory of {recipe.name} at {format_size(*_PLOT_SIZE)}")
        graph = graph_of_recipe(recipe, *_PLOT_SIZE, Precision.FP16)
        reports.append(analyse(view_of_model(graph), model=recipe.name))
    draw(reports, [out / "memory.png", out / "memory.svg"])
    return reports


def _document(
    summary: RunSummary,
    comparison: Comparison,
    budgeted: Budgeted,
    remembered: Remembered,
    reports: list[MemoryReport],
) -> dict[str, Any]:
    """Return the JSON document; PSNR is the mean over frames, to the clean clip."""
    latency = summary.latency_ms
    return {
        "frames": summary.frames,
        "size": format_size(*_SIZE),
        "psnr_db_noisy": round(comparison.noisy_db, 3),
        "psnr_db_non_local_means": round(comparison.non_local_means_db, 3),
        "non_local_means_strength": comparison.strength,
        "psnr_db_denoised": round(comparison.denoised_db, 3),
        "fps": summary.frames_per_second,
        "latency_ms_p50": latency and latency.p50,
        "budget": budgeted.document(),
        "fixed_camera": remembered.document(),
        "memory": [report.document() for report in reports],
    }


def _print(
    summary: RunSummary,
    comparison: Comparison,
    budgeted: Budgeted,
    remembered: Remembered,
    reports: list[MemoryReport],
) -> None:
    print_table(
        f"{summary.frames} frames of {format_size(*_SIZE)} from a camera in software, "
        f"PSNR to the clean ones; {_MODEL} fp16, {summary.engine}",
        (
            "noisy dB",
            f"non-local means dB (h {comparison.strength:g})",
            f"{_MODEL} dB",
            "frames per second",
        ),
        [
            (
                f"{comparison.noisy_db:.2f}",
                f"{comparison.non_local_means_db:.2f}",
                f"{comparison.denoised_db:.2f}",
                f"{summary.frames_per_second:.1f}",
            )
        ],
        text_columns=0,
    )
    print_budgeted(budgeted)
    print_remembered(remembered)
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
