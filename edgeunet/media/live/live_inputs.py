"""What every library that opens cameras and streams is asked for, and how it says what went wrong.

The end of a stream, an error, silence and damage are four different things. Damage is skipped and
counted inside an input. The others end it with ``LostInputError``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from edgeunet.errors import SourceError
from edgeunet.specs import Image


class Loss(enum.Enum):
    """Why an input delivers no more.

    END: it said that it is over.
    ERROR: the connection or the driver failed.
    SILENCE: it is still open, but no frame came for too long.
    REFUSED: it does not accept the user or the password. Trying again soon may lock the user out.
    ABSENT: what answers does not know the path. It may come later, but not in a second.
    SIZE: its frames have another size now.
    """

    END = "end"
    ERROR = "error"
    SILENCE = "silence"
    REFUSED = "refused"
    ABSENT = "absent"
    SIZE = "size"


class LostInputError(SourceError):
    """A camera or a stream is not there, or not any more. It may come back.

    loss: why.
    The exit code, 3, tells a service that trying again may help, and that its configuration is
    not to blame.
    """

    exit_code = 3

    def __init__(self, loss: Loss, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.loss = loss


@dataclass(frozen=True)
class Picture:
    """A frame as it comes from an input.

    image: (H, W, 3) uint8 BGR; it belongs to the receiver.
    time_s: the time that the input gives it, in seconds from any moment; None when it gives none.
    """

    image: Image
    time_s: float | None


class LiveInput(Protocol):
    """An open camera or stream. One thread uses it; only ``interrupt`` may come from another."""

    @property
    def frame_rate(self) -> float:
        """Frames per second; 0 when it does not say."""
        ...

    @property
    def damaged(self) -> int:
        """How many damaged packets or frames were skipped so far."""
        ...

    def read(self) -> Picture:
        """Wait for the next frame. Raises LostInputError, also after ``interrupt``."""
        ...

    def interrupt(self) -> None:
        """Make a ``read`` that waits return soon, where the library allows it."""
        ...

    def close(self) -> None:
        """Free everything; never raises."""
        ...


def silent(name: str, timeout_s: float) -> LostInputError:
    """Return the error for an input from which nothing came.

    name: the source, without passwords.
    """
    return LostInputError(
        Loss.SILENCE,
        f"{name!r} has delivered no frame for {timeout_s:g} s",
        hint="check the camera's cable or the network; --timeout waits longer",
    )


def refused(name: str) -> LostInputError:
    """Return the error for an input that does not accept the user or the password."""
    return LostInputError(
        Loss.REFUSED,
        f"{name!r} does not accept the user or the password",
        hint="put them into the address, or the password into EDGEUNET_PASSWORD or a file for "
        "--password-file",
    )


def absent(name: str) -> LostInputError:
    """Return the error for a server that does not know the path."""
    return LostInputError(
        Loss.ABSENT,
        f"{name!r} is not there: the server answers, and does not know this path",
        hint="look up the path of the stream in the camera's manual",
    )
