"""The process that a window lives in: it shows the frames that come on its standard input.

A window toolkit ends its process when the display goes away, and it wants the main thread. Here it
takes nothing else with it. A frame comes as ``HEADER`` (height, width) and its bytes, BGR. One
byte answers every frame: ``SHOWN``, or ``CLOSED`` once the user closed the window.
"""

from __future__ import annotations

import signal
import struct
import sys

import numpy as np

from edgeunet.errors import SinkError

HEADER = struct.Struct("<II")
SHOWN = b"+"
CLOSED = b"-"
NO_WINDOWS = b"!"


def main(title: str) -> int:
    """Show frames until standard input ends or the window is closed. Returns the exit code."""
    from edgeunet.media import opencv

    # Ctrl-C reaches every process of a terminal. The run ends this one when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    frames, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(header := frames.read(HEADER.size)) == HEADER.size:
        height, width = HEADER.unpack(header)
        data = frames.read(3 * height * width)
        if len(data) < 3 * height * width:
            break
        image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        try:
            answer = SHOWN if opencv.show(title, image) else CLOSED
        except SinkError:
            answer = NO_WINDOWS
        answers.write(answer)
        answers.flush()
        if answer != SHOWN:
            break
    opencv.close_windows()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
