"""What a bundle's stages have to be to run one after the other."""

from __future__ import annotations

from edgeunet.bundle.manifest import Manifest, StageEntry
from edgeunet.errors import BundleError
from edgeunet.run.spaces import Opened
from edgeunet.specs import FRAME


def check_borders(manifest: Manifest, name: str) -> None:
    """Raise BundleError when no stage makes an output, or no earlier stage makes an input.

    name: the bundle, for the message.
    """
    known = {FRAME, *(state.name for state in manifest.states)}
    for stage in manifest.stages:
        for entry in stage.inputs:
            if entry.name not in known:
                raise _broken(name, f"no earlier stage makes {entry.name!r} for {stage.name!r}")
        known.update(entry.name for entry in stage.outputs)
    for output in manifest.outputs:
        if output.name not in known:
            raise _broken(name, f"no stage makes the output {output.name!r}")


def check_stage(opened: Opened, stage: StageEntry, name: str) -> None:
    """Raise BundleError when a graph's tensors are not those that the manifest lists."""
    for found, listed in ((opened.inputs, stage.inputs), (opened.outputs, stage.outputs)):
        if set(found) != {entry.spec() for entry in listed}:
            raise _broken(
                name, f"the graph of stage {stage.name!r} is not what the manifest describes"
            )


def _broken(name: str, problem: str) -> BundleError:
    return BundleError(
        f"{name} cannot be run: {problem}", hint="export it again: edgeunet export --help"
    )
