"""Does a manifest say one thing? Checked before anything in a bundle is used."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from edgeunet.bundle.manifest import (
    CpuEntry,
    FramePlanEntry,
    HeldEntry,
    Manifest,
    StageEntry,
    TensorEntry,
    WindowEntry,
)
from edgeunet.errors import UsageError
from edgeunet.frame_windows import Halo, windows
from edgeunet.specs import FRAME, TensorSpec
from edgeunet.units import format_size
from edgeunet.window_turns import StageRows, relayed_names


def contradiction_in(manifest: Manifest) -> str | None:
    """Return the first thing a manifest says that cannot be so, or None."""
    return next(_contradictions(manifest), None)


def _contradictions(manifest: Manifest) -> Iterator[str]:
    height, width = manifest.height, manifest.width
    if min(height, width) < 1:
        yield f"a frame of {format_size(height, width)} pixels"
        return
    if (manifest.recipe is None) == (manifest.foreign is None):
        yield "it names no network, or two"
        return
    if not manifest.stages:
        yield "it has no stages"
        return
    if not manifest.outputs:
        yield "it has no outputs"
    if min(msgspec.structs.astuple(manifest.memory)) < 0:
        yield "it has negative figures of memory"
    if manifest.cpu is not None:
        yield from _processors(manifest.cpu)
    if manifest.plan is None:
        yield from _whole_frame(manifest)
    else:
        yield from _planned(manifest, manifest.plan)


def _processors(cpu: CpuEntry) -> Iterator[str]:
    classes = [name for entry in cpu.processors for name in entry.classes]
    if not classes or len(set(classes)) != len(classes):
        yield "it names no class of processors, or one twice"
    figures = [
        (e.region_bytes, e.predicted_bytes, e.thread_bytes, e.stack_bytes or 0)
        for e in cpu.processors
    ]
    if cpu.threads < 1 or any(min(each) < 0 for each in figures):
        yield "it has impossible figures of memory on a class of processors"


def _whole_frame(manifest: Manifest) -> Iterator[str]:
    size = (manifest.height, manifest.width)
    if len(manifest.stages) > 1 or manifest.stages[0].window is not None:
        yield "it has several stages or windows, and no plan"
    if manifest.states:
        yield "it keeps tensors from frame to frame, and has no plan"
    if _frame(manifest, size) not in [entry.spec() for entry in manifest.stages[0].inputs]:
        yield f"its first stage takes no {_described(manifest, size)}"
    made = {entry.name: entry.spec() for stage in manifest.stages for entry in stage.outputs}
    yield from _outputs(manifest, made, size)


def _planned(manifest: Manifest, plan: FramePlanEntry) -> Iterator[str]:
    size = (plan.height, plan.width)
    if plan.height < manifest.height or plan.width < manifest.width:
        yield f"its padded frame, {format_size(*size)}, is smaller than the frame"
        return
    tensors = {entry.name: entry for entry in plan.tensors}
    if plan.workers < 1 or plan.worker_bytes < 0:
        yield "it has a number of workers that cannot be"
    if len(tensors) != len(plan.tensors):
        yield "its plan lists a tensor twice"
    for entry in plan.tensors:
        yield from _placed(entry, size)
    if FRAME not in tensors or tensors[FRAME].spec() != _frame(manifest, size):
        yield f"its plan has no {_described(manifest, size)}"
    for stage in manifest.stages:
        yield from _stage(stage, tensors, size)
    yield from _states(manifest, tensors)
    yield from _chains(manifest, tensors, size)
    made = {name: entry.spec() for name, entry in tensors.items()}
    yield from _outputs(manifest, made, size)


def _states(manifest: Manifest, tensors: dict[str, HeldEntry]) -> Iterator[str]:
    made = {entry.name for stage in manifest.stages for entry in stage.outputs}
    names = [state.name for state in manifest.states]
    for number, state in enumerate(manifest.states):
        # A state that takes the place of another is overwritten after it.
        makers = {FRAME, *made, *names[number + 1 :]}
        if names.count(state.name) > 1 or state.name in made or state.name not in tensors:
            yield f"it has no one state {state.name!r}"
        elif state.made_by not in makers or state.made_by not in tensors:
            yield f"no stage makes what takes the place of the state {state.name!r}"
        elif _kind(tensors[state.made_by]) != _kind(tensors[state.name]):
            yield f"{state.made_by!r} does not fit into the state {state.name!r}"
        elif state.repeats_first and _kind(tensors[state.name]) != _kind(tensors[FRAME]):
            yield f"the frame does not fit into the state {state.name!r}"


def _kind(entry: HeldEntry) -> tuple[tuple[int, ...], str]:
    return entry.shape, entry.dtype


def _chains(
    manifest: Manifest, tensors: dict[str, HeldEntry], size: tuple[int, int]
) -> Iterator[str]:
    """Yield what keeps stages from taking turns."""
    runs = [name for name, _ in itertools.groupby(stage.chain for stage in manifest.stages)]
    for name in {stage.chain for stage in manifest.stages if stage.chain}:
        if runs.count(name) > 1:
            yield f"the stages of the chain {name!r} do not follow one another"
        if any(stage.window is None for stage in manifest.stages if stage.chain == name):
            yield f"a stage of the chain {name!r} has no windows"
    rows = [
        StageRows(stage.chain, _names(stage.inputs), _names(stage.outputs))
        for stage in manifest.stages
    ]
    for name in sorted(relayed_names(rows, {output.name for output in manifest.outputs})):
        held = tensors.get(name)
        if held is None or held.axes is None:
            yield f"{name!r} has no rows that could be relayed"
        elif held.shape[held.axes[0]] * held.stride != size[0] * held.finer:
            yield f"rows of {name!r} are not rows of the frame"


def _names(entries: tuple[TensorEntry, ...]) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries)


def _placed(entry: HeldEntry, size: tuple[int, int]) -> Iterator[str]:
    if entry.axes is None:
        return
    rank = len(entry.shape)
    if (
        min(entry.stride, entry.finer) < 1
        or len(set(entry.axes)) != 2
        or not all(0 <= axis < rank for axis in entry.axes)
    ):
        yield f"the tensor {entry.name!r} has no place in the frame"
        return
    for axis, length in zip(entry.axes, size, strict=True):
        # Kernels and strides leave out or add some rows at the frame's ends.
        if not length < 2 * entry.shape[axis] * entry.stride / entry.finer < 4 * length:
            yield f"the tensor {entry.name!r} is not as large as the padded frame"
            return


def _stage(
    stage: StageEntry, tensors: dict[str, HeldEntry], size: tuple[int, int]
) -> Iterator[str]:
    window = size
    if stage.window is not None:
        window = (min(stage.window.height, size[0]), min(stage.window.width, size[1]))
        yield from _window(stage.name, stage.window, size)
    for entry in (*stage.inputs, *stage.outputs):
        held = tensors.get(entry.name)
        if held is None:
            yield f"its plan does not list {entry.name!r} of stage {stage.name!r}"
        elif entry.dtype != held.dtype or entry.shape != held.shape_in(window, size):
            yield f"{entry.name!r} of stage {stage.name!r} is not as large as its window"
        elif stage.window is None or window == size or held.axes is None:
            continue
        elif stage.window.align % held.stride:
            yield f"{entry.name!r} of stage {stage.name!r} has no elements where windows start"


def _window(name: str, window: WindowEntry, size: tuple[int, int]) -> Iterator[str]:
    halos = (window.halo_rows, window.halo_columns)
    if (
        window.align < 1
        or min(window.height, window.width) < 1
        or any(min(halo) < 0 for halo in halos)
    ):
        yield f"stage {name!r} has no possible window"
        return
    for length, side, halo in zip(size, (window.height, window.width), halos, strict=True):
        try:
            windows(length, side, align=window.align, halo=Halo(*halo))
        except UsageError as error:
            yield f"stage {name!r}: {error.message}"
        if side < length and (length - side) % window.align:
            yield f"stage {name!r} has windows that do not start at multiples of {window.align}"


def _outputs(
    manifest: Manifest, made: dict[str, TensorSpec], size: tuple[int, int]
) -> Iterator[str]:
    last: set[str] = set()
    for entry in (entry for stage in manifest.stages for entry in stage.outputs):
        if entry.name in last:
            yield f"two stages make {entry.name!r}"
        last.add(entry.name)
    names = [output.name for output in manifest.outputs]
    for name in names:
        if names.count(name) > 1:
            yield f"it has two outputs {name!r}"
    for output in manifest.outputs:
        if output.name not in made or output.name not in last:
            yield f"no stage makes the output {output.name!r}"
        elif made[output.name] != output.spec(*size, manifest.frame_type):
            yield f"the output {output.name!r} has not the shape and type of {output.task}"


def _frame(manifest: Manifest, size: tuple[int, int]) -> TensorSpec:
    return TensorSpec(FRAME, (1, *size, 3), str(manifest.frame_type))


def _described(manifest: Manifest, size: tuple[int, int]) -> str:
    return f"{manifest.frame_type} frame of {format_size(*size)} pixels"
