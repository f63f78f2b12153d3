"""The CSV file of losses and figures of a run, with one line per checkpoint."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgeunet.files import replacing_file

FILE_NAME = "curve.csv"


class Curve:
    """Writes ``step, loss``, the loss of each output if there are several, and the figures.

    On resume, lines after the checkpoint are dropped.
    """

    def __init__(
        self, path: Path, outputs: Sequence[str], figures: Sequence[str], *, keep_steps: int
    ) -> None:
        self._path = path
        self._outputs = outputs if len(outputs) > 1 else ()
        self._figures = figures
        self._rows: list[list[str]] = []
        if keep_steps and path.is_file():
            with path.open(newline="") as stream:
                rows = list(csv.reader(stream))[1:]
            self._rows = [row for row in rows if int(row[0]) <= keep_steps]

    @contextlib.contextmanager
    def adding(
        self,
        step: int,
        loss: float,
        losses: Mapping[str, float],
        figures: Mapping[str, float],
    ) -> Iterator[None]:
        """Write one more line when the block succeeds, that is, when the checkpoint is written."""
        line = [str(step), f"{loss:.6f}", *(f"{losses[name]:.6f}" for name in self._outputs)]
        for name in self._figures:
            figure, digits = figures.get(name), 3 if "psnr_db" in name else 4
            line.append("" if figure is None else f"{figure:.{digits}f}")
        head = ["step", "loss", *(f"loss_{name}" for name in self._outputs), *self._figures]
        with replacing_file(self._path) as beside:
            with beside.open("w", newline="") as stream:
                csv.writer(stream).writerows([head, *self._rows, line])
            yield
        self._rows.append(line)
