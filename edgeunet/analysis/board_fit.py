"""Whether what a report counts fits on a board, with what the board keeps for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeunet.analysis.memory_report import MemoryReport
from edgeunet.boards import Board


@dataclass(frozen=True)
class BoardFit:
    """needed_bytes: activations, weights and the frame's buffers, all at once."""

    board: Board
    activation_bytes: int
    weight_bytes: int
    io_bytes: int

    @property
    def needed_bytes(self) -> int:
        return self.activation_bytes + self.weight_bytes + self.io_bytes

    @property
    def fits(self) -> bool:
        return self.needed_bytes <= self.board.usable_bytes

    @property
    def left_bytes(self) -> int:
        """What is left of the board; less than nothing where it does not fit."""
        return self.board.usable_bytes - self.needed_bytes

    def document(self) -> dict[str, Any]:
        """Return it as ``edgeunet memory --json`` prints it."""
        return {
            "id": self.board.id,
            "memory_bytes": self.board.memory_bytes,
            "reserved_bytes": self.board.reserved_bytes,
            "usable_bytes": self.board.usable_bytes,
            "needed_bytes": self.needed_bytes,
            "fits": self.fits,
        }


def fit_on(report: MemoryReport, board: Board) -> BoardFit:
    """Count the predicted figure where there is one, else the arena."""
    activations = report.arena_bytes
    if report.predicted_bytes is not None:
        activations = max(activations, report.predicted_bytes)
    return BoardFit(board, activations, report.weight_bytes, report.io_bytes)
