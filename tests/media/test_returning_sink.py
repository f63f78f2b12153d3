"""A sink that is opened again, and what it counts and says."""

from __future__ import annotations

import pytest

from edgeunet.errors import SinkError
from edgeunet.media.frames import Frame
from edgeunet.media.sinks import NoSink, returning_sink
from edgeunet.media.sinks.returning_sink import ReturningSink
from edgeunet.specs import Image
from tests.media.clips import picture


class Server(NoSink):
    """A sink of which each connection takes so many frames."""

    takes: list[int]

    def __init__(self) -> None:
        self._left = self.takes.pop(0)
        if self._left < 0:
            raise SinkError("nobody is there", hint="wait")

    def write(self, image: Image, frame: Frame) -> bool:
        if not self._left:
            raise SinkError("it is gone", hint="wait")
        self._left -= 1
        return True


def write(sink: ReturningSink, frames: int) -> None:
    image = picture(0)
    for index in range(frames):
        assert sink.write(image, Frame(index, index / 25, image))


def test_what_is_lost_is_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning_sink, "_FIRST_WAIT_S", 0.0)
    Server.takes = [30, -1, 3, 99]
    told: list[str] = []
    sink = ReturningSink(Server, told.append)
    write(sink, 30)
    assert (sink.lost, told) == (0, [])
    # It is gone; nobody is there; it is gone after three frames; it stays.
    write(sink, 1 + 1 + 4 + 40)
    assert sink.lost == 3
    assert told[0] == "warning: it is gone; opening it again"
    assert told[1].startswith("none is back after ")
    assert len(told) == 2
    sink.finish()
    assert sink.warnings() == ("none was gone 1 times, and 3 frames with it",)


def test_frames_are_missed_until_it_is_tried_again() -> None:
    Server.takes = [30, 99]
    sink = ReturningSink(Server, None)
    write(sink, 40)
    assert sink.lost == 10
    assert Server.takes == [99]
    sink.discard()


@pytest.mark.parametrize(("takes", "message"), [(-1, "nobody is there"), (5, "it is gone")])
def test_what_was_never_there_is_an_error(takes: int, message: str) -> None:
    Server.takes = [takes]
    with pytest.raises(SinkError, match=message):
        write(ReturningSink(Server, None), 9)
