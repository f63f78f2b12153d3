"""What a manifest's stages hold for each other, as ``analysis/held_layout.py`` takes it."""

from __future__ import annotations

from edgeunet.analysis.held_layout import StageBorders
from edgeunet.bundle.manifest import Manifest
from edgeunet.imitation.onnxruntime_arena import pool_for
from edgeunet.specs import FRAME, Pool, TensorSpec


def held_specs(manifest: Manifest) -> tuple[TensorSpec, ...]:
    """Return the tensors that are neither the frame nor an output; none without a plan."""
    if manifest.plan is None:
        return ()
    known = {FRAME, *(output.name for output in manifest.outputs)}
    return tuple(entry.spec() for entry in manifest.plan.tensors if entry.name not in known)


def stage_borders(manifest: Manifest) -> tuple[StageBorders, ...]:
    return tuple(
        StageBorders(
            inputs=tuple(entry.name for entry in stage.inputs),
            outputs=tuple(entry.name for entry in stage.outputs),
            cellwise=stage.window is not None and stage.window.cellwise,
        )
        for stage in manifest.stages
    )


def pool_of(manifest: Manifest) -> Pool | None:
    """Return what an engine should set aside; None for a bundle that does not say."""
    region_bytes = manifest.memory.region_bytes
    return pool_for(region_bytes) if region_bytes else None
