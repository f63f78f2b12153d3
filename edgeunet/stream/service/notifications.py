"""Tells systemd how a run stands: one datagram per message, as sd_notify(3) describes it."""

from __future__ import annotations

import contextlib
import os
import socket

from edgeunet.media.sinks import is_path
from edgeunet.stream.delivery import SinkReport
from edgeunet.stream.run_summary import RunStatus

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"
_US_PER_S = 1e6


class SystemdNotifier:
    """Sends messages to the service manager, if it started this process and waits for them.

    READY=1 comes with the first frame. WATCHDOG=1 comes only while frames flow: a network that
    hangs, a camera without a fresh frame, or a recording that has ended by an error, is answered by
    a restart.
    """

    def __init__(self) -> None:
        address = os.environ.get(_SOCKET, "")
        # A leading @ stands for the zero byte of an abstract name.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        limit = os.environ.get(_WATCHDOG, "")
        self._limit_s = float(limit) / _US_PER_S if limit.isdigit() else 60.0
        self._ready = False

    def tell(self, status: RunStatus) -> None:
        """Report a run's status."""
        if not self._address:
            return
        lines = []
        if status.frames and not self._ready:
            self._ready = True
            lines.append("READY=1")
        failed = failed_recordings(status)
        if status.hangs:
            lines.append(f"STATUS={status.hangs[0]}")
        elif failed:
            lines.append(f"STATUS={failed[0].name} has ended: {failed[0].failure}")
        else:
            lines.append(f"STATUS={status.frames} frames, {status.frames_per_second:.1f} frames/s")
        if is_flowing(status, self._limit_s / 2):
            lines.append("WATCHDOG=1")
        self._send("\n".join(lines))

    def stopping(self) -> None:
        """Report that the run ends."""
        if self._address:
            self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        # A service manager that is gone is no reason to end the run.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect(self._address)
            out.sendall(text.encode())


def is_flowing(status: RunStatus, within_s: float) -> bool:
    """Return whether frames go all the way, from the source into every file and folder.

    The network has finished a frame within the last seconds, no stage hangs, and no recording has
    ended by an error. A viewer, or a server that frames are sent to, may be gone.
    """
    fresh = status.fresh_s is not None and status.fresh_s <= within_s
    return fresh and not status.hangs and not failed_recordings(status)


def failed_recordings(status: RunStatus) -> list[SinkReport]:
    """Return the files and folders that have ended by an error."""
    sinks = (sink for sink in status.sinks if is_path(sink.name) and not sink.viewer)
    return [sink for sink in sinks if sink.failure]
