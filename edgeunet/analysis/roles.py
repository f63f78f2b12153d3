"""The role of each live buffer: a skip waits for the decoder, the rest is in use.

A skip is made before the bottleneck begins, and is read later by nodes that the bottleneck does not
depend on. The skips alive while the first node of the bottleneck runs are the **skip bytes**.
"""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass

from edgeunet.analysis.levels import Levels, spatial_of
from edgeunet.analysis.liveness import Lifetime, Liveness, sum_per_step
from edgeunet.graph.summary import GraphView


class Role(str, enum.Enum):
    """The reason why a buffer is held.

    STATE: kept from frame to frame.
    HELD: passed from stage to stage.
    WINDOW: buffers of one window.
    """

    STATE = "state"
    HELD = "held"
    WINDOW = "window"
    SKIP = "skip"
    STREAM = "stream"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Roles:
    """For each buffer that is ever a skip, the half-open span of steps in which it is one."""

    liveness: Liveness
    spans: dict[str, tuple[int, int]]

    def role_of(self, buffer: Lifetime, step: int) -> Role:
        """Return the role of a live activation at a step."""
        start, end = self.spans.get(buffer.name, (0, 0))
        return Role.SKIP if start <= step < end else Role.STREAM

    def skip_bytes_per_step(self) -> tuple[int, ...]:
        """Return the bytes held as skips at each step."""
        sizes = {buffer.name: buffer.size_bytes for buffer in self.liveness.activations}
        spans = [(start, end, sizes[name]) for name, (start, end) in self.spans.items()]
        return sum_per_step(self.liveness.steps, spans)


def roles_of(view: GraphView, liveness: Liveness, levels: Levels) -> Roles:
    """Return the role of every activation over time."""
    first = levels.bottleneck_step
    if first is None:
        return Roles(liveness, {})
    spans = {
        buffer.name: found
        for buffer in liveness.activations
        if (found := _span(view, buffer, levels, first)) is not None
    }
    return Roles(liveness, spans)


def _span(view: GraphView, buffer: Lifetime, levels: Levels, first: int) -> tuple[int, int] | None:
    if buffer.start >= first or not buffer.uses:
        return None
    on_path = [use for use in buffer.uses if use in levels.ancestors]
    later = [use for use in buffer.uses if use > first]
    if later:
        # A shortcut around a strided convolution also outlives the first node of the deepest
        # level, but it ends at that level: it is not held for the decoder.
        if all(_at_deepest_level(view, use, levels) for use in later):
            return None
        return (on_path[-1] if on_path else buffer.start + 1, buffer.end)
    # Used up before the bottleneck, with readers beside the main path: a part of an aggregated
    # map is a skip from when it first waits; what is read without a pause is work in progress.
    begin = on_path[-1] if on_path else buffer.start
    touched = (begin, *(use for use in buffer.uses if use > begin))
    for before, after in itertools.pairwise(touched):
        if after > before + 1:
            return (before + 1, buffer.end)
    return None


def _at_deepest_level(view: GraphView, step: int, levels: Levels) -> bool:
    deepest = levels.sizes[-1]
    return any(spatial_of(view.tensor(name)) == deepest for name in view.nodes[step].outputs)
