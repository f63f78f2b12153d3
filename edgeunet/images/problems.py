"""Errors about image files, in the same words whichever library reads them."""

from __future__ import annotations

from edgeunet.errors import SourceError


def broken(name: str) -> SourceError:
    """Return the error for a file that no decoder can read."""
    return SourceError(f"{name} is not a readable image", hint="remove the file or replace it")


def several_pictures(name: str, count: int | None = None) -> SourceError:
    """Return the error for a file of several pictures. count: how many; None for more than one."""
    many = "more than one picture" if count is None else f"{count} pictures"
    return SourceError(
        f"{name} holds {many}, and a file must hold one",
        hint="save every picture or page into a file of its own",
    )


def other_kind(name: str, what: str) -> SourceError:
    """Return the error for a whole file of a kind that is not converted. what: that kind."""
    return SourceError(f"{name} is an image of {what}", hint="save it as 8-bit RGB")


def other_format(name: str, what: str) -> SourceError:
    """Return the error for a file of a format that is not read. what: such as "an AVIF file"."""
    return SourceError(
        f"{name} is {what}", hint="save the picture as PNG, JPEG, WebP, TIFF, BMP or PPM"
    )


def other_range(name: str) -> SourceError:
    """Return the error for a PNG file whose cICP chunk says PQ, HLG or a narrow range."""
    return other_kind(name, "HDR or of a narrow range, by its cICP chunk")


def preview_only(name: str) -> SourceError:
    """Return the error for a TIFF file whose pages are smaller versions or masks of others."""
    return SourceError(
        f"{name} holds a preview or a mask, and not the picture itself",
        hint="save the picture as an image file of its own",
    )


def too_large(name: str, pixels: int, most: int) -> SourceError:
    """Return the error for a picture of more pixels than Pillow reads."""
    return SourceError(
        f"{name} has {pixels / 1e6:.0f} megapixels, the most that is read is {most / 1e6:.0f}",
        hint="cut it into parts, or make it smaller",
    )


def needs_pillow(name: str) -> SourceError:
    """Return the error for a file that OpenCV alone may read wrongly."""
    return SourceError(
        f"{name} is of a kind that only Pillow reads rightly, and Pillow is not installed",
        hint="pip install pillow, or save the image as 8-bit RGB in PNG",
    )
