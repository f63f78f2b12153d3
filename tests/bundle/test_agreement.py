"""Every contradiction a manifest can hold, each by the one change that makes it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from edgeunet.bundle import Manifest
from edgeunet.bundle.agreement import contradiction_in
from edgeunet.bundle.manifest import HeldEntry, OutputEntry, StateEntry, WindowEntry
from edgeunet.specs import Task
from tests.bundle.tiny import tiny_manifest, windowed_manifest

replace = msgspec.structs.replace
Change = Callable[[Manifest], Manifest]


def planned(**changes: object) -> Change:
    def change(manifest: Manifest) -> Manifest:
        assert manifest.plan is not None
        return replace(manifest, plan=replace(manifest.plan, **changes))

    return change


def held(index: int, **changes: object) -> Change:
    """Change one tensor of the plan: 0 is the frame, 1 is held, 2 is the output."""

    def change(manifest: Manifest) -> Manifest:
        assert manifest.plan is not None
        tensors: list[HeldEntry] = list(manifest.plan.tensors)
        tensors[index] = replace(tensors[index], **changes)
        return planned(tensors=tuple(tensors))(manifest)

    return change


def windowed(**changes: object) -> Change:
    def change(manifest: Manifest) -> Manifest:
        first, *rest = manifest.stages
        assert first.window is not None
        window = replace(first.window, **changes)
        return replace(manifest, stages=(replace(first, window=window), *rest))

    return change


def bordered(**changes: object) -> Change:
    def change(manifest: Manifest) -> Manifest:
        first, *rest = manifest.stages
        entry = replace(first.inputs[0], **changes)
        return replace(manifest, stages=(replace(first, inputs=(entry,)), *rest))

    return change


def without_the_held_tensor(manifest: Manifest) -> Manifest:
    assert manifest.plan is not None
    return planned(tensors=manifest.plan.tensors[::2])(manifest)


def with_a_tensor_twice(manifest: Manifest) -> Manifest:
    assert manifest.plan is not None
    return planned(tensors=(*manifest.plan.tensors, manifest.plan.tensors[1]))(manifest)


def coarser(manifest: Manifest) -> Manifest:
    """Hold one element for two pixels each way, between windows that start at any pixel."""
    first, second = manifest.stages
    half = tuple(replace(e, shape=(1, 8, 12, 3)) for e in first.outputs)
    stages = (replace(first, outputs=half), replace(second, inputs=half))
    return held(1, stride=2, shape=(1, 24, 32, 3))(replace(manifest, stages=stages))


GHOST = (OutputEntry(name="ghost", task=Task.DENOISE),)

PLANNED: dict[str, Change] = {
    "a frame of 0x64 pixels": lambda m: replace(m, height=0),
    "it has no stages": lambda m: replace(m, stages=()),
    "it has no outputs": lambda m: replace(m, outputs=()),
    "it has negative figures of memory": lambda m: replace(
        m, memory=replace(m.memory, region_bytes=-1)
    ),
    "it has several stages or windows, and no plan": lambda m: replace(m, plan=None),
    "its padded frame, 40x64, is smaller than the frame": planned(height=40),
    "its plan lists a tensor twice": with_a_tensor_twice,
    "the tensor 'soft' has no place in the frame": held(1, axes=(1, 1)),
    "the tensor 'soft' is not as large as the padded frame": held(1, stride=2),
    "its plan has no uint8 frame of 48x64 pixels": held(0, dtype="int8"),
    "its plan does not list 'soft' of stage 'once'": without_the_held_tensor,
    "'frame' of stage 'once' is not as large as its window": bordered(shape=(1, 16, 16, 3)),
    "stage 'once' has no possible window": windowed(align=0),
    "stage 'once' has windows that do not start at multiples of 5": windowed(align=5),
    "'soft' of stage 'once' has no elements where windows start": coarser,
    "two stages make 'soft'": lambda m: replace(m, stages=(m.stages[0], *m.stages)),
    "it has two outputs 'denoised'": lambda m: replace(m, outputs=2 * m.outputs),
    "stage 'once': a window of 16 pixels is too small for its halo of 9 + 9": windowed(
        halo_rows=(9, 9)
    ),
    "no stage makes the output 'ghost'": lambda m: replace(m, outputs=GHOST),
    "the output 'denoised' has not the shape and type of segment": lambda m: replace(
        m, outputs=(OutputEntry(name="denoised", task=Task.SEGMENT),)
    ),
}

WHOLE: dict[str, Change] = {
    "its first stage takes no uint8 frame of 32x64 pixels": lambda m: replace(m, height=32),
    "it has several stages or windows, and no plan": lambda m: replace(
        m,
        stages=(
            replace(
                m.stages[0],
                window=WindowEntry(
                    height=16, width=16, align=1, halo_rows=(0, 0), halo_columns=(0, 0)
                ),
            ),
        ),
    ),
    "no stage makes the output 'ghost'": lambda m: replace(m, outputs=GHOST),
}


@pytest.mark.parametrize(("said", "change"), PLANNED.items(), ids=PLANNED)
def test_a_plan_that_contradicts_itself(said: str, change: Change) -> None:
    manifest = windowed_manifest(48, 64, (16, 24))
    assert contradiction_in(manifest) is None
    assert contradiction_in(change(manifest)) == said


@pytest.mark.parametrize(("said", "change"), WHOLE.items(), ids=WHOLE)
def test_a_whole_frame_that_contradicts_itself(said: str, change: Change) -> None:
    manifest = tiny_manifest(48, 64)
    assert contradiction_in(manifest) is None
    assert contradiction_in(change(manifest)) == said


@pytest.mark.parametrize("change", [{"height": -1}, {"halo_columns": (-1, 0)}, {"width": 0}])
def test_a_window_that_cannot_be(change: dict[str, object]) -> None:
    manifest = windowed_manifest(48, 64, (16, 24))
    assert contradiction_in(windowed(**change)(manifest)) == "stage 'once' has no possible window"


def remembering(name: str, made_by: str, **changes: object) -> Manifest:
    """Return a manifest with a state like its output, which the first stage reads."""
    manifest = windowed_manifest(48, 64, (16, 24))
    assert manifest.plan is not None
    frame, held_tensor, output = manifest.plan.tensors
    state = replace(output, name=name, **changes)
    plan = replace(manifest.plan, tensors=(frame, held_tensor, output, state))
    return replace(manifest, plan=plan, states=(StateEntry(name=name, made_by=made_by),))


def test_a_state_is_like_what_takes_its_place() -> None:
    made = windowed_manifest(48, 64, (16, 24)).outputs[0].name
    assert contradiction_in(remembering("before", made)) is None
    nobody = contradiction_in(remembering("before", "nobody"))
    assert nobody == "no stage makes what takes the place of the state 'before'"
    other = contradiction_in(remembering("before", made, dtype="float32"))
    assert other == f"{made!r} does not fit into the state 'before'"
    twice = remembering("before", made)
    twice = replace(twice, states=twice.states * 2)
    assert contradiction_in(twice) == "it has no one state 'before'"
    whole = replace(tiny_manifest(48, 64), states=twice.states[:1])
    assert contradiction_in(whole) == "it keeps tensors from frame to frame, and has no plan"
