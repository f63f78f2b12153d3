"""Copies the sound of a video file, packet by packet, beside its frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from edgeunet.media import pyav
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.clock import ForwardClock


class Sound:
    """The sound of a file that is opened a second time, so that frames are not held back."""

    def __init__(self, container: Any, clip: ClipFacts) -> None:
        self._container = container
        self._failures = pyav.failures()
        self._clip = clip
        self._streams: dict[int, Any] = {}
        self._clocks: dict[int, ForwardClock] = {}
        self._filters: dict[int, Any] = {}
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._begin_s, self._before_zero = Fraction(0), True

    @classmethod
    def of(cls, clip: ClipFacts) -> Sound | None:
        """Open the sound of a clip; None when it has none, or cannot be read a second time."""
        try:
            container = pyav.open_to_read(Path(clip.path))
        except pyav.failures():
            return None
        if not container.streams.audio:
            container.close()
            return None
        return cls(container, clip)

    def add_to(self, output: Any, *, begin_s: Fraction, before_zero: bool) -> tuple[str, ...]:
        """Add a stream per language to an output. Returns a line for each that it cannot hold.

        begin_s: time that becomes zero, on the clock of the frames.
        before_zero: write packets before it too, which decoders need and do not play.
        """
        self._begin_s, self._before_zero = begin_s, before_zero
        left_out = []
        for source in self._container.streams.audio:
            name = "unknown" if source.codec_context is None else source.codec_context.name
            try:
                if source.codec_context is None:
                    raise ValueError(name)
                copy = output.add_stream_from_template(source)
                copy.metadata.update(source.metadata)
            except pyav.failures():
                left_out.append(
                    f"{output.format.name} cannot hold the sound ({name}); it is left out"
                )
                continue
            self._streams[source.index] = copy
            self._clocks[source.index] = ForwardClock(source.time_base)
        self._output = output
        return tuple(left_out)

    def begin(self) -> None:
        """Get ready to copy, once the output has written its header."""
        for index, copy in self._streams.items():
            source = self._container.streams[index]
            # Transport streams describe AAC in every packet, other containers once.
            if source.codec_context.name == "aac" and not source.codec_context.extradata_size:
                self._filters[index] = pyav.aac_filter(source, copy)
        wanted = [self._container.streams[index] for index in self._streams]
        self._packets = self._read(wanted) if wanted else iter(())
        self._next = next(self._packets, None)

    def until(self, time_s: float) -> None:
        """Write the packets that begin before a time, on the clock of the frames."""
        while self._next is not None and (begins := self._time(self._next)) < time_s:
            if begins >= 0 or self._before_zero:
                self._write(self._next)
            self._next = next(self._packets, None)

    def rest(self) -> None:
        """Write all packets that are left."""
        self.until(float("inf"))

    def close(self) -> None:
        """Close the file that is read."""
        self._packets = iter(())
        self._container.close()

    def _read(self, streams: list[Any]) -> Iterator[Any]:
        """Yield packets with times; a damaged part is left out."""
        try:
            for packet in self._container.demux(*streams):
                if packet.dts is not None:
                    yield packet
        except self._failures:
            return

    def _time(self, packet: Any) -> float:
        offset = self._clocks[packet.stream.index].offset
        return float((packet.dts + offset) * packet.time_base - self._shift_s())

    def _shift_s(self) -> Fraction:
        return self._clip.shift_s + self._begin_s

    def _write(self, packet: Any) -> None:
        clock = self._clocks[packet.stream.index]
        shift = round(self._shift_s() / packet.time_base)
        dts = clock.time(packet.dts, packet.duration or 0)
        pts = packet.dts if packet.pts is None else packet.pts
        packet.pts = pts + (dts - packet.dts) - shift
        packet.dts = dts - shift
        index = packet.stream.index
        described = self._filters.get(index)
        for written in [packet] if described is None else described.filter(packet):
            written.stream = self._streams[index]
            self._output.mux(written)
