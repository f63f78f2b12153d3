"""Draw noise profiles: deviation against brightness, and correlation of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from edgeunet.errors import UsageError
from edgeunet.files import replacing_file
from edgeunet.noise_profile.profile import LAGS, WHITE_LIMIT, Curve, Curves, NoiseProfile

SUFFIXES = (".png", ".svg")

_CHANNEL_COLOURS = {
    "red": "#c0392b",
    "green": "#2e8b57",
    "blue": "#2f6db5",
    "luma": "#222222",
    "cb": "#6a8fc7",
    "cr": "#d08a7f",
}
_PROFILE_COLOURS = ("#24435e", "#c2571a", "#2e8b57", "#8e44ad", "#777777", "#b8860b")
_CHANNEL_NAMES = {"cb": "Cb", "cr": "Cr"}
_INCHES = (10.0, 4.2)
_DPI = 130


@dataclass(frozen=True)
class Named:
    """A profile and its name in the legend."""

    name: str
    profile: NoiseProfile


def check_suffix(path: Path) -> None:
    """Raise UsageError for a file name whose ending is not a supported format."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot draw {path.name!r}: its ending says no known format",
            hint=f"end the name in {' or '.join(SUFFIXES)}",
        )


def draw_profile(profile: NoiseProfile, path: Path) -> None:
    """Draw all channels of one profile; the same profile gives the same file."""
    figure = Figure(figsize=_INCHES, layout="constrained")
    curves, neighbours = figure.subplots(1, 2)
    for name in Curves.__struct_fields__:
        label = _CHANNEL_NAMES.get(name, name)
        _draw_curve(curves, getattr(profile.curves, name), label, _CHANNEL_COLOURS[name])
    for name in ("luma", "cb", "cr"):
        found = getattr(profile.correlation, name)
        label, colour = _CHANNEL_NAMES.get(name, name), _CHANNEL_COLOURS[name]
        neighbours.plot(LAGS, found.horizontal, "o-", color=colour, label=f"{label}, horizontal")
        neighbours.plot(LAGS, found.vertical, "s--", color=colour, label=f"{label}, vertical")
    _finish(figure, curves, neighbours, f"noise of {profile.source}")
    _write(figure, path)


def draw_luma(profiles: Sequence[Named], title: str, path: Path) -> None:
    """Draw luma, and the correlation of luma and Cb, of several profiles side by side."""
    figure = Figure(figsize=_INCHES, layout="constrained")
    curves, neighbours = figure.subplots(1, 2)
    for index, named in enumerate(profiles):
        colour = _PROFILE_COLOURS[index % len(_PROFILE_COLOURS)]
        _draw_curve(curves, named.profile.curves.luma, named.name, colour)
        found = named.profile.correlation
        neighbours.plot(LAGS, found.luma.horizontal, "o-", color=colour, label="_nolegend_")
        neighbours.plot(LAGS, found.cb.horizontal, "s--", color=colour, label="_nolegend_")
    neighbours.plot([], [], "ko-", label="luma, horizontal")
    neighbours.plot([], [], "ks--", label="Cb, horizontal")
    _finish(figure, curves, neighbours, title)
    _write(figure, path)


def _draw_curve(axes: Axes, curve: Curve, label: str, colour: str) -> None:
    axes.plot(curve.signal, curve.deviation, "-", color=colour, label=label)
    for clipped, marker in ((False, "o"), (True, "x")):
        points = [
            (signal, deviation)
            for signal, deviation, cut in zip(
                curve.signal, curve.deviation, curve.clipped, strict=True
            )
            if cut == clipped
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=colour, markersize=4)


def _finish(figure: Figure, curves: Axes, neighbours: Axes, title: str) -> None:
    curves.set_xlim(0, 1)
    curves.set_ylim(bottom=0)
    curves.set_xlabel("brightness, 0..1 (x: clipped)")
    curves.set_ylabel("standard deviation, 8-bit units")
    curves.legend(fontsize=8)
    neighbours.axhspan(-WHITE_LIMIT, WHITE_LIMIT, color="#eeeeee", zorder=0)
    neighbours.set_xticks(LAGS)
    neighbours.set_xlabel("distance in pixels (grey: counts as white)")
    neighbours.set_ylabel("correlation to the neighbour")
    neighbours.set_ylim(-0.4, 1.0)
    neighbours.legend(fontsize=8)
    figure.suptitle(title, fontsize=11, fontweight="bold", parse_math=False)


def _write(figure: Figure, path: Path) -> None:
    check_suffix(path)
    kind = path.suffix[1:].lower()
    canvas = FigureCanvasSVG if kind == "svg" else FigureCanvasAgg
    # Without the date, and with names that are not drawn, the same figures give the same file.
    metadata = {"Date": None} if kind == "svg" else None
    with replacing_file(path) as beside, rc_context({"svg.hashsalt": "edgeunet"}):
        canvas(figure).print_figure(beside, format=kind, dpi=_DPI, metadata=metadata)
