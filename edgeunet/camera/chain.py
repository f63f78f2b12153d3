"""Turn a crop of a photograph into what a camera would record: a noisy and a clean image.

Every step is a function in this package; ``[train.camera]`` of a recipe has the ranges. The clean
image goes through the same steps without noise and without coding. So a network learns neither to
sharpen nor to undo the camera's colours.
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
"""Width in pixels of the unused margin at every side of a shot, where filters lack neighbours."""

# Signal that is added so that the converter does not cut off noise below black.
_PEDESTAL = 1 / 32

# Chroma at full and at half resolution, as cameras write JPEG.
_SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "4:2:0")


@dataclass(frozen=True)
class Shot:
    """The parameters of one camera and one exposure, each drawn from a range of ``CameraTable``.

    size: (height, width) in pixels of the image, margins included; even.
    sensor_size: (height, width) in pixels of the sensor's image; even.
    lens: sigma of the lens blur, in pixels of the sensor.
    exposure: light that falls on the sensor, 0..1 of full scale.
    push: digital gain after the converter.
    quality: JPEG quality. rate_factor: rate factor of H.264. At most one of the two is set.
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
    """Draw a camera and an exposure for images of ``size``, (height, width) without margins.

    resizes: whether the camera may resize; must be False when labels belong to the pixels.
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
    """Return (noisy, clean), (H, W, 3) float32 RGB 0..1; the noisy image has 8-bit values.

    scene: (H, W, 3) uint8 RGB of the shot's ``sensor_size``. The results have the shot's ``size``.
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
    """Return the light on the sensor, (H, W), 0..1 and beyond: the inverse of development."""
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    table = colour.decode_srgb(colour.undo_tone(values, shot.tone))
    linear = colour.apply_matrix(table[scene], shot.matrix)
    linear = colour.undo_white_balance(np.maximum(linear, 0), shot.balance)
    linear = sensor.blur(linear, shot.lens)
    light: Floats = sensor.mosaic(linear, shot.pattern) * np.float32(shot.exposure)
    return light


def _counted(light: Floats, shot: Shot, generator: np.random.Generator) -> Floats:
    """Return the sensor's signal for the light, with noise."""
    noisy = add_camera(light, shot.gain, shot.read, generator)
    if shot.row > 0:
        noisy = sensor.add_row_noise(noisy, shot.row, generator)
    return sensor.quantize(noisy, shot.bits, _PEDESTAL)


def _developed(signal: Floats, shot: Shot) -> Floats:
    """Return the image, 0..1, that the camera develops from its sensor's signal."""
    linear = demosaic(signal, shot.pattern, shot.demosaic)
    linear = linear * (shot.balance * shot.push).astype(np.float32)
    # What was white in the scene stays white: no channel may be brighter than that.
    white = np.float32(min(1.0, shot.exposure * shot.push))
    linear = colour.apply_matrix(np.minimum(linear, white), np.linalg.inv(shot.matrix))
    return colour.apply_tone(colour.encode_srgb(np.clip(linear, 0, 1)), shot.tone)


def _finished(image: Floats, shot: Shot) -> Floats:
    """Return the image with the size, sharpness and colour resolution of the file."""
    image = finishing.resize(image, *shot.size)
    image = finishing.sharpen(image, shot.sharpening, shot.sharpening_sigma)
    return finishing.halve_colours(image) if shot.halves_colours else image


def _coded(image: Bytes, shot: Shot) -> Bytes:
    """Return the image after the coding of the camera's file."""
    if shot.quality is not None:
        return jpeg_coded(image, shot.quality, shot.subsampling)
    if shot.rate_factor is not None:
        return h264_coded([image], shot.rate_factor)[0]
    return image
