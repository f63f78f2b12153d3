"""Reads an image file through Pillow. Owns Pillow's decoders and its colour management.

The rules, which docs/findings/files.md gives to users:

- a file holds one picture; previews of it and gain maps are none
- the picture is turned upright by its EXIF orientation
- transparency is dropped, and the colours below it stay
- CMYK goes through its colour profile where it has one; RGB and grey keep their numbers
- more than 8 bits are brought to 8 by the bits that are meant (``edgeunet.images.deep``)
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from edgeunet.errors import EdgeUnetError
from edgeunet.images import headers, problems
from edgeunet.images.deep import Stated, to_eight_bits
from edgeunet.images.jpeg_ends import is_cut
from edgeunet.images.orientation import upright
from edgeunet.images.other_formats import format_of

# Makes every decoder known that this Pillow has.
Image.init()
# By content, never by suffix. Formats that start another program, such as EPS, are left out.
_WANTED = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "BMP", "DIB", "PPM", "GIF")
# A Pillow that was built without a library knows fewer.
_FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)

_ORIENTATION, _SUBFILE, _BITS, _PHOTOMETRIC, _PLANAR = 274, 254, 258, 262, 284
_MOST_VALUE, _EXTRA, _FORMAT, _COEFFICIENTS, _REFERENCE = 281, 338, 339, 529, 532
_COLOUR_MAP, _INK_SET, _CMYK_INKS = 320, 332, 1
_REDUCED_OR_MASK = 0b101
_UNSIGNED, _PREMULTIPLIED, _RGB = 1, 1, 2
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_BT_601 = (0.299, 0.587, 0.114)
# Of a pixel, where a sample has one byte.
_NETPBM_BITS = {b"P4": 1, b"P5": 8, b"P6": 24}
_GAIN_MAP = b"hdrgm:"

_CONVERTED = {
    "1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGBA", "PA": "RGBA", "RGB": "RGB",
    "RGBA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB",
}  # fmt: skip


def read_rgb(data: bytes, name: str, stated: Stated) -> NDArray[np.uint8]:
    """Return the picture in an image file's bytes, (H, W, 3) uint8 RGB.

    name: of the file, for messages. stated: gives the bits that a person states.
    Raises SourceError when it is broken, too large, of a kind that is not converted, or holds
    several pictures.
    """
    image = OpenedImage(data, name)
    try:
        return np.ascontiguousarray(upright(image.rgb(stated), image.orientation), dtype=np.uint8)
    finally:
        image.close()


class OpenedImage:
    """An image file, decoded, at its only picture."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.data = data
        self._facts = headers.facts_of(data)
        if self._facts and self._facts.raw:
            raise problems.other_format(name, "a raw photograph")
        try:
            with warnings.catch_warnings():
                # Damaged metadata is no harm; too many pixels are.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                self.image: Any = Image.open(io.BytesIO(data), formats=_FORMATS)
                self._choose_picture()
                # Pillow turns a TIFF file when it decodes it, and forgets the orientation then.
                self.turned_by_file = self._orientation() != headers.UPRIGHT
                several = self._is_followed()
                self.image.load()
                self.orientation = self._orientation()
                if several:
                    raise problems.several_pictures(name)
                self._check()
        except (EdgeUnetError, MemoryError):
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            pixels = int((re.findall(r"\d+", str(error)) or ["0"])[0])
            raise problems.too_large(name, pixels, Image.MAX_IMAGE_PIXELS or 0) from error
        except UnidentifiedImageError as error:
            raise self._unidentified() from error
        except Exception as error:
            # Decoders raise whatever a damaged file leads them to.
            raise problems.broken(name) from error

    def close(self) -> None:
        self.image.close()

    @property
    def depth(self) -> int:
        """Bits of a sample as stored."""
        if self.image.format == "PNG":
            return self.data[24]
        if self.image.format == "TIFF":
            return max(self._tag(_BITS, (1,)))
        return 16 if self.image.mode[0] == "I" else 8

    @property
    def white_is_zero(self) -> bool:
        """Whether larger numbers of a grey TIFF file are darker."""
        return self.image.format == "TIFF" and self._tag(_PHOTOMETRIC, (1,))[0] == 0

    def rgb(self, stated: Stated) -> NDArray[np.uint8]:
        """Return the picture as stored, not turned, (H, W, 3) uint8."""
        if self.image.mode.startswith("I"):
            return _three_planes(self._deep_grey(stated))
        if self.depth > 8:
            return self._deep_colour(stated)
        if self.image.mode not in _CONVERTED:
            raise problems.other_kind(self.name, f"the mode {self.image.mode}")
        colours = self._facts.colours if self._facts else None
        if colours is not None and np.asarray(self.image).max() >= colours:
            raise problems.broken(self.name)
        return _three_planes(np.asarray(self._converted()))

    def _converted(self) -> Any:
        mode = self.image.mode
        profile = self.image.info.get("icc_profile") if mode == "CMYK" else None
        if mode == "CMYK" and self.image.format == "JPEG" and "adobe" not in self.image.info:
            raise problems.other_kind(
                self.name, "printing inks that does not say whether they are inverted"
            )
        if mode != "LAB" and not profile:
            return self.image.convert(_CONVERTED[mode])
        try:
            source = (
                ImageCms.ImageCmsProfile(io.BytesIO(profile))
                if profile
                else ImageCms.createProfile("LAB")
            )
            return ImageCms.profileToProfile(
                self.image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            raise problems.other_kind(
                self.name, "printing inks whose colour profile cannot be read"
            ) from error

    def _deep_grey(self, stated: Stated) -> NDArray[np.uint8]:
        """Return a plane of more than 8 bits, (H, W) uint8."""
        deep = self.depth if self.image.format == "TIFF" else 16
        if deep > 16 or self._stored_numbers().max(initial=0) >= 1 << 16:
            raise problems.other_kind(self.name, f"{deep} bits a sample")
        samples = self._stored_numbers().astype(np.uint16)
        eight = to_eight_bits(samples, self.name, self._meant_bits(), stated)
        return np.subtract(255, eight, dtype=np.uint8) if self.white_is_zero else eight

    def _stored_numbers(self) -> NDArray[Any]:
        return np.asarray(self.image)

    def _deep_colour(self, stated: Stated) -> NDArray[np.uint8]:
        """Return a picture of 16 bits a sample, (H, W, 3) uint8. Pillow would keep 8 of them."""
        from edgeunet.images.opencv_file import decode_as_stored

        if self.image.format == "TIFF" and (
            self._tag(_PHOTOMETRIC, (_RGB,))[0] != _RGB
            or self._tag(_EXTRA, (0,))[0] == _PREMULTIPLIED
            or self._tag(_PLANAR, (1,))[0] != 1
            or self.turned_by_file
            or self.image.tell()
        ):
            raise problems.other_kind(self.name, "16 bits a sample, but not plain RGB")
        samples = decode_as_stored(self.data)
        if samples is None or samples.dtype != np.uint16:
            raise problems.broken(self.name)
        return to_eight_bits(_three_planes(samples), self.name, self._meant_bits(), stated)

    def _meant_bits(self) -> int | None:
        if self.image.format == "PNG":
            facts = headers.facts_of(self.data)
            return None if facts is None else facts.meant_bits
        if self.image.format == "TIFF":
            if self.depth < 16:
                return self.depth
            declared = self._tag(_MOST_VALUE, ())
            return max(declared).bit_length() if declared else None
        return 16  # a PPM file states its largest value, and Pillow scales by it

    def _orientation(self) -> int:
        """Return the orientation, 1..8, that is still to be applied.

        Pillow takes other statements than EXIF's for it as well.
        """
        if self.image.format == "TIFF":
            return headers.valid_orientation(self.image.tag_v2.get(_ORIENTATION))
        return self._facts.orientation if self._facts else headers.UPRIGHT

    def _is_followed(self) -> bool:
        """Return whether another picture follows in a Netpbm file. Call it before decoding."""
        if self.image.format != "PPM" or self.data[:2] not in _NETPBM_BITS:
            return False
        begin = self.image.tile[0].offset
        bits = _NETPBM_BITS[self.data[:2]]
        if bits > 1:
            # The largest value ends the header.
            bits *= 2 if int(self.data[:begin].split()[-1]) > 255 else 1
        row = -(-bits * self.image.width // 8)
        return self.data[begin + row * self.image.height :].lstrip()[:1] == b"P"

    def _unidentified(self) -> EdgeUnetError:
        """Return the error for a file that Pillow does not open."""
        if what := format_of(self.data):
            return problems.other_format(self.name, what)
        facts = self._facts
        if facts and facts.kind == "tiff" and facts.photometric != -1:
            depth = f"{facts.depth} bits" if facts.depth else "an unusual type"
            return problems.other_kind(
                self.name,
                f"{facts.channels} samples of {depth} a pixel, and of TIFF's photometric kind "
                f"{facts.photometric}",
            )
        return problems.broken(self.name)

    def _check(self) -> None:
        """Raise SourceError for a part of a picture, and for numbers that mean something else."""
        facts, image = self._facts, self.image
        if image.format == "TIFF":
            self._check_tiff()
        if facts is None:
            return
        if facts.other_range:
            raise problems.other_range(self.name)
        if facts.short or not facts.ended or (facts.kind == "png" and self._lacks_rows()):
            raise problems.broken(self.name)
        if facts.kind == "jpeg":
            corner = image.getpixel((image.width - 1, image.height - 1))
            if is_cut(self.data, corner, lambda: np.asarray(image), _decoded_jpeg):
                raise problems.broken(self.name)

    def _lacks_rows(self) -> bool:
        """Return whether a PNG file has too few pixels. Pillow leaves the others at 0."""
        width, height = self.image.size
        # Rows of an odd number come last in an interlaced file.
        last = self.image.crop((0, max(0, height - 2), width, height))
        return not np.asarray(last).any(axis=-1).all() and not headers.holds_all_rows(self.data)

    def _check_tiff(self) -> None:
        """Raise SourceError for a TIFF file whose numbers Pillow would take for others."""
        if _PHOTOMETRIC not in self.image.tag_v2:
            raise problems.other_kind(self.name, "samples that may be white or black at 0")
        if self.image.mode == "CMYK" and self._tag(_INK_SET, (_CMYK_INKS,))[0] != _CMYK_INKS:
            raise problems.other_kind(self.name, "other printing inks than CMYK")
        colours = self._tag(_COLOUR_MAP, ())
        if self.image.mode == "P" and 0 < max(colours) < 1 << 8:
            # Some programs write 8 bits where TIFF wants 16, and Pillow takes the upper ones.
            self.image.putpalette(bytes(np.array(colours, np.uint8).reshape(3, -1).T.ravel()))
        if set(self._tag(_FORMAT, (_UNSIGNED,))) != {_UNSIGNED}:
            raise problems.other_kind(self.name, "signed or floating-point samples")
        if self.image.mode == "YCbCr":
            reference = self._numbers(_REFERENCE, _FULL_RANGE)
            weights = self._numbers(_COEFFICIENTS, _BT_601)
            if not np.allclose(reference, _FULL_RANGE, atol=1) or not np.allclose(
                weights, _BT_601, atol=0.002
            ):
                raise problems.other_kind(self.name, "YCbCr with a range or weights of its own")

    def _tag(self, number: int, default: tuple[int, ...]) -> tuple[int, ...]:
        value = self.image.tag_v2.get(number, default)
        return tuple(value) if isinstance(value, tuple) else (value,)

    def _numbers(self, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(float(number) for number in self._tag(tag, default))  # type: ignore[arg-type]

    def _choose_picture(self) -> None:
        """Go to the file's only picture. Raises SourceError when there are several."""
        frames = getattr(self.image, "n_frames", 1)
        if frames == 1 and self.image.format != "TIFF":
            return
        pictures = list(range(frames))
        if self.image.format == "TIFF":
            pictures = [number for number in pictures if not self._is_preview(number)]
        elif self.image.format == "MPO":
            pictures = self._mpo_pictures()
        if not pictures:
            raise problems.preview_only(self.name)
        if len(pictures) != 1:
            raise problems.several_pictures(self.name, len(pictures))
        if self.image.tell() != pictures[0]:
            self.image.seek(pictures[0])

    def _is_preview(self, page: int) -> bool:
        """Return whether a page of a TIFF file is a smaller version or a mask of another."""
        self.image.seek(page)
        return bool(self._tag(_SUBFILE, (0,))[0] & _REDUCED_OR_MASK)

    def _mpo_pictures(self) -> list[int]:
        """Return which pictures of a camera's JPEG are not previews or gain maps of the first."""
        kinds = [entry["Attribute"]["MPType"] for entry in self.image.mpinfo[0xB002]]
        size = self.image.size
        pictures = [0]
        for number in range(1, len(kinds)):
            self.image.seek(number)
            other = kinds[number].startswith("Multi-Frame") or (
                self.image.size == size and _GAIN_MAP not in self.data
            )
            if other and "Thumbnail" not in kinds[number]:
                pictures.append(number)
        return pictures


def _decoded_jpeg(data: bytes) -> NDArray[Any] | None:
    """Return the samples of a JPEG file's first picture, as Pillow keeps them; None if broken."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError):
        return None


def _three_planes(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return grey or colour pixels, with or without transparency, as (H, W, 3)."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] <= 2:
        return np.repeat(pixels[:, :, :1], 3, axis=2)
    return pixels[:, :, :3]
