"""From a photograph's crop to what a camera would have made of the scene: noisy, and clean.

Every step is a function of its own in this package; ``[train.camera]`` of a recipe has the
ranges. The clean image went the same way without noise and without coding, so that a network
learns neither to sharpen nor to undo the camera's colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeunet.camera import colour, finishing, sensor
from edgeunet.camera.coding import h264_coded
from edgeunet.camera.demosaicing import demosaic
from edgeunet.noise_models import READ_DEVIATION, add_camera, read_variance
from edgeunet.photographs import jpeg_coded
from edgeunet.pixels import Bytes, Floats, as_bytes, as_floats
from edgeunet.schedules import CameraTable, DemosaicKind

MARGIN = 8
"""Pixels at every side of a shot that are not used: filters have no neighbours there."""

# Of read noise, what lies below black before the converter cuts it off.
_PEDESTAL = 1 / 32

# Chroma at full and at half resolution, as cameras write JPEG.
_SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "4:2:0")


@dataclass(frozen=True)
class Shot:
    """One camera and one exposure; every field is drawn from a range of ``CameraTable``.

    size: (height, width) in pixels of the image that it makes, margins included. sensor_size: of
    what its sensor sees. All are even. lens: sigma of its blur in pixels of the sensor. exposure:
    light that falls on the sensor, 0..1 of full scale. push: digital gain behind the converter.
    quality: of JPEG; rate_factor: of H.264; at most one of the two is set.
    """

    size: tuple[int, int]
    sensor_size: tuple[int, int]
    pattern: str
    demosaic: DemosaicKind
    matrix: NDArray[np.float64]
    balance: NDArray[np.float64]
    tone: float
    exposure: float
    push: float
    gain: float
    read: float
    row: float
    bits: int
    luma_smoothing: float
    chroma_smoothing: float
    wide_share: float
    smooths_scene: bool
    sharpening: float
    sharpening_sigma: float
    halves_colours: bool
    quality: int | None
    subsampling: str
    rate_factor: int | None
    lens: float


def draw_shot(
    table: CameraTable,
    size: tuple[int, int],
    generator: np.random.Generator,
    *,
    resizes: bool = True,
) -> Shot:
    """Draw a camera and an exposure for images of a size, (height, width) without margins.

    resizes: whether the camera may resize; not where labels belong to the pixels.
    """
    draw = generator.uniform
    # Bayer filters, and colours at half resolution, come in squares of 2x2 pixels.
    height, width = (side + side % 2 + 2 * MARGIN for side in size)
    scale = draw(*table.resize) if resizes and draw() < table.resize_share else 1.0
    gain = math.exp(draw(math.log(table.gain[0]), math.log(table.gain[1])))
    read = read_variance(gain, generator.normal(0, READ_DEVIATION))
    exposure = 2.0 ** draw(*table.exposure)
    coder = draw()
    jpeg = coder < table.jpeg_share
    h264 = not jpeg and coder < table.jpeg_share + table.h264_share
    return Shot(
        size=(height, width),
        sensor_size=(2 * round(height / scale / 2), 2 * round(width / scale / 2)),
        pattern=sensor.PATTERNS[int(generator.integers(len(sensor.PATTERNS)))],
        demosaic=table.demosaic[int(generator.integers(len(table.demosaic)))],
        matrix=colour.camera_matrix(generator.dirichlet(np.ones(colour.known_cameras()))),
        balance=np.array([draw(*table.red_gain), 1.0, draw(*table.blue_gain)]),
        tone=draw(*table.tone),
        exposure=exposure,
        push=exposure ** -draw(),
        gain=gain,
        read=read,
        row=draw(*table.row) * math.sqrt(read),
        bits=int(generator.integers(table.bits[0], table.bits[1] + 1)),
        luma_smoothing=draw(*table.luma_smoothing),
        chroma_smoothing=draw(*table.chroma_smoothing),
        wide_share=draw(*table.wide_share),
        smooths_scene=bool(draw() < table.smooths_scene),
        sharpening=draw(*table.sharpening),
        sharpening_sigma=draw(0.5, 1.5),
        halves_colours=bool(draw() < table.halves_colours),
        quality=int(generator.integers(table.jpeg[0], table.jpeg[1] + 1)) if jpeg else None,
        subsampling=_SUBSAMPLINGS[int(generator.integers(len(_SUBSAMPLINGS)))],
        rate_factor=int(generator.integers(table.h264[0], table.h264[1] + 1)) if h264 else None,
        lens=draw(*table.lens),
    )


def take(scene: Bytes, shot: Shot, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Return (noisy, clean), (H, W, 3) float32, RGB, 0..1; the noisy one has 8 bits.

    scene: (H, W, 3) uint8, RGB, of the shot's ``sensor_size``. The answers have its ``size``.
    """
    light = _light(scene, shot)
    clean = _developed(np.minimum(light, 1), shot)
    noisy = _developed(_counted(light, shot, generator), shot)
    smooth = (shot.luma_smoothing, shot.chroma_smoothing, shot.wide_share)
    noise = finishing.smooth_noise(noisy - clean, *smooth)
    if shot.smooths_scene:
        clean = finishing.smooth_noise(clean, *smooth)
    noisy, clean = _finished(clean + noise, shot), _finished(clean, shot)
    return as_floats(_coded(as_bytes(noisy), shot)), np.clip(clean, 0, 1)


def _light(scene: Bytes, shot: Shot) -> Floats:
    """Return what falls on the sensor, (H, W), 0..1 and beyond: the way of an image back."""
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    table = colour.decode_srgb(colour.undo_tone(values, shot.tone))
    linear = colour.apply_matrix(table[scene], shot.matrix)
    linear = colour.undo_white_balance(np.maximum(linear, 0), shot.balance)
    linear = sensor.blur(linear, shot.lens)
    light: Floats = sensor.mosaic(linear, shot.pattern) * np.float32(shot.exposure)
    return light


def _counted(light: Floats, shot: Shot, generator: np.random.Generator) -> Floats:
    """Return what the sensor says of the light."""
    noisy = add_camera(light, shot.gain, shot.read, generator)
    if shot.row > 0:
        noisy = sensor.add_row_noise(noisy, shot.row, generator)
    return sensor.quantize(noisy, shot.bits, _PEDESTAL)


def _developed(signal: Floats, shot: Shot) -> Floats:
    """Return the image, 0..1, that the camera makes of its sensor's signal."""
    linear = demosaic(signal, shot.pattern, shot.demosaic)
    linear = linear * (shot.balance * shot.push).astype(np.float32)
    # What was white in the scene stays white: no channel may be brighter than that.
    white = np.float32(min(1.0, shot.exposure * shot.push))
    linear = colour.apply_matrix(np.minimum(linear, white), np.linalg.inv(shot.matrix))
    return colour.apply_tone(colour.encode_srgb(np.clip(linear, 0, 1)), shot.tone)


def _finished(image: Floats, shot: Shot) -> Floats:
    """Return an image at the size, the sharpness and the colour resolution it is written with."""
    image = finishing.resize(image, *shot.size)
    image = finishing.sharpen(image, shot.sharpening, shot.sharpening_sigma)
    return finishing.halve_colours(image) if shot.halves_colours else image


def _coded(image: Bytes, shot: Shot) -> Bytes:
    """Return an image as it comes out of the camera's file."""
    if shot.quality is not None:
        return jpeg_coded(image, shot.quality, shot.subsampling)
    if shot.rate_factor is not None:
        return h264_coded([image], shot.rate_factor)[0]
    return image
