"""The tensors between a manifest's stages, in the form that ``analysis/held_layout.py`` takes."""

from __future__ import annotations

from edgeunet.analysis.held_layout import StageBorders
from edgeunet.bundle.manifest import HeldEntry, Manifest, StageEntry
from edgeunet.specs import FRAME, FrameType, Task, TensorSpec
from edgeunet.window_turns import StageRows, Turns, turns_of


def held_specs(manifest: Manifest) -> tuple[TensorSpec, ...]:
    """Return the held tensors: those that are no frame, output or state.

    What a stage makes in the place of a state is none either: it is written there at once. A
    relayed tensor has as many rows as are held at a time. A bundle without a plan has none.
    """
    if manifest.plan is None:
        return ()
    known = {FRAME, *(output.name for output in manifest.outputs)}
    for state in manifest.states:
        known |= {state.name, state.made_by}
    held_rows = turns_of_stages(manifest).held_rows
    return tuple(
        _with_rows(entry, held_rows.get(entry.name))
        for entry in manifest.plan.tensors
        if entry.name not in known
    )


def turns_of_stages(manifest: Manifest) -> Turns:
    """Return the order in which a bundle's stages run, and the rows that it holds for it."""
    plan = manifest.plan
    stages = [
        StageRows(
            stage.chain,
            *_names(stage),
            rows=tuple(stage.window.cover(plan.height, plan.width)[0]),
            height=min(stage.window.height, plan.height),
        )
        if plan is not None and stage.window is not None and stage.chain
        else StageRows("", *_names(stage))
        for stage in manifest.stages
    ]
    kept = {state.made_by for state in manifest.states}
    return turns_of(stages, {output.name for output in manifest.outputs} | kept)


def state_specs(manifest: Manifest) -> tuple[TensorSpec, ...]:
    """Return the tensors that are kept from frame to frame."""
    if manifest.plan is None:
        return ()
    names = {state.name for state in manifest.states}
    return tuple(entry.spec() for entry in manifest.plan.tensors if entry.name in names)


def buffer_bytes(manifest: Manifest) -> int:
    """Return the size of the outputs and of the frame's copy, without what stages hold.

    Float images and label maps also exist as rounded bytes. The frame is copied where it is padded
    or in floats.
    """
    frame, kind = (manifest.height, manifest.width), manifest.frame_type
    size_bytes = sum(output.spec(*frame, kind).size_bytes for output in manifest.outputs)
    floats = kind is not FrameType.UINT8
    if floats:
        rounded = (output for output in manifest.outputs if output.task is not Task.CLASSIFY)
        size_bytes += sum(output.spec(*frame).size_bytes for output in rounded)
    plan = manifest.plan
    if plan is None and not floats:
        return size_bytes
    padded = frame if plan is None else (plan.height, plan.width)
    return size_bytes + TensorSpec(FRAME, (1, *padded, 3), str(kind)).size_bytes


def stage_borders(manifest: Manifest) -> tuple[StageBorders, ...]:
    """Return the names of every stage's inputs and outputs."""
    return tuple(
        StageBorders(
            *_names(stage),
            cellwise=stage.window is not None and stage.window.cellwise,
            chain=stage.chain,
        )
        for stage in manifest.stages
    )


def _names(stage: StageEntry) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a stage's inputs and of its outputs."""
    return (
        tuple(entry.name for entry in stage.inputs),
        tuple(entry.name for entry in stage.outputs),
    )


def _with_rows(entry: HeldEntry, held_rows: int | None) -> TensorSpec:
    """Return a tensor's spec; held_rows: in pixels, None for all rows."""
    if held_rows is None or entry.axes is None:
        return entry.spec()
    shape = list(entry.shape)
    shape[entry.axes[0]] = held_rows * entry.finer // entry.stride
    return TensorSpec(entry.name, tuple(shape), entry.dtype)
