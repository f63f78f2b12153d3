"""Choose the windows of a cut whose encode and decode are chains. Sizes are in bytes.

Relayed tensors take memory beside the windows: about as many rows as the window of the stage that
reads them has, and as the stage that makes them goes on by. So low and wide windows are worth more
than in a cut without chains, and what a window costs is its area and its height.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.imitation.prediction import Areas, border_size, usual_bytes
from edgeunet.planning.request import WindowSize
from edgeunet.planning.window_choices import StageWindowChoices
from edgeunet.specs import Engine

Sizes = NDArray[np.float64]

# Limits of what the engine, the buffers and the relayed rows take: between the least and the most.
_ENGINE_LIMITS, _BUFFER_LIMITS, _RELAYED_LIMITS = 48, 16, 48
_FEW_BYTES = 64 << 10
# What a relayed byte may cost: shares of the least work of a frame, per MiB.
_PRICES = np.array([0.0, *np.geomspace(1e-4, 10.0, 48)]) / (1 << 20)


@dataclass(frozen=True)
class _Options:
    """Windows of one stage that no other window beats, as columns of equal length, by their area.

    engine, buffers: bytes of the engine and of the window's buffers, for all workers.
    relayed: bytes of relayed rows that the window's height causes.
    work: multiply-accumulates of all windows together.
    """

    windows: list[WindowSize]
    engine: Sizes
    buffers: Sizes
    relayed: Sizes
    work: Sizes


@dataclass(frozen=True)
class _Choices:
    """Windows of all stages, as columns of equal length: each takes more and computes less.

    totals: bytes of the engine, of buffers and of relayed rows.
    indices: for every stage in windows, the chosen options.
    """

    totals: Sizes
    indices: list[Areas]


class RelayChoices:
    """The windows of every stage of a cut with chains."""

    def __init__(
        self,
        stages: Sequence[StageWindowChoices],
        relayed: Collection[str],
        spare: Mapping[str, int],
        size: WindowSize,
        engine: Engine,
        live_once: int,
        workers: int = 1,
    ) -> None:
        """Prepare for stages.

        relayed: names of relayed tensors. spare: how many relayed bytes every chain has without
            more being held than when something else runs.
        size: (rows, columns) of the padded frame.
        live_once: the live peak of the stages that run once. workers: how many windows run at a
            time.
        """
        self._stages, self._relayed, self._spare = stages, relayed, spare
        self._size, self._engine, self._workers = size, engine, workers
        self._once = self._usual(live_once) if live_once else 0.0

    def within(self, room: float) -> list[WindowSize | None] | None:
        """Return the windows with the least arithmetic that fit, None if none fit.

        room: bytes for window buffers, the engine and relayed tensors.
        """
        return next(self.all_within(room), None)

    def all_within(self, room: float) -> Iterator[list[WindowSize | None]]:
        """Yield windows that fit, those with the least arithmetic first; each takes less."""
        fitting = int(np.searchsorted(self._choices.totals, room, side="right"))
        for choice in reversed(range(fitting)):
            yield self._windows(choice)

    def smallest(self) -> list[WindowSize | None]:
        """Return the windows with which the cut takes the least memory."""
        return self._windows(0)

    def _windows(self, choice: int) -> list[WindowSize | None]:
        chosen = iter(
            options.windows[int(indices[choice])]
            for options, indices in zip(self._options, self._choices.indices, strict=True)
        )
        return [next(chosen) if one.stage.windowed else None for one in self._stages]

    @functools.cached_property
    def _choices(self) -> _Choices:
        """All choices that no other choice beats.

        Each has the least work for limits of what the engine, the buffers and the relayed rows
        take. Within the first two, every stage is decided alone, for a price of relayed bytes; for
        every chain, the lowest price counts with which its rows fit.
        """
        engine_limits = _between([one.engine for one in self._options], _ENGINE_LIMITS, self._once)
        buffer_limits = _between([one.buffers for one in self._options], _BUFFER_LIMITS, 0.0)
        priced = [self._priced(one, engine_limits, buffer_limits) for one in self._options]
        chains = [one.stage.chain for one in self._stages if one.stage.windowed]
        more = {chain: np.zeros_like(priced[0], np.float64) for chain in chains}
        for chain, options, index in zip(chains, self._options, priced, strict=True):
            more[chain] += options.relayed[index]
        for chain, found in more.items():
            found -= self._spare.get(chain, 0)
        most = max(_FEW_BYTES, *(float(found.max()) for found in more.values()))
        limits = np.concatenate(([0.0], np.geomspace(_FEW_BYTES, most, _RELAYED_LIMITS)))
        shape = (len(limits), *priced[0].shape[:2])
        engine, buffers = np.full(shape, self._once), np.zeros(shape)
        relayed, work = np.zeros(shape), np.zeros(shape)
        rows, columns = np.indices(priced[0].shape[:2])
        price = {}
        for chain, found in more.items():
            fits = found <= limits[:, None, None, None]
            price[chain] = fits.argmax(axis=-1)
            taken = found[rows, columns, price[chain]]
            relayed = np.maximum(relayed, np.where(fits.any(axis=-1), taken, np.inf))
        indices = []
        for chain, options, index in zip(chains, self._options, priced, strict=True):
            chosen = index[rows, columns, price[chain]]
            work += options.work[chosen]
            engine = np.maximum(engine, options.engine[chosen])
            buffers = np.maximum(buffers, options.buffers[chosen])
            indices.append(chosen.ravel())
        # Where no window is within the limits, the smallest stands for it, with what it takes.
        totals, work = (engine + buffers + relayed).ravel(), work.ravel()
        order = np.lexsort((work, totals))
        before = np.minimum.accumulate(np.concatenate(([np.inf], work[order])))[:-1]
        kept = order[(work[order] < before) & np.isfinite(totals[order])]
        return _Choices(totals[kept], [index[kept] for index in indices])

    def _priced(self, options: _Options, engine: Sizes, buffers: Sizes) -> Areas:
        """Return the window with the least cost for every limit and price, as (E, B, P) indices.

        engine, buffers: limits in bytes. The smallest window where none is within them.
        """
        least = sum(float(one.work.min()) for one in self._options)
        costs = options.work + np.multiply.outer(_PRICES * least, options.relayed)
        # Both limits are limits of the area, by which options are sorted.
        last = np.minimum.outer(
            np.searchsorted(options.engine, engine, side="right"),
            np.searchsorted(options.buffers, buffers, side="right"),
        )
        found: Areas = _cheapest_so_far(costs)[:, np.maximum(last - 1, 0)].transpose(1, 2, 0)
        return found

    @functools.cached_property
    def _options(self) -> list[_Options]:
        return [self._options_of(one) for one in self._stages if one.stage.windowed]

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


def _unbeaten(areas: Areas, relayed: Sizes, work: Sizes) -> Areas:
    """Return the indices of the options that no other option beats in all three figures.

    What the engine takes, and the buffers, grow with the area.
    """
    kept: list[int] = []
    for index in np.lexsort((work, relayed, areas)):
        others = np.array(kept, dtype=np.int64)
        if not ((relayed[others] <= relayed[index]) & (work[others] <= work[index])).any():
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)


def _between(columns: Sequence[Sizes], count: int, least: float) -> Sizes:
    """Return limits from the least with which every stage has a window to the most of all."""
    low = max(least, *(float(column.min()) for column in columns))
    high = max(low, *(float(column.max()) for column in columns))
    return np.geomspace(low, high, count)


def _cheapest_so_far(costs: Sizes) -> Areas:
    """Return, along the last axis, the index of the least cost up to each position."""
    least = np.minimum.accumulate(costs, axis=-1)
    first = np.concatenate((np.ones_like(least[:, :1], bool), least[:, 1:] < least[:, :-1]), axis=1)
    return np.maximum.accumulate(np.where(first, np.arange(costs.shape[1]), 0), axis=1)
