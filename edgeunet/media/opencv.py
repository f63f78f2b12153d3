"""All calls to OpenCV, with types and without its log output.

Importing this file without OpenCV raises MissingPackageError, so it is imported only where a source
or sink that needs it is opened.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgeunet.errors import MissingPackageError, SinkError, SourceError
from edgeunet.names import path_to_read, path_to_write
from edgeunet.specs import Image

# Silences FFmpeg, whose messages do not help a user. It reads the variable on first use.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

try:
    import cv2
except ImportError as missing:
    raise MissingPackageError(
        "opencv-python", purpose="reading and writing frames", extra="video", error=missing
    ) from missing

from edgeunet.images.opencv_file import be_quiet

_TIMEOUT_MS = 10_000
_NO_GSTREAMER_HINT = (
    "the opencv-python wheel is built without it; use the system's package: "
    "apt install python3-opencv, in a virtual environment made with --system-site-packages"
)


be_quiet()


def has_gstreamer() -> bool:
    """Return whether this OpenCV was built with GStreamer."""
    for line in cv2.getBuildInformation().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "GStreamer":
            return value.strip().startswith("YES")
    return False


class Capture:
    """An open video or camera. ``read`` returns None at the end."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    @classmethod
    def file(cls, path: Path) -> Capture | None:
        """Open a video file; return None when it cannot be read as a video."""
        with path_to_read(path) as name:
            return cls._opened(cv2.VideoCapture(name, cv2.CAP_FFMPEG))

    @classmethod
    def rtsp(cls, address: str) -> Capture | None:
        """Open a network stream. Opening and each read give up after ten seconds."""
        timeouts = (
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS),
        )
        return cls._opened(cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts))

    @classmethod
    def gstreamer(cls, pipeline: str) -> Capture | None:
        """Open a GStreamer pipeline that ends in an appsink."""
        if not has_gstreamer():
            raise SourceError("this OpenCV has no GStreamer", hint=_NO_GSTREAMER_HINT)
        return cls._opened(cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER))

    @classmethod
    def camera(cls, device: int | str, size: tuple[int, int] | None) -> Capture | None:
        """Open a V4L2 camera by number or device file. size: (height, width) to ask it for."""
        backend = cv2.CAP_V4L2 if os.name == "posix" else cv2.CAP_ANY
        opened = cls._opened(cv2.VideoCapture(cast(Any, device), backend))
        if opened is not None:
            opened._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if size is not None:
                opened._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[0])
                opened._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[1])
        return opened

    @classmethod
    def _opened(cls, capture: cv2.VideoCapture) -> Capture | None:
        if capture.isOpened():
            return cls(capture)
        capture.release()
        return None

    @property
    def frame_rate(self) -> float:
        return float(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def frame_count(self) -> int:
        """The container's frame count.

        It is an estimate in some formats, and 0 or less when it is unknown.
        """
        return int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def read(self) -> Image | None:
        try:
            ok, image = self._capture.read()
        except cv2.error:
            return None
        return cast(Image, image) if ok else None

    def close(self) -> None:
        self._capture.release()


class Writer:
    """A video file that is being written. OpenCV reports no write errors; check with ``probe``."""

    def __init__(self, path: Path, codec: str, frame_rate: float, height: int, width: int) -> None:
        # Through FFmpeg OpenCV crops odd sizes; its own Motion JPEG writer does not.
        odd = height % 2 or width % 2
        backend = cv2.CAP_OPENCV_MJPEG if odd and codec == "MJPG" else cv2.CAP_FFMPEG
        code = cv2.VideoWriter.fourcc(*codec)
        self._writer = cv2.VideoWriter(
            path_to_write(path), backend, code, frame_rate, (width, height)
        )
        if not self._writer.isOpened():
            self._writer.release()
            raise SinkError(
                f"this OpenCV cannot write {codec} video of {height}x{width}",
                hint="try another suffix (.mp4, .avi, .mkv), or a folder for PNG images",
            )

    def write(self, image: Image) -> None:
        self._writer.write(image)

    def close(self) -> None:
        self._writer.release()


def probe(path: Path) -> tuple[int, int, int] | None:
    """Return (frames, height, width) of a video, or None when it cannot be opened.

    Frames are counted as packets, without decoding: milliseconds per minute of video.
    """
    with path_to_read(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, (cv2.CAP_PROP_FORMAT, -1))
    try:
        if not capture.isOpened():
            return None
        frames = 0
        while capture.grab():
            frames += 1
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        return frames, height, int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    finally:
        capture.release()


def encode_image(image: Image, suffix: str) -> bytes:
    """Return the image in the file format of a suffix such as ``.png``.

    Raises SinkError when OpenCV cannot write the format.
    """
    try:
        ok, data = cv2.imencode(suffix, image)
    except cv2.error as error:
        raise SinkError(f"OpenCV cannot write {suffix} images", hint="use .png") from error
    if not ok:
        raise SinkError(f"OpenCV cannot write {suffix} images", hint="use .png")
    return bytes(data)


def blend(frame: Image, denoised: Image, strength: float, out: Image) -> None:
    """Write ``(1 - strength) * frame + strength * denoised``, rounded, into ``out``.

    frame, denoised, out: (H, W, 3) uint8.
    strength: 0..1. At 0 ``out`` equals ``frame``, at 1 it equals ``denoised``.
    """
    cv2.addWeighted(frame, 1 - strength, denoised, strength, 0, dst=out)


def non_local_means(image: Image, strength: float) -> Image:
    """Return an image (H, W, 3) uint8 BGR denoised by non-local means in L*a*b* colours.

    strength: the filter parameter h for brightness and for colours, in 8-bit units.
    Patches are 7x7 pixels and the search window 21x21, as in Buades, Coll and Morel (Image
    Processing On Line 1, 2011).
    """
    return cast("Image", cv2.fastNlMeansDenoisingColored(image, None, strength, strength, 7, 21))


def draw_caption(image: Image, text: str) -> None:
    """Write a small white-on-black caption into the lower left corner, in place."""
    height = image.shape[0]
    scale = max(0.35, height / 1200)
    (wide, high), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    top = max(0, height - high - base - 4)
    image[top:, : wide + 6] = 0
    origin = (3, height - base - 1)
    white = (255, 255, 255)
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, white, 1, cv2.LINE_AA)


def show(title: str, image: Image) -> bool:
    """Show an image in a window. Returns False once the user closed it or pressed q or Escape."""
    try:
        cv2.imshow(title, image)
        key = cv2.waitKey(1) & 0xFF
        visible = cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE)
    except cv2.error as error:
        raise SinkError(
            "this OpenCV cannot open windows",
            hint="opencv-python can, opencv-python-headless cannot; or write to a file",
        ) from error
    return key not in (ord("q"), 27) and float(cast(Any, visible)) >= 1


def close_windows() -> None:
    try:
        cv2.destroyAllWindows()
    except cv2.error:
        return


def window(image: Image, row: float, column: float, zoom: float, shape: tuple[int, int]) -> Image:
    """Return a view (H, W, 3) of ``image``, magnified by ``zoom`` around a centre.

    row, column: the centre in pixels of ``image``; fractions are allowed.
    shape: (H, W) of the result.
    Pixels outside the image are mirrored at its border.
    """
    height, width = shape
    matrix = np.array(
        [
            [1 / zoom, 0, column - (width - 1) / 2 / zoom],
            [0, 1 / zoom, row - (height - 1) / 2 / zoom],
        ]
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )
    return cast("Image", warped)
