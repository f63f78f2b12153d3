"""``edgeunet run``: run frames from a source through a bundle into sinks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeunet.cli import console
from edgeunet.cli.config_file import take_defaults
from edgeunet.cli.options import AsJson, ImageBits, Seed, Threads, Workers
from edgeunet.cli.run_ending import InterruptedRunError, raise_what_ended, stopping
from edgeunet.errors import UsageError

_WITHOUT_A_TERMINAL = 60.0


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video, an image, a folder, a quoted glob, a camera (0, v4l2:///dev/video0, "
            "csi://0), rtsp://, http://, udp:// or srt://..., gst://PIPELINE, or test:// for a "
            "pattern.",
        ),
    ],
    bundle: Annotated[
        Path,
        typer.Option("--bundle", metavar="BUNDLE", help="The folder that edgeunet export wrote."),
    ],
    sinks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SINK]...",
            help="A video (.mp4, .avi, .mkv lossless), a folder/ for PNG images, window://, "
            "gst://PIPELINE, rtsp://... for a server, none; or several.",
        ),
    ] = None,
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
    temporal: Annotated[
        str,
        typer.Option(
            "--temporal",
            metavar="on|off",
            help="For a network that remembers frames: off takes each one as a first frame.",
        ),
    ] = "on",
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FILE",
            help="For a network that remembers frames: go on from the memory in this file, if it "
            "is there, and write it anew at the end.",
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Stop after this many frames.")
    ] = None,
    threads: Threads = None,
    workers: Workers = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="A TOML file with what the command line leaves out, by the names of its options.",
            callback=take_defaults,
            is_eager=True,
        ),
    ] = None,
    segment: Annotated[
        str | None,
        typer.Option(
            "--segment",
            metavar="TIME",
            help="Record into a folder/ in segments of this length, like 10min, instead of images.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="BYTES|TIME",
            help="Keep segments up to this size or age, like 20GiB or 7d, and remove older ones.",
        ),
    ] = None,
    least_free: Annotated[
        str | None,
        typer.Option(
            "--least-free",
            metavar="BYTES",
            help="Remove old segments before the disk has less room than this; default: 256MiB.",
        ),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="RULE",
            help="Tell when a class has a share of the frame, like 'pedestrian > 2% for 1s'; may "
            "be given more than once.",
        ),
    ] = None,
    event_images: Annotated[
        Path | None,
        typer.Option(
            "--event-images", metavar="DIR", help="Keep the frame of every event as PNG there."
        ),
    ] = None,
    event_post: Annotated[
        str | None,
        typer.Option(
            "--event-post",
            metavar="URL",
            help="Post the JSON document of every event to this http:// or https:// address.",
        ),
    ] = None,
    reconnect: Annotated[
        str,
        typer.Option(
            "--reconnect",
            metavar="SECONDS|forever|never",
            help="How long a lost camera or stream is tried to be opened again; forever also waits "
            "for its first frame.",
        ),
    ] = "60",
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="A camera or stream without a frame for so long is lost.",
        ),
    ] = 15.0,
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            help="The password of rtsp://user@host, or for {password} in SOURCE; default: the "
            "variable EDGEUNET_PASSWORD.",
        ),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Show the run on a page in a browser, on this machine."),
    ] = False,
    preview_at: Annotated[
        str | None,
        typer.Option(
            "--preview-at",
            metavar="HOST:PORT",
            help="Address of the page, 127.0.0.1:8780 by default; another machine sees it with a "
            "token only.",
        ),
    ] = None,
    preview_token: Annotated[
        Path | None,
        typer.Option(
            "--preview-token",
            metavar="FILE",
            help="The page's token; default: the variable EDGEUNET_PREVIEW_TOKEN.",
        ),
    ] = None,
    metrics: Annotated[
        bool,
        typer.Option("--metrics", help="Serve figures for Prometheus at /metrics of the page."),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            help="Work on every video of a folder or pattern, N at a time, into a folder/; "
            "the same command again goes on.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="The same on the workers of a dask scheduler, like tcp://10.0.0.2:8786.",
        ),
    ] = None,
    status: Annotated[
        float,
        typer.Option(
            "--status",
            metavar="SECONDS",
            help="Time between status lines where stderr is no terminal, and with --json-lines.",
        ),
    ] = _WITHOUT_A_TERMINAL,
    json: AsJson = False,
    json_lines: Annotated[
        bool,
        typer.Option(
            "--json-lines", help="Print a JSON document per line: status, warnings, and the result."
        ),
    ] = False,
    image_bits: ImageBits = None,
) -> None:
    """Run a bundle over a video, images or a camera."""
    from edgeunet.cli.event_report import EventReport, check_event_folder
    from edgeunet.cli.run_many import run_many
    from edgeunet.cli.run_report import RunReport, document, print_summary
    from edgeunet.media.live.addresses import without_passwords
    from edgeunet.media.live.reconnecting import Patience, parse_reconnect
    from edgeunet.media.sinks.recording_options import read_recording
    from edgeunet.stream.class_events import read_rule
    from edgeunet.stream.event_posts import EventPoster, check_post_address
    from edgeunet.stream.opening import StoppedWhileOpening
    from edgeunet.stream.pipeline import run_pipeline
    from edgeunet.stream.preview.preview_options import PreviewOptions, read_preview
    from edgeunet.stream.run_options import RunOptions
    from edgeunet.stream.run_summary import RunStatus, RunSummary
    from edgeunet.stream.service.notifications import SystemdNotifier

    if json and json_lines:
        raise UsageError("--json and --json-lines exclude each other", hint="give one of them")
    for name, value in (("--event-images", event_images), ("--event-post", event_post)):
        if value is not None and not event:
            raise UsageError(f"{name} has no events", hint="add --event 'NAME > 2% for 1s'")
    if event_images is not None:
        check_event_folder(event_images)
    post_address = None if event_post is None else check_post_address(event_post)
    if not 1 <= status <= 86400:
        raise UsageError(
            f"{status:g} is not a time between status lines",
            hint="use --status with seconds from 1 to 86400",
        )
    page = None
    if preview or metrics or preview_at is not None:
        address = preview_at or PreviewOptions().authority
        page = read_preview(address, preview_token, metrics=metrics)
    if temporal not in ("on", "off"):
        raise UsageError(f"--temporal {temporal!r} is not known", hint="use on or off")
    options = RunOptions(
        source=source,
        bundle=bundle,
        sinks=tuple(sinks or ()),
        engine=engine,
        noise_sigma=noise,
        seed=seed,
        view=view,
        strength=strength,
        temporal=temporal == "on",
        resume=resume,
        frame_limit=frames,
        threads=threads,
        workers=workers,
        patience=Patience(timeout, parse_reconnect(reconnect)),
        password_file=password_file,
        recording=read_recording(segment, keep, least_free),
        events=tuple(map(read_rule, event or ())),
        preview=page,
    )
    if jobs is not None or dask is not None:
        run_many(options, jobs, dask, json=json, json_lines=json_lines)
        return
    report = RunReport(status, json_lines=json_lines)
    poster = None if post_address is None else EventPoster(post_address, report.note)
    events = EventReport(report, json_lines=json_lines, images=event_images, poster=poster)
    systemd = SystemdNotifier()

    def tell(now: RunStatus) -> None:
        report.on_status(now)
        systemd.tell(now)

    def show(summary: RunSummary, error: Exception | None = None) -> None:
        said = without_passwords(str(getattr(error, "message", error)))
        what = {} if error is None else {"error": said}
        if json_lines:
            console.print_json_line({"event": "end", **document(summary), **what})
        elif json:
            console.print_json({**document(summary), **what})
        elif error is None:
            print_summary(summary)

    with report, events, stopping(options.outlives_a_terminal) as (stop, signals):
        try:
            summary = run_pipeline(
                options,
                on_frame=report.on_frame,
                on_note=report.note,
                on_status=tell,
                on_event=events,
                on_failure=show,
                stop=stop,
            )
        except StoppedWhileOpening as error:
            raise InterruptedRunError(" before the first frame", signals) from error
        except KeyboardInterrupt as error:
            # A second signal, which is as well answered with the first one's number.
            raise InterruptedRunError("", signals) from error
    systemd.stopping()
    for warning in summary.warnings:
        report.note(f"warning: {warning}")
    try:
        show(summary)
        sys.stdout.flush()
    except OSError:
        # The terminal is gone; what ended the run says more.
        console.drop_stdout()
        if not summary.interrupted:
            raise
    raise_what_ended(summary, signals)
