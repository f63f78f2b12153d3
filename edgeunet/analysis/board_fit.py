"""Decide whether a network fits on a board, beside what the board reserves for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeunet.boards import Board

if TYPE_CHECKING:
    from edgeunet.analysis.memory_report import MemoryReport


@dataclass(frozen=True)
class BoardFit:
    """The memory that a network needs, in bytes, and the board that it is compared with."""

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
        """The usable memory that remains; negative if the network does not fit."""
        return self.board.usable_bytes - self.needed_bytes

    def document(self) -> dict[str, Any]:
        """Return the figures as ``edgeunet memory --json`` prints them."""
        return {
            "id": self.board.id,
            "memory_bytes": self.board.memory_bytes,
            "reserved_bytes": self.board.reserved_bytes,
            "usable_bytes": self.board.usable_bytes,
            "needed_bytes": self.needed_bytes,
            "fits": self.fits,
        }


def fit_on(report: MemoryReport, board: Board) -> BoardFit:
    """Compare a report with a board; predicted bytes are used if known, else the arena."""
    activations = report.arena_bytes
    if report.predicted_bytes is not None:
        activations = max(activations, report.predicted_bytes)
    return BoardFit(board, activations, report.weight_bytes, report.io_bytes)
