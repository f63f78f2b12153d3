"""How clean does each shipped network make a real camera's photograph, and how clean do others?

    python -m benchmarks.camera --pairs FOLDER [--kodak FOLDER] [--only NAME] [--resume]
        [--weights NAME-WIDTH=FILE] [--bundles] [--out FOLDER] [--limit N] [--page FILE]

pairs: ``noisy/`` and ``clean/`` hold photographs of the same names, which begin with the camera's
name and ``_``. Networks, in torch FP32, and OpenCV's non-local means take the 8-bit file as it is
and give 8 bits. BM3D, which takes a minute per image, has ten pairs, every sixth by name.
Non-local means and BM3D have to be told how strong the noise is: all of a grid is measured, and
the strength with the highest mean PSNR over all pairs (BM3D: over its ten) is called best, which
is in their favour, because nobody has the clean photographs. Networks, and non-local means at its
best, are also given the clean photographs: what is lost there is harm. kodak: photographs for
white noise in floats at sigma 0, 15, 25 and 50, for the networks, full size.

``--bundles``: the networks also as FP32 and INT8 bundles of the pairs' size, as ``edgeunet
export`` makes them, with parity checked. ``--only``: one method's name. ``--resume`` keeps rows
that were measured before, of a network only those of the very same weights. ``--weights`` adds a
network with other weights than the shipped ones, ``--out`` writes the tables to another folder,
and ``--limit``, for a trial, measures the first N images of each folder. ``--page`` puts the
tables between the page's marker comments; without a folder of images that is all it does.

``results/camera_images.csv`` has a row per image, ``results/camera.csv`` one per method and set
of images. The interval takes pairs as independent; crops of one scene are not quite, so the true
one is wider.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.helpers.camera_methods import (
    Method,
    check_networks,
    given_network,
    methods,
    shipped_networks,
)
from benchmarks.helpers.camera_page import update_page
from benchmarks.helpers.camera_rows import (
    NOISY,
    NONE,
    REAL,
    TOOLS,
    WHITE,
    ImageRow,
    SummaryRow,
    best_setting,
    few,
    read_images,
    read_summary,
    summarise,
    write_rows,
)
from benchmarks.helpers.denoisers import Image
from benchmarks.helpers.record import RESULTS, provenance
from edgeunet.cli.console import note, print_table
from edgeunet.errors import EdgeUnetError
from edgeunet.evaluate.protocol import NoiseKind, Planes, add_noise
from edgeunet.evaluate.ssim import ssim
from edgeunet.files import sha256_of
from edgeunet.metrics import psnr_db
from edgeunet.pairs import check_partners, find_pairs, read_pair
from edgeunet.photographs import Photograph, list_images, read_photograph
from edgeunet.pixels import as_floats
from edgeunet.suffixes import IMAGE_SUFFIXES

NAME = "camera"
# So many at most are lost where a run is stopped, one of a slow method.
_ROWS_KEPT = 20

WHITE_SIGMAS = (0.0, 15.0, 25.0, 50.0)


@dataclass(frozen=True)
class Case:
    """One image at one level. noise, sigma, camera: see ``ImageRow``.

    index: of the image in its folder, which decides the draw of white noise. given: the image
    before white noise, if there is to be any.
    """

    data: str
    noise: str
    sigma: float | None
    index: int
    image: str
    camera: str
    given: Image
    clean: Image

    @property
    def noisy(self) -> Planes:
        if self.sigma is None:
            return self.given
        return add_noise(self.given, NoiseKind.FLOAT, self.sigma, seed=0, index=self.index)

    @functools.cached_property
    def figures_noisy(self) -> tuple[float, float]:
        """PSNR in dB, and SSIM, of what is given."""
        noisy = self.noisy
        return psnr_db(as_floats(noisy), as_floats(self.clean)), ssim(noisy, self.clean)


@dataclass(frozen=True)
class RealPair:
    """One real pair, (3, H, W) uint8, RGB, each. camera: the name's beginning."""

    image: str
    camera: str
    noisy: Image
    clean: Image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=Path, help="a folder with noisy/ and clean/")
    parser.add_argument("--kodak", type=Path, help="photographs for white noise")
    parser.add_argument("--only", help="one method's name")
    parser.add_argument("--resume", action="store_true", help="keep rows measured before")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME-WIDTH=FILE")
    parser.add_argument("--bundles", action="store_true", help="FP32 and INT8 bundles as well")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the tables")
    parser.add_argument("--limit", type=int, help="images of each folder; needs --out")
    parser.add_argument("--page", type=Path, help="the page to put the tables in")
    arguments = parser.parse_args()
    measures = arguments.pairs is not None or arguments.kodak is not None
    if not measures and arguments.page is None:
        parser.error("give --pairs or --kodak to measure, or --page to write what was measured")
    if arguments.limit is not None and arguments.out == RESULTS:
        parser.error("--limit is for a trial: give a folder for its tables with --out")
    if arguments.bundles and arguments.pairs is None:
        parser.error("--bundles are measured on real pairs: give --pairs")
    try:
        if measures:
            _measure_all(arguments)
        summary = read_summary(arguments.out / f"{NAME}.csv")
        if arguments.page is not None:
            update_page(arguments.page, summary)
            note(f"wrote {arguments.page}")
    except EdgeUnetError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error


def _measure_all(arguments: argparse.Namespace) -> None:
    networks = shipped_networks() + [given_network(text) for text in arguments.weights]
    check_networks(networks)
    pairs = [] if arguments.pairs is None else read_pairs(arguments.pairs)[: arguments.limit]
    cases = list(_real_cases(arguments.pairs.name, pairs)) if pairs else []
    if arguments.kodak is not None:
        cases += _white_cases(arguments.kodak, arguments.limit)
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        folder = Path(scratch) if arguments.bundles else None
        every = methods(networks, folder, _size(pairs) if arguments.bundles else (0, 0))
        names = list(dict.fromkeys(method.name for method in every))
        if arguments.only is not None and arguments.only not in names:
            raise SystemExit(f"there is no {arguments.only!r}; known: {', '.join(names)}")
        # The noisy images say what the others are compared with.
        chosen = [m for m in every if arguments.only in (None, m.name) or m.name == NOISY]
        path = arguments.out / f"{NAME}_images.csv"
        digests = {network.name: sha256_of(network.weights) for network in networks}
        rows = _kept(read_images(path), chosen, cases, digests, resume=arguments.resume)
        for method, taken in _plan(chosen, cases, rows):
            for row in _measured(method, taken, rows, digests.get(method.name, "")):
                rows.append(row)
                if method.slow or len(rows) % _ROWS_KEPT == 0:
                    write_rows(path, _in_order(rows, every))
            write_rows(path, _in_order(rows, every))
    summary = summarise(_in_order(rows, every))
    write_rows(arguments.out / f"{NAME}.csv", summary)
    _show(summary)


def read_pairs(folder: Path) -> list[RealPair]:
    """Return real pairs in the order of their names.

    Raises SourceError when a photograph cannot be read or has no partner of its size.
    """
    pairing = find_pairs(folder, IMAGE_SUFFIXES, notice=note)
    check_partners(pairing)
    found = []
    for pair in sorted(pairing.pairs, key=lambda pair: pair.name):
        noisy, clean = (_as_planes(photograph) for photograph in read_pair(pair))
        camera = pair.noisy.name.partition("_")[0]
        found.append(RealPair(pair.name, camera, noisy, clean))
    return found


def _size(pairs: Sequence[RealPair]) -> tuple[int, int]:
    sizes = {pair.clean.shape[1:] for pair in pairs}
    if len(sizes) != 1:
        raise SystemExit("--bundles take frames of one size, and the pairs have several")
    height, width = sizes.pop()
    return height, width


def _real_cases(data: str, pairs: Sequence[RealPair]) -> Iterator[Case]:
    for noise in (REAL, NONE):
        for index, pair in enumerate(pairs):
            given = pair.noisy if noise == REAL else pair.clean
            yield Case(data, noise, None, index, pair.image, pair.camera, given, pair.clean)


def _white_cases(folder: Path, limit: int | None) -> Iterator[Case]:
    photographs = [
        (path.name, _as_planes(read_photograph(path)))
        for path in list_images(folder, notice=note)[:limit]
    ]
    for sigma in WHITE_SIGMAS:
        for index, (name, clean) in enumerate(photographs):
            yield Case(folder.name, WHITE, sigma, index, name, "", clean, clean)


def _as_planes(photograph: Photograph) -> Image:
    return np.ascontiguousarray(photograph.transpose(2, 0, 1))


def _kept(
    rows: Sequence[ImageRow],
    chosen: Sequence[Method],
    cases: Sequence[Case],
    digests: dict[str, str],
    *,
    resume: bool,
) -> list[ImageRow]:
    """Return the rows that are not measured again.

    Rows of a network that is measured now with other weights go, whatever their form.
    """
    again = {(method.name, method.form, method.setting) for method in chosen}
    measured = {method.name for method in chosen}
    data = {case.data for case in cases}
    return [
        row
        for row in rows
        if not (row.method in measured and row.weights_sha256 != digests.get(row.method, ""))
        and (resume or row.data not in data or (*row.subject, row.setting) not in again)
    ]


def _measured(
    method: Method, cases: Sequence[Case], rows: Sequence[ImageRow], digest: str
) -> Iterator[ImageRow]:
    """Yield a row per case that has none yet; load the method when there is such a case."""
    done = {row.key for row in rows}
    wanted = [case for case in cases if _key(method, case, digest) not in done]
    if not wanted:
        return
    note(f"{' '.join((method.name, method.form, method.setting))}: {len(wanted)} images")
    run = method.open()
    facts = provenance(TOOLS)
    for case in wanted:
        denoised = run(case.noisy)
        noisy_db, noisy_ssim = case.figures_noisy
        yield ImageRow(
            method=method.name,
            form=method.form,
            setting=method.setting,
            weights="" if method.weights is None else method.weights.name,
            weights_sha256=digest,
            data=case.data,
            noise=case.noise,
            sigma=case.sigma,
            image=case.image,
            camera=case.camera,
            psnr_noisy_db=round(noisy_db, 4),
            psnr_db=round(psnr_db(as_floats(denoised), as_floats(case.clean)), 4),
            ssim_noisy=round(noisy_ssim, 5),
            ssim=round(ssim(denoised, case.clean), 5),
            facts=facts,
        )


def _key(method: Method, case: Case, digest: str) -> tuple[object, ...]:
    """Return what ``ImageRow.key`` is going to be."""
    settings = method.name, method.form, method.setting, digest
    return (*settings, case.data, case.noise, case.sigma, case.image)


def _plan(
    chosen: Sequence[Method], cases: Sequence[Case], rows: Sequence[ImageRow]
) -> Iterator[tuple[Method, list[Case]]]:
    """Yield methods with what they are measured on.

    rows: the caller adds to them what was measured before it asks for more, because only the best
    strength of a method is given the clean photographs.
    """
    real = frozenset(case.image for case in cases if case.noise == REAL)
    some = few(real)
    for method in chosen:
        noises = [REAL]
        if not method.setting:
            noises.append(NONE)
        if method.takes_floats:
            noises.append(WHITE)
        yield (
            method,
            [c for c in cases if c.noise in noises and (not method.slow or c.image in some)],
        )
    clean = [case for case in cases if case.noise == NONE]
    for name in dict.fromkeys(m.name for m in chosen if m.setting and not m.slow and clean):
        best = best_setting([r for r in rows if r.method == name and r.noise == REAL], real)
        yield next(m for m in chosen if (m.name, m.setting) == (name, best)), clean


def _in_order(rows: Sequence[ImageRow], every: Sequence[Method]) -> list[ImageRow]:
    """Return rows in the order of levels, then of methods; unknown methods come last."""
    levels = {level: number for number, level in enumerate((REAL, NONE, WHITE))}
    places = {(m.name, m.form, m.setting): number for number, m in enumerate(every)}
    return sorted(
        rows,
        key=lambda row: (
            levels[row.noise],
            row.data,
            row.sigma or 0.0,
            places.get((*row.subject, row.setting), len(places)),
            row.image,
        ),
    )


def _show(summary: Sequence[SummaryRow]) -> None:
    columns = (
        *("data", "noise", "sigma", "subset", "images", "method", "form", "setting", "psnr_db"),
        *("gain_db", "gain_half_width_db", "worst_gain_db", "ssim", "int8_loss_db"),
    )
    table = [
        ["" if (value := getattr(row, c)) is None else str(value) for c in columns]
        for row in summary
    ]
    print_table("how clean", columns, table, text_columns=4)


if __name__ == "__main__":
    main()
