"""Choose the windows of a cut whose encode and decode are chains. Sizes are in bytes.

Relayed tensors take memory beside the windows: about as many rows as the window of the stage that
reads them has, and as the stage that makes them goes on by. So low and wide windows are worth more
than in a cut without chains, and what a window costs is its area and its height.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.imitation.prediction import Areas, border_size, usual_bytes
from edgeunet.planning.request import WindowSize
from edgeunet.planning.window_choices import StageWindowChoices
from edgeunet.specs import Engine

# Of the room, what the engine may take for the largest window, and what its buffers may take.
_ENGINE_SHARES = np.linspace(0.2, 0.9, 20)
_BUFFER_SHARES = np.linspace(0.04, 0.4, 10)
# In search of the least memory: limits relative to those of the smallest windows.
_FACTORS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
# What a byte of relayed rows may cost, in shares of the stage's work per byte of the room.
_PRICES = np.array([0.0, *np.geomspace(0.01, 30.0, 24)])


@dataclass(frozen=True)
class _Options:
    """Windows of one stage that no other window beats, as columns of equal length.

    engine, buffers: bytes of the engine and of the window's buffers, for all workers.
    relayed: bytes of relayed rows that the window's height causes.
    work: multiply-accumulates of all windows together.
    """

    windows: list[WindowSize]
    engine: NDArray[np.float64]
    buffers: NDArray[np.float64]
    relayed: NDArray[np.float64]
    work: NDArray[np.float64]

    def fits(self, limits: tuple[float, float]) -> NDArray[np.bool_]:
        """Return which windows take at most (bytes of the engine, bytes of buffers)."""
        return (self.engine <= limits[0]) & (self.buffers <= limits[1])


class RelayChoices:
    """The windows of every stage of a cut with chains."""

    def __init__(
        self,
        stages: Sequence[StageWindowChoices],
        relayed: Collection[str],
        size: WindowSize,
        engine: Engine,
        workers: int = 1,
    ) -> None:
        """Prepare for stages.

        relayed: names of relayed tensors. size: (rows, columns) of the padded frame.
        workers: how many windows run at a time.
        """
        self._stages, self._relayed, self._size, self._engine = stages, relayed, size, engine
        self._workers = workers

    def within(self, room: int, live_once: int) -> list[WindowSize | None] | None:
        """Return the windows with the least arithmetic that fit, None if none fit.

        room: bytes for window buffers, the engine and relayed tensors.
        live_once: the live peak of the stages that run once.
        """
        best: tuple[float, list[WindowSize | None]] | None = None
        once = self._usual(live_once)
        for engine_share, buffer_share in itertools.product(_ENGINE_SHARES, _BUFFER_SHARES):
            limits = room * float(engine_share), room * float(buffer_share)
            if limits[0] < once or sum(limits) > room:
                continue
            chosen = self._least_work(limits, room)
            if chosen is not None and (best is None or chosen[0] < best[0]):
                best = chosen
        return None if best is None else best[1]

    def smallest(self, live_once: int) -> list[WindowSize | None]:
        """Return the windows with which the cut takes the least memory."""
        once = self._usual(live_once)
        least = max(float(options.engine.min()) for options in self._windowed)
        buffers = max(float(options.buffers.min()) for options in self._windowed)
        best: tuple[float, list[WindowSize | None]] | None = None
        for larger, wider in itertools.product(_FACTORS, _FACTORS):
            limits = max(least * larger, once), buffers * wider
            total = sum(limits)
            found: list[WindowSize | None] = []
            for options in self._options:
                if options is None:
                    found.append(None)
                    continue
                relayed = np.where(options.fits(limits), options.relayed, np.inf)
                index = int(np.lexsort((options.work, relayed))[0])
                total += float(options.relayed[index])
                found.append(options.windows[index])
            if best is None or total < best[0]:
                best = total, found
        assert best is not None
        return best[1]

    def _least_work(
        self, limits: tuple[float, float], room: int
    ) -> tuple[float, list[WindowSize | None]] | None:
        """Return the least work, and its windows, within the limits of ``_Options.fits``."""
        work = np.zeros(len(_PRICES))
        relayed = np.zeros(len(_PRICES))
        indices: list[Areas | None] = []
        for options in self._options:
            if options is None:
                indices.append(None)
                continue
            fits = options.fits(limits)
            if not fits.any():
                return None
            price = options.work.min() / room
            costs = options.work + np.multiply.outer(_PRICES * price, options.relayed)
            index = np.argmin(np.where(fits, costs, np.inf), axis=1)
            work += options.work[index]
            relayed += options.relayed[index]
            indices.append(index)
        total = np.where(relayed <= room - sum(limits), work, np.inf)
        at = int(np.argmin(total))
        if np.isinf(total[at]):
            return None
        return float(total[at]), [
            None if options is None or index is None else options.windows[int(index[at])]
            for options, index in zip(self._options, indices, strict=True)
        ]

    @property
    def _windowed(self) -> list[_Options]:
        return [options for options in self._options if options is not None]

    @functools.cached_property
    def _options(self) -> list[_Options | None]:
        return [self._options_of(one) if one.stage.windowed else None for one in self._stages]

    def _options_of(self, one: StageWindowChoices) -> _Options:
        every = one.options(None)
        rows, columns = self._size
        stage = one.stage

        def bytes_per_row(borders: Collection[str]) -> float:
            known = {border.name: border for border in (*stage.inputs, *stage.outputs)}
            return sum(
                border_size(known[name], rows, columns) / rows
                for name in borders
                if name in self._relayed
            )

        read = bytes_per_row([border.name for border in stage.inputs])
        made = bytes_per_row([border.name for border in stage.outputs])
        halo = stage.halo_rows.before + stage.halo_rows.after
        steps = np.where(every.heights >= rows, rows, every.heights - halo)
        relayed = read * every.heights + made * steps
        kept = _unbeaten(every.heights * every.widths, relayed, every.work)
        return _Options(
            [every.window(int(index)) for index in kept],
            usual_bytes(self._engine, self._workers * every.live)[kept].astype(np.float64),
            self._workers * every.border[kept].astype(np.float64),
            relayed[kept].astype(np.float64),
            every.work[kept],
        )

    def _usual(self, live_bytes: int) -> float:
        return float(usual_bytes(self._engine, np.array([live_bytes]))[0])


def _unbeaten(areas: Areas, relayed: NDArray[np.float64], work: NDArray[np.float64]) -> Areas:
    """Return the indices of the options that no other option beats in all three figures.

    What the engine takes, and the buffers, grow with the area.
    """
    kept: list[int] = []
    for index in np.lexsort((work, relayed, areas)):
        others = np.array(kept, dtype=np.int64)
        if not ((relayed[others] <= relayed[index]) & (work[others] <= work[index])).any():
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)
