"""Suffixes of files, in lower case: those by which images and videos are found, and their like.

What a file holds, its content decides. Suffixes only say which files of a folder are meant.
"""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(
    {
        ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff",
        ".ppm", ".pgm", ".pbm", ".pnm", ".gif", ".apng", ".mpo",
    }
)  # fmt: skip
"""Of images that are read."""

VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip
"""Of videos that are read."""

_OTHER_IMAGES = frozenset(
    {
        ".avif", ".avifs", ".dds", ".exr", ".hdr", ".heic", ".heics", ".heif", ".hif",
        ".ico", ".j2c", ".j2k", ".jp2", ".jpf", ".jpx", ".jpm", ".j2p", ".jxl", ".jxr",
        ".pam", ".pcx", ".pfm", ".psd", ".qoi", ".sgi", ".svg", ".tga", ".wdp",
        # Raw photographs.
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".gpr", ".iiq", ".kdc",
        ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl",
        ".sr2", ".srf", ".srw", ".x3f",
    }
)  # fmt: skip
_OTHER_VIDEOS = frozenset(
    {
        ".264", ".265", ".3g2", ".asf", ".av1", ".divx", ".dv", ".f4v", ".h264", ".h265", ".hevc",
        ".ivf", ".m1v", ".m2v", ".mjpeg", ".mjpg", ".mod", ".mpe", ".mxf", ".nut", ".ogm", ".qt",
        ".rm", ".rmvb", ".tod", ".vob", ".y4m",
    }
)  # fmt: skip

PICTURE_SUFFIXES = IMAGE_SUFFIXES | _OTHER_IMAGES | frozenset(VIDEO_SUFFIXES) | _OTHER_VIDEOS
"""Of all files that hold pictures: a person may think that they are read."""


def is_other_image(suffix: str) -> bool:
    """Return whether a suffix, in lower case, is that of images of a kind that is not read."""
    return suffix in _OTHER_IMAGES
