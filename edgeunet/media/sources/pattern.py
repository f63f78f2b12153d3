"""A moving test pattern, which needs no file, no camera and no OpenCV."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np

from edgeunet.errors import UsageError, near_match
from edgeunet.media.clip_facts import ClipFacts
from edgeunet.media.frames import Frame, Source, SourceReport
from edgeunet.specs import Image
from edgeunet.units import parse_size

_DEFAULT_SIZE = (480, 640)
_DEFAULTS = {"size": "", "frames": "100", "fps": "25", "live": "0"}
_EXAMPLE = "write it like test://?size=480x640&frames=100&fps=25"


def open_pattern(name: str, query: str, size: tuple[int, int] | None) -> Source:
    """Open ``test://?size=HxW&frames=N&fps=R&live=0|1``.

    size: the size without a ``size=`` option, (height, width).
    ``frames=0`` never ends. ``live=1`` delivers at the frame rate and drops late frames, as a
    camera does.
    Raises UsageError for an unknown option or a value that is not possible.
    """
    options = dict(_DEFAULTS)
    pairs = parse_qsl(query.lstrip("/").removeprefix("?"), keep_blank_values=True)
    for key, value in pairs:
        if key not in _DEFAULTS:
            raise UsageError(
                f"a test pattern has no option {key!r}",
                hint=near_match(key, _DEFAULTS) + _EXAMPLE,
            )
        options[key] = value
    if options["live"] not in ("0", "1"):
        raise UsageError(f"live={options['live']} is neither 0 nor 1", hint=_EXAMPLE)
    height, width = parse_size(options["size"]) if options["size"] else (size or _DEFAULT_SIZE)
    frames = _number(options, "frames")
    rate = _number(options, "fps")
    countable = frames.is_integer() and frames >= 0
    if min(height, width) < 1 or not countable or not 0 < rate <= 1000:
        raise UsageError(f"{name!r} is not a pattern that can be made", hint=_EXAMPLE)
    pattern = PatternSource(name, height, width, rate, int(frames) or None)
    if options["live"] == "0":
        return pattern
    from edgeunet.media.capture import LiveSource

    return LiveSource(_Paced(pattern))


class PatternSource:
    """Colour ramps with a bright square that moves over them; the frames are always the same."""

    live = False

    clip: ClipFacts | None = None

    def __init__(
        self, name: str, height: int, width: int, frame_rate: float, frame_count: int | None
    ) -> None:
        self.name = name
        self.height, self.width = height, width
        self.frame_rate = frame_rate
        self.frame_count = frame_count
        self.endless = frame_count is None
        self.paths: tuple[Path, ...] = ()
        self._next = 0
        self._ramps = _ramps(height, width)

    def read(self) -> Frame | None:
        if self._next == self.frame_count:
            return None
        index = self._next
        self._next += 1
        image = self._ramps.copy()
        side = max(1, min(self.height, self.width) // 6)
        top = 3 * index % max(1, self.height - side)
        left = 5 * index % max(1, self.width - side)
        image[top : top + side, left : left + side] = 235
        return Frame(index, index / self.frame_rate, image)

    def report(self) -> SourceReport:
        return SourceReport()

    def close(self) -> None:
        return None


class _Paced(PatternSource):
    """The pattern at its frame rate: ``read`` waits until the next frame is due."""

    def __init__(self, pattern: PatternSource) -> None:
        super().__init__(
            pattern.name,
            pattern.height,
            pattern.width,
            pattern.frame_rate,
            pattern.frame_count,
        )
        self._start_s = time.monotonic()

    def read(self) -> Frame | None:
        due_s = self._start_s + self._next / self.frame_rate
        time.sleep(max(0.0, due_s - time.monotonic()))
        return super().read()


def _ramps(height: int, width: int) -> Image:
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[..., 0] = np.linspace(20, 200, width, dtype=np.uint8)
    image[..., 1] = np.linspace(200, 20, height, dtype=np.uint8)[:, None]
    image[..., 2] = image[..., 0] // 2 + image[..., 1] // 2
    return image


def _number(options: dict[str, str], key: str) -> float:
    try:
        return float(options[key])
    except ValueError:
        raise UsageError(f"{key}={options[key]} is not a number", hint=_EXAMPLE) from None
