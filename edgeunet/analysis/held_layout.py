"""Lay out the tensors that stages pass to later ones in one arena.

No graph is needed, so a device computes exactly the layout that the planner computed.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgeunet.analysis.arena import ALIGNMENT_BYTES, ArenaLayout, lay_out_arena
from edgeunet.analysis.liveness import Lifetime
from edgeunet.graph.summary import TensorKind
from edgeunet.specs import TensorSpec


@dataclass(frozen=True)
class StageBorders:
    """The names of the tensors that a stage reads and writes.

    cellwise: the stage runs in windows, and no window reads what another one reads.
    chain: the name of the chain that it runs in, empty for a stage that runs alone. Stages of a
        chain follow one another and take turns, so what one of them reads or makes is held as long
        as all of them run.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cellwise: bool
    chain: str = ""


@dataclass(frozen=True)
class HeldLayout:
    """The arena of held tensors.

    offsets: bytes from the start of the arena, by tensor name.
    overwrites: for an output that overwrites an input, the name of that input.
    live_bytes: bytes held while each stage runs.
    """

    arena: ArenaLayout
    offsets: Mapping[str, int]
    overwrites: Mapping[str, str]
    live_bytes: tuple[int, ...]

    @property
    def arena_bytes(self) -> int:
        return self.arena.arena_bytes


def lay_out_held(
    stages: Sequence[StageBorders],
    held: Collection[TensorSpec],
    alignment_bytes: int = ALIGNMENT_BYTES,
) -> HeldLayout:
    """Return an aligned offset for every held tensor.

    A cellwise stage may overwrite an input of the same shape that is not read later, because no
    other window reads the same part of it (see graph/stages.py).
    """
    return _lay_out(tuple(stages), tuple(held), alignment_bytes)


@functools.lru_cache(maxsize=64)
def _lay_out(
    stages: tuple[StageBorders, ...], held: tuple[TensorSpec, ...], alignment_bytes: int
) -> HeldLayout:
    specs = {spec.name: spec for spec in held}
    made = {name: i for i, stage in enumerate(stages) for name in stage.outputs if name in specs}
    last = {name: i for i, stage in enumerate(stages) for name in stage.inputs if name in specs}
    overwrites: dict[str, str] = {}
    for index, stage in enumerate(stages):
        if not stage.cellwise or stage.chain:
            continue
        dying = [name for name in stage.inputs if last.get(name) == index]
        for name in stage.outputs:
            twin = next((i for i in dying if name in specs and _alike(specs[i], specs[name])), None)
            if twin is not None:
                overwrites[name] = twin
                dying.remove(twin)
    owner: dict[str, str] = {}
    for name in sorted(made, key=lambda name: made[name]):
        owner[name] = owner[overwrites[name]] if name in overwrites else name
    buffers = []
    for name in dict.fromkeys(owner.values()):
        sharing = [other for other, held_by in owner.items() if held_by == name]
        buffers.append(
            Lifetime(
                name=name,
                size_bytes=specs[name].size_bytes,
                kind=TensorKind.ACTIVATION,
                start=min(_together(stages, made[other])[0] for other in sharing),
                end=max(_together(stages, last.get(other, made[other]))[1] for other in sharing)
                + 1,
            )
        )
    arena = lay_out_arena(buffers, alignment_bytes)
    live = tuple(
        sum(buffer.size_bytes for buffer in buffers if buffer.alive_at(index))
        for index in range(len(stages))
    )
    offsets = {name: arena.offsets[held_by] for name, held_by in owner.items()}
    return HeldLayout(arena, offsets, overwrites, live)


def _together(stages: Sequence[StageBorders], index: int) -> tuple[int, int]:
    """Return the first and the last stage of the chain that a stage is in."""
    chain = stages[index].chain
    if not chain:
        return index, index
    inside = [i for i, stage in enumerate(stages) if stage.chain == chain]
    return inside[0], inside[-1]


def _alike(one: TensorSpec, other: TensorSpec) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype)
