"""Names files that are no images that are read, by their first bytes, so that a message can say so.

What is read: ``edgeunet.images.pillow_file``.
"""

from __future__ import annotations

_BEGINNINGS = (
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF file"),
    (b"%!PS", "a PostScript file"),
    (b"\0\0\1\0", "an ICO file"),
    (b"P7\n", "a PAM file"),
    (b"Pf\n", "a PFM file"),
    (b"PF\n", "a PFM file"),
    (b"v/1\x01", "an OpenEXR file"),
    (b"#?RADIANCE", "a Radiance HDR file"),
    (b"DDS ", "a DirectDraw file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"PK\3\4", "a ZIP file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x1aE\xdf\xa3", "a Matroska video"),
    (b"version https://git-lfs", "a pointer of Git LFS (git lfs pull fetches the file)"),
    (b"FUJIFILMCCD-RAW", "a raw photograph"),
    (b"IIRO", "a raw photograph"),
    (b"IIRS", "a raw photograph"),
    (b"MMOR", "a raw photograph"),
    (b"IIU\0", "a raw photograph"),
)
_BRANDS = {
    b"avif": "an AVIF file", b"avis": "an AVIF file",
    b"heic": "a HEIC file", b"heix": "a HEIC file", b"heim": "a HEIC file", b"hevc": "a HEIC file",
    b"mif1": "a HEIF file", b"msf1": "a HEIF file",
    b"crx ": "a raw photograph",
}  # fmt: skip
_TGA_END = b"TRUEVISION-XFILE.\0"
_LOOKED_AT_BYTES = 512


def format_of(data: bytes) -> str | None:
    """Return what a file is, such as "an AVIF file", or None when its bytes do not tell."""
    for beginning, what in _BEGINNINGS:
        if data.startswith(beginning):
            return what
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video")
    if data[:2] in (b"II", b"MM") and data[8:10] == b"CR":
        return "a raw photograph"
    if data.endswith(_TGA_END):
        return "a TGA file"
    text = data[:_LOOKED_AT_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG file"
    return "a web page" if text.startswith((b"<!doctype html", b"<html")) else None
