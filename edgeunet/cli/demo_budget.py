"""The second half of the demo: a network within a byte limit gives the same output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeunet.cli.console import note, print_table
from edgeunet.units import format_bytes, format_size

if TYPE_CHECKING:
    from edgeunet.bundle import Bundle
    from edgeunet.recipes import Recipe
    from edgeunet.specs import Image

_FRAMES = 3


@dataclass(frozen=True)
class Taken:
    """Bytes beside the weights, predicted and measured.

    predicted_bytes: on this processor; None if nothing is known of it. The byte limit holds for the
        processor that takes most.
    measured_bytes: None if it cannot be measured on this system.
    """

    bundle: str
    predicted_bytes: int | None
    measured_bytes: int | None


@dataclass(frozen=True)
class Budgeted:
    """Results of whole frames and of windows within a budget, on the same noisy frames.

    differing_bytes: number of output bytes that differ, over all frames.
    largest_difference: in 8-bit steps.
    """

    size: tuple[int, int]
    budget_bytes: int
    frames: int
    whole: Taken
    windows: Taken
    differing_bytes: int
    largest_difference: int

    def document(self) -> dict[str, Any]:
        """Return the JSON object; sizes are HxW in pixels."""
        taken = {
            name: {
                "bundle": one.bundle,
                "predicted_bytes": one.predicted_bytes,
                "measured_bytes": one.measured_bytes,
            }
            for name, one in (("whole", self.whole), ("windows", self.windows))
        }
        return {
            "size": format_size(*self.size),
            "budget_bytes": self.budget_bytes,
            "frames": self.frames,
            "equal": self.differing_bytes == 0,
            "differing_bytes": self.differing_bytes,
            "largest_difference": self.largest_difference,
            **taken,
        }


def run_within_budget(
    recipe: Recipe, weights: Path | None, size: tuple[int, int], budget_bytes: int, out: Path
) -> Budgeted:
    """Export whole frames and windows in FP32, run both on camera frames, and measure both."""
    from edgeunet.convert.exporting import ExportOrder, export_bundle
    from edgeunet.convert.network_graph import graphs_of_recipe
    from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
    from edgeunet.run.executor import Executor
    from edgeunet.specs import Precision

    bundles = []
    graphs = graphs_of_recipe(recipe, weights)
    budget = PlanRequest(budget_bytes=budget_bytes)
    limit = format_bytes(budget_bytes).replace(" ", "").replace(".0", "")
    for request, word in ((WHOLE_FRAME, "whole"), (budget, limit)):
        note(f"exporting {recipe.name} {format_size(*size)}, {word}")
        order = ExportOrder(recipe, *size, Precision.FP32, weights=weights, request=request)
        target = out / f"{recipe.name}-{format_size(*size)}-{word}.bundle"
        exported = export_bundle(order, target, open_runner=Executor, graphs=graphs)
        bundles.append(exported.bundle)
    whole, windows = bundles
    differing, largest = _difference(whole, windows, _frames(size))
    return Budgeted(
        size,
        budget_bytes,
        _FRAMES,
        _taken(whole),
        _taken(windows),
        differing,
        largest,
    )


def print_budgeted(found: Budgeted) -> None:
    """Print the memory of both, and whether their outputs are equal."""
    same = "are equal to the last bit"
    if found.differing_bytes:
        same = f"differ in {found.differing_bytes} bytes, by {found.largest_difference} at most"
    print_table(
        f"fp32 at {format_size(*found.size)}, bytes beside the weights; the outputs of "
        f"{found.frames} frames {same}",
        ("bundle", "byte limit", "predicted here", "measured"),
        [
            (
                one.bundle,
                limit,
                *(
                    "-" if size is None else format_bytes(size)
                    for size in (one.predicted_bytes, one.measured_bytes)
                ),
            )
            for one, limit in (
                (found.whole, "none"),
                (found.windows, format_bytes(found.budget_bytes)),
            )
        ],
    )


def _taken(bundle: Bundle) -> Taken:
    from edgeunet.run.promises import promise_of

    predicted = promise_of(bundle.manifest).predicted_bytes
    return Taken(bundle.path.name, predicted, _measured(bundle))


def _frames(size: tuple[int, int]) -> list[Image]:
    """Return photographs, mirrored where they are too small, as the demo's camera takes them."""
    from edgeunet.camera.night import night_shot
    from edgeunet.photographs import fill_frame, shipped_photographs
    from edgeunet.stream.camera_clip import camera_frames

    shot = night_shot(*size)
    photographs = list(shipped_photographs().values())[:_FRAMES]
    scenes = [fill_frame(one, *shot.sensor_size)[:, :, ::-1] for one in photographs]
    return [noisy for noisy, _ in camera_frames(scenes, shot)]


def _difference(whole: Bundle, windows: Bundle, frames: list[Image]) -> tuple[int, int]:
    """Return (number of output bytes that differ, largest difference)."""
    import numpy as np

    from edgeunet.run.executor import Executor

    differing = largest = 0
    executors = [Executor(bundle) for bundle in (whole, windows)]
    try:
        for frame in frames:
            answers = [executor.run(frame) for executor in executors]
            for name, answer in answers[0].items():
                apart = np.abs(answer.astype(np.int16) - answers[1][name])
                differing += int(np.count_nonzero(apart))
                largest = max(largest, int(apart.max()))
    finally:
        for executor in executors:
            executor.close()
    return differing, largest


def _measured(bundle: Bundle) -> int | None:
    from edgeunet.errors import EngineError
    from edgeunet.run.measured import measure

    try:
        return measure(bundle.path, engine="onnxruntime").measured_bytes
    except EngineError as error:
        note(f"not measured: {error.message}")
        return None
