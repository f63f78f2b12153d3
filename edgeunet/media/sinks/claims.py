"""Claims an output for one run, so that a second one on it is refused."""

from __future__ import annotations

import hashlib
import socket
import sys
from pathlib import Path

from edgeunet.errors import SinkError
from edgeunet.names import shown


class Claim:
    """Holds an output of this machine until it is closed, or the process ends however it ends.

    It is a name in Linux's abstract sockets, so that no lock file is left behind. Elsewhere nothing
    is held.
    """

    def __init__(self, path: Path) -> None:
        """Claim a file or a folder. Raises SinkError when another run has it."""
        self._socket: socket.socket | None = None
        if sys.platform != "linux":
            return
        digest = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(f"\0edgeunet output {digest}")
        except OSError as error:
            self.close()
            raise SinkError(
                f"another run writes into '{shown(path)}'",
                hint="end the other run, or name another output",
            ) from error

    def close(self) -> None:
        """Let others have it."""
        if self._socket is not None:
            self._socket.close()
