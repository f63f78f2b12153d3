"""The tensors between a manifest's stages, in the form that ``analysis/held_layout.py`` takes."""

from __future__ import annotations

from edgeunet.analysis.held_layout import StageBorders
from edgeunet.bundle.manifest import Manifest
from edgeunet.specs import FRAME, FrameType, Task, TensorSpec


def held_specs(manifest: Manifest) -> tuple[TensorSpec, ...]:
    """Return the held tensors: those that are no frame, output or state.

    What takes the place of a state is no held tensor either: it is written there at once. A bundle
    without a plan has none.
    """
    if manifest.plan is None:
        return ()
    known = {FRAME, *(output.name for output in manifest.outputs)}
    for state in manifest.states:
        known |= {state.name, state.made_by}
    return tuple(entry.spec() for entry in manifest.plan.tensors if entry.name not in known)


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
            inputs=tuple(entry.name for entry in stage.inputs),
            outputs=tuple(entry.name for entry in stage.outputs),
            cellwise=stage.window is not None and stage.window.cellwise,
        )
        for stage in manifest.stages
    )
