"""A foreign network as it is in its file, as parity wants it: nothing here is of our graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgeunet.contracts import ForeignInput, ForeignNetwork, ForeignOutput, OutputKind
from edgeunet.foreign.network_file import Feed
from edgeunet.specs import Array, Task

RunNetwork = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Runs a network on its inputs by name, and returns its outputs by name."""

OpenOriginal = Callable[[Path], RunNetwork]
"""Loads an ONNX file with the plain options of the engine that parity is checked on."""

_LUMA_BGR = np.array([0.114, 0.587, 0.299], np.float32)
_TORCH_MODES = {"linear": "bilinear", "cubic": "bicubic"}


class ForeignReference:
    """Runs a foreign network on frames, with the pre- and post-processing of its contract."""

    def __init__(
        self,
        run: RunNetwork,
        network: ForeignNetwork,
        feeds: Mapping[str, Feed],
        title: str,
        in_doubles: Callable[[], ForeignReference | None] = lambda: None,
    ) -> None:
        """Store the network.

        feeds: what its inputs take, by name.
        title: for messages.
        in_doubles: opens the same network with its sums over the frame in float64.
        """
        self._open_in_doubles = in_doubles
        self._run, self._network = run, network
        self._feeds = feeds
        self.title = title
        self._earlier: tuple[NDArray[np.uint8], ...] = ()

    def follow(self, earlier: Sequence[NDArray[np.uint8]], kept: Mapping[str, Array]) -> None:
        """See ``remembering_parity.ClipReference``. What was kept is not used: it is checked."""
        self._earlier = tuple(earlier)

    def in_doubles(self) -> ForeignReference | None:
        """See ``parity.Reference``. It follows the same frames."""
        found = self._open_in_doubles()
        if found is not None:
            found.follow(self._earlier, {})
        return found

    def answers(self, image: NDArray[np.uint8]) -> Iterator[tuple[str, Array | None, Array]]:
        """See ``parity.Reference``."""
        feeds = {entry.name: self._feed(entry, image) for entry in self._network.inputs}
        found = self._run(feeds)
        for entry in self._network.pathways:
            yield entry.output, *_answer(entry, found[entry.name], image.shape[:2])

    def _feed(self, entry: ForeignInput, image: NDArray[np.uint8]) -> Array:
        wanted = self._feeds[entry.name]
        if entry.fill is not None:
            return np.full(wanted.shape, entry.fill, wanted.dtype)
        clip = [*self._earlier, image]
        parts = [_numbers(entry, clip[max(len(clip) - 1 - age, 0)]) for age in entry.ages()]
        if entry.level is not None:
            parts.append(np.full((*image.shape[:2], 1), entry.level, np.float32))
        planes = np.concatenate(parts, axis=2)
        if entry.layout == "nchw":
            planes = planes.transpose(2, 0, 1)
        return np.ascontiguousarray(planes).reshape(wanted.shape).astype(wanted.dtype)


def _numbers(entry: ForeignInput, image: NDArray[np.uint8]) -> Array:
    """Return a picture as (H, W, C) float32 numbers of the network."""
    planes = image.astype(np.float32)
    if entry.colours == "gray":
        planes = (planes * _LUMA_BGR).sum(axis=-1, keepdims=True)
    elif entry.colours == "rgb":
        planes = planes[..., ::-1]
    factors, offsets = (np.array(part, np.float32) for part in entry.values.factors)
    numbers: Array = planes * factors + offsets
    return numbers


def _answer(
    entry: ForeignOutput, value: Array, frame: tuple[int, int]
) -> tuple[Array | None, Array]:
    """Return (floats, answer) of one output; see ``parity.Reference``."""
    if entry.kind is OutputKind.LABELS:
        return None, value.reshape(1, *frame).astype(np.uint8)
    floats = value.astype(np.float32)
    if entry.head is Task.CLASSIFY:
        floats = floats.reshape(1, -1)
        return floats, _softmax(floats) if entry.softmax else floats
    if entry.layout == "nhwc":
        floats = floats.transpose(0, 3, 1, 2)
    if entry.kind is OutputKind.IMAGE:
        return floats, _image(entry, floats)
    if entry.resize == "nearest":
        floats = _nearest(floats, frame)
    elif entry.resize is not None:
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(floats), frame, mode=_TORCH_MODES[entry.resize]
        )
        floats = resized.numpy()
    if entry.threshold is not None:
        floats = np.concatenate([np.full_like(floats, entry.threshold), floats], axis=1)
    return floats, floats.argmax(axis=1).astype(np.uint8)


def _image(entry: ForeignOutput, floats: Array) -> Array:
    """Return (1, C, H, W) floats of a contract as (1, H, W, 3) float32 BGR, 0..255."""
    factors, offsets = (np.array(part, np.float32) for part in entry.values.factors)
    pixels = (floats.transpose(0, 2, 3, 1) - offsets) / factors
    pixels = np.clip(pixels, 0, 255).astype(np.float32)
    if entry.colours == "gray":
        pixels = pixels.repeat(3, axis=3)
    answer: Array = np.ascontiguousarray(pixels[..., ::-1] if entry.colours == "rgb" else pixels)
    return answer


def _nearest(floats: Array, frame: tuple[int, int]) -> Array:
    rows, columns = (
        np.arange(side) * own // side for side, own in zip(frame, floats.shape[2:], strict=True)
    )
    found: Array = floats[:, :, rows][:, :, :, columns]
    return found


def _softmax(scores: Array) -> Array:
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Array = likely / likely.sum(axis=1, keepdims=True)
    return found
