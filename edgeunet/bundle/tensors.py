"""The tensors between a manifest's stages, in the form that ``analysis/held_layout.py`` takes."""

from __future__ import annotations

from edgeunet.analysis.held_layout import StageBorders
from edgeunet.bundle.manifest import Manifest
from edgeunet.imitation.onnxruntime_arena import pool_for
from edgeunet.specs import FRAME, Pool, TensorSpec


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


def pool_of(manifest: Manifest) -> Pool | None:
    """Return the memory that an engine should set aside; None when the bundle does not say."""
    region_bytes = manifest.memory.region_bytes
    return pool_for(region_bytes) if region_bytes else None
