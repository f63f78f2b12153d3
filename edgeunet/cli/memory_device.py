"""The tables of ``edgeunet memory`` about a device: a board, and measurements on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgeunet.cli.console import note, print_table
from edgeunet.cli.tensorrt_table import PlanRow, print_plan_table, size_or_dash
from edgeunet.units import format_bytes

if TYPE_CHECKING:
    from edgeunet.analysis.board_fit import BoardFit
    from edgeunet.run.device_figures import DeviceMeasurement


def print_fit(fit: BoardFit) -> None:
    """Print whether a network fits a board, and how the board's memory is used."""
    board = fit.board
    carved = "measured" if board.carve_outs_measured else "estimated"
    answer = "fits" if fit.fits else "does not fit"
    print_table(
        f"{board.name}: it {answer}",
        ("", "what it is", "bytes"),
        [
            ("memory", "of the module, shared by CPU and GPU", format_bytes(board.memory_bytes)),
            (
                "reserved",
                f"carve-outs ({carved}), the system without a desktop, CUDA and TensorRT once "
                "loaded",
                format_bytes(board.reserved_bytes),
            ),
            ("usable", "what is left for this program", format_bytes(board.usable_bytes)),
            (
                "activations",
                "the larger of arena and prediction",
                format_bytes(fit.activation_bytes),
            ),
            ("weights", "as the graphs store them", format_bytes(fit.weight_bytes)),
            ("input/output", "the frame and the outputs", format_bytes(fit.io_bytes)),
            ("needed", "the three together", format_bytes(fit.needed_bytes)),
            ("left", "usable minus needed", format_bytes(fit.left_bytes)),
        ],
        text_columns=2,
    )


def print_device(found: DeviceMeasurement, predicted: Mapping[str, int]) -> None:
    """Print predicted and reported memory of each TensorRT plan, and what the driver reports.

    predicted: activation bytes of each TensorRT plan, by stage name.
    """
    print_plan_table(
        f"TensorRT plans: {found.title}",
        [
            PlanRow(
                stage.stage,
                predicted.get(stage.stage),
                stage.activation_bytes,
                stage.scratch_bytes,
                stage.weight_bytes,
                (format_bytes(stage.work_bytes),),
            )
            for stage in found.stages
        ],
        ("needed to run",),
    )
    where = "mapped host memory" if found.mapped else "on the GPU, and page-locked beside it"
    rows = [
        ("held", "one block for what the stages hand on", format_bytes(found.held_bytes)),
        (
            "windows and work",
            "one block for all stages, as large as the largest needs",
            format_bytes(found.scratch_bytes),
        ),
        ("frame and outputs", where, format_bytes(found.frame_bytes)),
        ("allocated", "the three together", format_bytes(found.allocated_bytes)),
        (
            "taken",
            "what the driver has less than with a context alone",
            format_bytes(found.taken_bytes),
        ),
        (
            "context",
            "what the system has less once there is a context",
            size_or_dash(found.context_bytes),
        ),
        ("process", "resident in the end, libraries included", format_bytes(found.process_bytes)),
    ]
    print_table("on the device", ("figure", "what it is", "measured"), rows, text_columns=2)
    for line in explanations(found, predicted):
        note(line)


def device_document(found: DeviceMeasurement, predicted: Mapping[str, int]) -> dict[str, Any]:
    """Return the measurement as ``edgeunet memory --json`` prints it."""
    document = asdict(found)
    for stage in document["stages"]:
        stage["predicted_bytes"] = predicted[stage["stage"]]
    return document


def explanations(found: DeviceMeasurement, predicted: Mapping[str, int]) -> list[str]:
    """Return sentences that explain why predicted and measured memory differ.

    predicted: activation bytes of every stage's TensorRT plan, by stage name.
    """
    lines = []
    for stage in found.stages:
        compiled, said = stage.activation_bytes, predicted[stage.stage]
        if compiled is not None and compiled != stage.work_bytes:
            lines.append(
                f"{stage.stage}: the TensorRT plan needs "
                f"{format_bytes(stage.work_bytes - compiled)} more to run than the compiler "
                "reports: sizes are rounded up for this GPU"
            )
        share = 100 * (stage.work_bytes / said - 1)
        if share <= 0:
            why = "fused kernels keep the tensors between their operators out of memory"
        else:
            why = "kernels need scratch memory, and channels are padded"
        lines.append(f"{stage.stage}: {share:+.0f} % against the prediction: {why}")
    # Mapped host memory is no GPU memory to the driver, even where both are one.
    on_device = found.allocated_bytes - (found.frame_bytes if found.mapped else 0)
    rest = found.taken_bytes - on_device
    lines.append(
        f"taken beyond what was allocated: {format_bytes(rest)}; weights are "
        f"{format_bytes(found.weight_bytes)} of it, the rest is what TensorRT "
        "keeps per plan, kernels that were loaded, and blocks rounded up by the driver"
    )
    if found.integrated:
        lines.append(
            "the GPU has no memory of its own: the driver's free bytes leave out what the system "
            "could still give back, so that 'taken' is rough"
        )
    return lines
