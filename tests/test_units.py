from __future__ import annotations

import pytest

from edgeunet.errors import UsageError
from edgeunet.units import format_bytes, parse_bytes, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("128MiB", 128 * 2**20), ("1.5 GiB", 3 * 2**29), ("64", 64), ("2KiB", 2048), ("3M", 3 << 20)],
)
def test_bytes_are_binary(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MiB", "-1MiB", "12 MB", "much"])
def test_other_byte_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size in bytes") as caught:
        parse_bytes(text)
    assert "128MiB" in caught.value.hint


@pytest.mark.parametrize("text", ["9" * 400 + "GiB", "9" * 30, "2000000GiB"])
def test_more_bytes_than_there_are(text: str) -> None:
    with pytest.raises(UsageError, match="9+.*is more memory than there is|2000000GiB is more"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 2**20, "5.0 MiB"), (2**31, "2.00 GiB")],
)
def test_format_bytes(size_bytes: int, text: str) -> None:
    assert format_bytes(size_bytes) == text


def test_size_is_rows_first() -> None:
    assert parse_size("480x640") == (480, 640)


@pytest.mark.parametrize("text", ["480", "480x", "x640", "axb", "480x640x3", "-480x640"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a frame size") as caught:
        parse_size(text)
    assert "480x640" in caught.value.hint


@pytest.mark.parametrize("side", ["32769", "200000", "9" * 5000])
def test_a_frame_nobody_has_is_refused(side: str) -> None:
    for text in (f"{side}x480", f"480x{side}"):
        with pytest.raises(UsageError, match="too large a frame") as caught:
            parse_size(text)
        assert len(caught.value.message) < 80
    assert parse_size("32768x00480") == (32768, 480)
