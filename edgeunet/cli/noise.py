"""``edgeunet noise``: measure a camera's noise, and find weights that suit it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeunet.choosing.networks import missing_package
from edgeunet.cli.console import note, print_json, print_table, progress, warn
from edgeunet.cli.options import AsJson, ImageBits
from edgeunet.errors import UsageError
from edgeunet.units import format_size, parse_size

if TYPE_CHECKING:
    from edgeunet.noise_profile.profile import Curve, NoiseProfile
    from edgeunet.noise_profile.suiting import Suiting

_MOST_FRAMES = 100_000
_CHANNELS = {
    "red": "red",
    "green": "green",
    "blue": "blue",
    "luma": "luma",
    "cb": "Cb",
    "cr": "Cr",
}


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A camera, a clip, a folder or a glob of shots of one static scene, or one shot "
            "of a flat scene: whatever edgeunet run reads.",
            show_default=False,
        ),
    ],
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            metavar="N",
            help="Largest number of shots; default: all, or 32 of a camera.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="HxW", help="Frame size that a camera is set to."),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile",
            metavar="FILE.toml",
            help="Write the noise profile that edgeunet train --noise-profile reads.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the profile as .png or .svg."),
    ] = None,
    image_bits: ImageBits = None,
    as_json: AsJson = False,
) -> None:
    """Measure the noise of a camera, and say which weights suit it.

    Camera and scene must hold still. Values are those of the image, after the camera's tone curve.
    """
    _check(frames, profile)
    try:
        from edgeunet.noise_profile.profile import write_profile
        from edgeunet.noise_profile.scan import scan
        from edgeunet.noise_profile.suiting import suiting_recipes

        if plot is not None:
            from edgeunet.noise_profile.curves_plot import check_suffix, draw_profile

            check_suffix(plot)
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="drawing the noise", extra="plot") from error
    wanted = None if size is None else parse_size(size)
    with progress(" shots") as bar:
        task = bar.add_task("measuring", total=None, rate="")
        found = scan(
            source,
            frames=frames,
            size=wanted,
            report=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if plot is not None and plot.resolve() in [path.resolve() for path in found.paths]:
        raise UsageError(
            f"--plot would write over {plot}, which is measured", hint="choose another name"
        )
    for line in found.warnings:
        warn(line)
    for line in found.notes:
        note(line)
    measured = found.profile
    suiting = suiting_recipes(measured)
    if profile is not None:
        write_profile(measured, profile)
    if plot is not None:
        draw_profile(measured, plot)
    if as_json:
        print_json(_document(measured, suiting, found.warnings, profile))
        return
    _print(measured)
    for line in _advice(measured, suiting):
        note(line)
    if profile is not None:
        note(f"wrote {profile}")
        note(
            f"train for it: edgeunet train RECIPE --init shipped --noise-profile {profile} "
            "--data DIR --out DIR"
        )
    if plot is not None:
        note(f"wrote {plot}")


def _check(frames: int | None, profile: Path | None) -> None:
    if frames is not None and not 1 <= frames <= _MOST_FRAMES:
        raise UsageError(
            f"{frames} is not a number of shots", hint=f"use --frames 2 to {_MOST_FRAMES}"
        )
    # The suffix is checked so that no clip or image is overwritten.
    if profile is not None and profile.suffix != ".toml":
        raise UsageError(
            f"a noise profile is a TOML file, and {profile.name!r} does not end in .toml",
            hint="write --profile FILE.toml",
        )


def _document(
    profile: NoiseProfile,
    suiting: tuple[Suiting, ...],
    warnings: tuple[str, ...],
    path: Path | None,
) -> dict[str, Any]:
    import msgspec

    from edgeunet.noise_profile.profile import LAGS

    return {
        "profile": msgspec.to_builtins(profile),
        "lags": list(LAGS),
        "sigma": round(profile.sigma, 3),
        "white": profile.white,
        "largest_correlation": profile.correlation.largest,
        "suits": [
            {
                "recipe": entry.recipe,
                "widths": list(entry.widths),
                "trained_for": [entry.low, entry.high],
                "in_range": entry.in_range,
            }
            for entry in suiting
        ],
        "warnings": list(warnings),
        "written": None if path is None else str(path),
    }


def _print(profile: NoiseProfile) -> None:
    size = format_size(profile.height, profile.width)
    shots = "1 shot" if profile.shots == 1 else f"{profile.shots} shots"
    luma = profile.curves.luma
    rows = []
    for index, signal in enumerate(luma.signal):
        cut = " clipped" if luma.clipped[index] else ""
        cells = [_near(getattr(profile.curves, name), signal) for name in _CHANNELS]
        rows.append((f"{signal:.2f}{cut}", *cells))
    mean = [f"{getattr(profile.curves, name).mean_deviation:.2f}" for name in _CHANNELS]
    print_table(
        f"noise of {profile.source}: {shots} of {size}, standard deviation in 8-bit units",
        ("brightness", *_CHANNELS.values()),
        [*rows, ("all", *mean)],
    )
    print_table(
        "variance = gain * signal + read, of a signal of 0..1",
        ("channel", "gain", "read", "signal", "off by"),
        [_fit_row(label, getattr(profile.curves, name)) for name, label in _CHANNELS.items()],
    )
    _print_texture(profile)


def _near(curve: Curve, signal: float) -> str:
    """Return a curve's deviation in the brightness range of a signal."""
    from edgeunet.noise_profile.curves import RANGES

    for there, deviation in zip(curve.signal, curve.deviation, strict=True):
        if int(there * 255 / 256 * RANGES) == int(signal * 255 / 256 * RANGES):
            return f"{deviation:.2f}"
    return "-"


def _fit_row(label: str, curve: Curve) -> tuple[str, ...]:
    fit = curve.fit
    if fit is None:
        return (label, "-", "-", curve.no_fit, "-")
    span = f"{fit.low:.2f} to {fit.high:.2f}"
    return (label, f"{fit.gain:.3g}", f"{fit.read:.3g}", span, f"{fit.misfit:.1%}")


def _print_texture(profile: NoiseProfile) -> None:
    from edgeunet.noise_profile.profile import LAGS

    rows = []
    for name in ("luma", "cb", "cr"):
        found = getattr(profile.correlation, name)
        for direction in ("horizontal", "vertical", "diagonal"):
            values = [f"{value:+.3f}" for value in getattr(found, direction)]
            rows.append((f"{_CHANNELS[name]}, {direction}", *values))
    print_table(
        "correlation of the noise to its neighbours",
        ("channel", *(f"{lag} px" for lag in LAGS)),
        rows,
    )
    grid, across, down = profile.grid, profile.row_offsets, profile.column_offsets
    print_table(
        "grid and banding",
        ("measure", "figure", "found"),
        [
            ("steps at a grid of 8, columns", f"{grid.columns:.3f} x", _yes(grid.found)),
            ("steps at a grid of 8, rows", f"{grid.rows:.3f} x", _yes(grid.found)),
            ("offset of rows", f"{across.deviation:.2f}", _yes(across.found)),
            ("means of rows against white noise", f"{across.against_white:.2f} x", ""),
            ("offset of columns", f"{down.deviation:.2f}", _yes(down.found)),
            ("means of columns against white noise", f"{down.against_white:.2f} x", ""),
        ],
    )


def _yes(found: bool) -> str:
    return "yes" if found else "no"


def _advice(profile: NoiseProfile, suiting: tuple[Suiting, ...]) -> list[str]:
    """Return sentences about the noise, and the weights that suit it."""
    largest = profile.correlation.largest
    word = "white" if profile.white else "correlated"
    lines = [
        f"the noise is {word}: its largest correlation to a neighbour is {largest:+.2f}; "
        f"sigma {profile.sigma:.1f}"
    ]
    if not suiting:
        what = "white noise" if profile.white else "a camera's noise"
        return [
            *lines,
            f"no shipped weights were trained for {what}; train some: "
            "edgeunet train RECIPE --noise-profile FILE.toml",
        ]
    names = ", ".join(
        f"{entry.recipe} (width {' or '.join(str(width) for width in entry.widths)})"
        for entry in suiting
    )
    lines.append(f"weights trained for such noise: {names}")
    lines += [
        f"{entry.recipe} was trained for sigma {entry.low:g} to {entry.high:g}: sigma "
        f"{profile.sigma:.1f} is outside"
        for entry in suiting
        if not entry.in_range
    ]
    return lines
