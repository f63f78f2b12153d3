"""How does a camera's noise grow with brightness and with ISO, and is it white?

    python -m benchmarks.noise_curves DIR [--match]

DIR: a folder of real pairs, ``noisy/`` beside ``clean/``, whose files are named
CAMERA_APERTURE_SHUTTER_ISO_SCENE_CROP. The noise is noisy - clean, and the brightness is that of
the clean image, the mean of many shots; what is left of noise in that mean is not taken out. Pairs
are grouped by camera and ISO, and measured by the code of ``edgeunet noise``. A picture of the two
ISO values of each camera that have the most pairs goes to ``docs/findings/noise-curves.svg``.
--match fits the simulated camera to these, as ``edgeunet train --noise-profile`` does, and says how
near it comes.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.helpers.record import write_csv
from edgeunet.cli.console import note, print_table
from edgeunet.errors import SourceError
from edgeunet.noise_profile.curves_plot import Named, draw_luma
from edgeunet.noise_profile.matching import match_camera
from edgeunet.noise_profile.profile import NoiseProfile
from edgeunet.noise_profile.sums import NoiseSums
from edgeunet.pairs import Pair, find_pairs, read_pair
from edgeunet.schedules import CameraTable
from edgeunet.suffixes import IMAGE_SUFFIXES

NAME = "noise_curves"
PICTURE = Path(__file__).parent.parent / "docs" / "findings" / "noise-curves.svg"

Group = tuple[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, default=None, help="instead of results/")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--match", action="store_true", help="fit the simulated camera as well")
    arguments = parser.parse_args()
    groups = grouped(find_pairs(arguments.folder, IMAGE_SUFFIXES, notice=note).pairs)
    profiles = {group: measured(group, pairs) for group, pairs in sorted(groups.items())}
    write_csv(arguments.out or NAME, [row for g, p in profiles.items() for row in rows_of(g, p)])
    named = [
        Named(f"{camera}, ISO {iso}, {profiles[camera, iso].shots} pairs", profiles[camera, iso])
        for camera, iso in chosen(profiles)
    ]
    draw_luma(named, "noise of two cameras' JPEG files", arguments.picture)
    for (camera, iso), profile in profiles.items():
        show(f"{camera}, ISO {iso}, {profile.shots} pairs", profile)
    if arguments.match:
        show_matches({group: profiles[group] for group in chosen(profiles)})


def grouped(pairs: Sequence[Pair]) -> dict[Group, list[Pair]]:
    """Return the pairs by camera and ISO. Raises SourceError for a name without them."""
    groups: dict[Group, list[Pair]] = defaultdict(list)
    for pair in pairs:
        words = Path(pair.name).stem.split("_")
        if len(words) < 4 or not words[3].isdigit():
            raise SourceError(
                f"{pair.name} names no ISO",
                hint="name files CAMERA_APERTURE_SHUTTER_ISO_SCENE_CROP",
            )
        groups[words[0], int(words[3])].append(pair)
    return groups


def measured(group: Group, pairs: Sequence[Pair]) -> NoiseProfile:
    """Return the noise of one camera at one ISO."""
    sums = NoiseSums()
    size = (0, 0)
    for pair in pairs:
        noisy, clean = (image.astype(np.float32) for image in read_pair(pair))
        residual = noisy - clean
        # A shot as a whole may be brighter than the mean of many: that is light, not noise.
        residual -= residual.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        sums.add(clean, residual)
        size = (clean.shape[0], clean.shape[1])
    return sums.profile(f"{group[0]} ISO {group[1]}", "pairs", len(pairs), size)


def chosen(profiles: dict[Group, NoiseProfile]) -> list[Group]:
    """Return the two ISO values of each camera with the most pairs, rising."""
    groups: list[Group] = []
    for camera in sorted({camera for camera, _ in profiles}):
        own = sorted((g for g in profiles if g[0] == camera), key=lambda g: -profiles[g].shots)
        groups += sorted(own[:2], key=lambda g: g[1])
    return groups


def rows_of(group: Group, profile: NoiseProfile) -> list[dict[str, object]]:
    """Return a row per range of brightness."""
    found, curves = profile.correlation, profile.curves
    rows: list[dict[str, object]] = []
    for index, signal in enumerate(curves.luma.signal):
        rows.append(
            {
                "camera": group[0],
                "iso": group[1],
                "pairs": profile.shots,
                "signal": signal,
                "luma_deviation": curves.luma.deviation[index],
                "cb_deviation": curves.cb.deviation[index],
                "cr_deviation": curves.cr.deviation[index],
                "samples": curves.luma.samples[index],
                "clipped": curves.luma.clipped[index],
                "luma_neighbour": found.luma.horizontal[0],
                "luma_neighbour_2": found.luma.horizontal[1],
                "luma_neighbour_4": found.luma.horizontal[2],
                "cb_neighbour": found.cb.horizontal[0],
                "cb_neighbour_2": found.cb.horizontal[1],
                "cb_neighbour_4": found.cb.horizontal[2],
                "grid_columns": profile.grid.columns,
                "grid_rows": profile.grid.rows,
                "row_offset": profile.row_offsets.deviation,
                "column_offset": profile.column_offsets.deviation,
            }
        )
    return rows


def show(title: str, profile: NoiseProfile) -> None:
    curves = profile.curves
    lines = [
        tuple(f"{value:.2f}" for value in values)
        for values in zip(
            curves.luma.signal,
            curves.luma.deviation,
            curves.cb.deviation,
            curves.cr.deviation,
            strict=True,
        )
    ]
    print_table(title, ("brightness", "luma", "Cb", "Cr"), lines)
    found, fit = profile.correlation, curves.luma.fit
    line = curves.luma.no_fit
    if fit is not None:
        line = f"{fit.gain:.3g} * signal + {fit.read:.3g}, from {fit.low:.2f} to {fit.high:.2f}"
    print_table(
        None,
        ("figure", "1 px", "2 px", "4 px"),
        [
            ("luma, horizontal", *(f"{value:+.2f}" for value in found.luma.horizontal)),
            ("luma, vertical", *(f"{value:+.2f}" for value in found.luma.vertical)),
            ("Cb, horizontal", *(f"{value:+.2f}" for value in found.cb.horizontal)),
            ("Cr, horizontal", *(f"{value:+.2f}" for value in found.cr.horizontal)),
        ],
    )
    grid = f"{profile.grid.columns:.2f} and {profile.grid.rows:.2f}, found: {profile.grid.found}"
    rows, columns = profile.row_offsets, profile.column_offsets
    print_table(
        None,
        ("figure", "value"),
        [
            ("sigma", f"{profile.sigma:.2f}"),
            ("variance of luma", line),
            ("steps at the grid, columns and rows", grid),
            ("offset of rows", f"{rows.deviation:.3f}, found: {rows.found}"),
            ("offset of columns", f"{columns.deviation:.3f}, found: {columns.found}"),
        ],
    )


def show_matches(profiles: dict[Group, NoiseProfile]) -> None:
    """Print figures of the profiles, measured and of the cameras that were fitted to them."""
    rows = []
    for (camera, iso), profile in profiles.items():
        found = match_camera(profile, CameraTable())
        pairs = zip(found.measured, found.simulated, strict=True)
        cells = [f"{measured:.2f} / {simulated:.2f}" for measured, simulated in pairs]
        distance = f"{found.before:.2f} / {found.after:.2f}"
        rows.append((f"{camera}, ISO {iso}", *cells, distance))
    print_table(
        "measured / simulated; distance of default / fitted cameras",
        ("noise", "luma", "luma at 1 px", "chroma at 1 px", "distance"),
        rows,
    )


if __name__ == "__main__":
    main()
