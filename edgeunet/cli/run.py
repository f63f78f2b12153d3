"""``edgeunet run``: run frames from a source through a bundle into a sink."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeunet.cli import console
from edgeunet.cli.options import AsJson, Seed
from edgeunet.errors import EdgeUnetError, SourceError

if TYPE_CHECKING:
    from edgeunet.stream.pipeline import RunSummary

_SIGNAL_EXIT_BASE = 128


class InterruptedRunError(EdgeUnetError):
    """The user, or the system, ended a run. Frames already written are kept."""

    def __init__(self, frames: int, sink: str, number: int) -> None:
        super().__init__(
            f"interrupted: {_kept(frames, sink)}", hint="run the command again to start over"
        )
        self.exit_code = _SIGNAL_EXIT_BASE + number


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video, an image, a folder, a quoted glob, a camera (0, v4l2:///dev/video0, "
            "csi://0), rtsp://..., gst://PIPELINE, or test:// for a pattern.",
        ),
    ],
    bundle: Annotated[
        Path,
        typer.Option("--bundle", metavar="BUNDLE", help="The folder that edgeunet export wrote."),
    ],
    sink: Annotated[
        str,
        typer.Argument(
            metavar="[SINK]",
            help="A video (.mp4, .avi, .mkv lossless), a folder/ for PNG images, window://, none.",
        ),
    ] = "none",
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="auto|onnxruntime|tensorrt",
            help="Engine; auto takes tensorrt if the TensorRT plans run here.",
        ),
    ] = "auto",
    noise: Annotated[
        float | None,
        typer.Option(
            "--noise",
            metavar="SIGMA",
            help="Add Gaussian noise of this standard deviation (0 to 255) to clean frames, "
            "and report PSNR.",
        ),
    ] = None,
    seed: Seed = 0,
    view: Annotated[
        str | None,
        typer.Option(
            "--view",
            metavar="VIEW",
            help="Output: denoised, labels, overlay or side-by-side; default: denoised, or "
            "overlay for a network that does not denoise.",
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            "--strength",
            metavar="0..1",
            help="Strength of the denoising: 0 gives the input frame, 1 the network's output.",
        ),
    ] = 1.0,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Stop after this many frames.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="Number of CPU threads; default: all cores."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Run a bundle over a video, images or a camera."""
    from edgeunet.stream.pipeline import RunOptions, run_pipeline

    options = RunOptions(
        source=source,
        bundle=bundle,
        sink=sink,
        engine=engine,
        noise_sigma=noise,
        seed=seed,
        view=view,
        strength=strength,
        frame_limit=frames,
        threads=threads,
    )
    with console.progress(" frames/s") as bar, _stopping() as (stop, signals):
        task = bar.add_task("run", total=None, rate="-")

        def show(done: int, total: int | None, rate: float) -> None:
            bar.update(task, completed=done, total=total, rate=f"{rate:.1f}")

        summary = run_pipeline(options, on_frame=show, on_note=console.note, stop=stop)
    for warning in summary.warnings:
        console.warn(warning)
    if json:
        console.print_json(_document(summary))
    else:
        _print(summary)
    if summary.interrupted:
        number = signals[0] if signals else signal.SIGINT
        raise InterruptedRunError(summary.frames, summary.sink, number)
    if summary.broken_off:
        raise SourceError(
            f"{summary.broken_off}; {_kept(summary.frames, summary.sink)}",
            hint="get the whole file, or check the camera, and run again for the rest",
        )
    if summary.skipped:
        left_out = f"{len(summary.skipped)} image{'s' if len(summary.skipped) > 1 else ''}"
        raise SourceError(
            f"{left_out} of {summary.source} left out "
            f"({summary.skipped[0]}); the other {summary.frames} were worked on",
            hint="mend or remove what the warnings name, and run again",
        )


def _kept(frames: int, sink: str) -> str:
    if sink == "none" or not frames:
        return f"{frames} frames were worked on, none was kept"
    return f"the {frames} frames written are kept in {sink}"


@contextlib.contextmanager
def _stopping() -> Iterator[tuple[threading.Event, list[int]]]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request to stop after the current frame.

    A second signal interrupts at once, in case the current frame never ends.
    """
    stop = threading.Event()
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP"):  # the terminal, or the ssh connection, was closed
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop, received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _document(summary: RunSummary) -> dict[str, Any]:
    """Return the JSON document; sizes are HxW in pixels, rates in frames per second.

    strength: only where it is not 1.
    """
    latency, quality = summary.latency_ms, summary.quality
    strength = {} if summary.strength == 1 else {"strength": summary.strength}
    return {
        "source": summary.source,
        "sink": summary.sink,
        "bundle": summary.bundle,
        "engine": summary.engine,
        "view": summary.view,
        **strength,
        "frames": summary.frames,
        "skipped": len(summary.skipped),
        "dropped": summary.dropped,
        "complete": summary.complete,
        "warnings": [*summary.warnings, *filter(None, [summary.broken_off])],
        "size": f"{summary.height}x{summary.width}",
        "frame_rate": summary.frame_rate,
        "fps": round(summary.frames_per_second, 3),
        "latency_ms": latency
        and {
            "p50": round(latency.p50, 3),
            "p95": round(latency.p95, 3),
            "p99": round(latency.p99, 3),
            "mean": round(latency.mean, 3),
        },
        "psnr_db": quality
        and {
            "before": round(quality.before, 3),
            "after": None if quality.after is None else round(quality.after, 3),
        },
    }


def _print(summary: RunSummary) -> None:
    latency, quality = summary.latency_ms, summary.quality
    rows = [
        ("source", f"{summary.source} ({summary.height}x{summary.width})"),
        ("sink", f"{summary.sink} ({summary.view})"),
        ("bundle", summary.bundle),
        ("engine", summary.engine),
        ("frames", str(summary.frames)),
    ]
    if summary.strength != 1:
        rows.append(("strength", f"{summary.strength:g}"))
    if summary.skipped:
        rows.append(("left out", str(len(summary.skipped))))
    if summary.dropped:
        rows.append(("dropped", str(summary.dropped)))
    rows.append(("frames per second", f"{summary.frames_per_second:.1f}"))
    if latency is not None:
        times = f"{latency.p50:.1f} / {latency.p95:.1f} / {latency.p99:.1f}"
        rows.append(("latency p50 / p95 / p99 (ms)", times))
    if quality is not None:
        after = "-" if quality.after is None else f"{quality.after:.2f}"
        rows.append(("PSNR noisy / denoised (dB)", f"{quality.before:.2f} / {after}"))
    console.print_table(None, ["run", ""], rows, text_columns=2)
