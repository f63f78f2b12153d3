"""No password is shown, and every password reaches the camera."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeunet.errors import UsageError
from edgeunet.media.live.addresses import (
    encoded,
    known_password,
    scrubbed,
    with_password,
    without_passwords,
)

SECRET = "s3c@r/e?t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://10.0.0.7:554/live", "rtsp://10.0.0.7:554/live"),
        ("rtsp://me:s3cret@10.0.0.7:554/live", "rtsp://me:***@10.0.0.7:554/live"),
        (f"rtsp://me:{SECRET}@10.0.0.7/live", "rtsp://me:***@10.0.0.7/live"),
        ("rtsp://:s3cret@10.0.0.7/live", "rtsp://:***@10.0.0.7/live"),
        ("rtsp://h/cam?user=me&password=s3cret&x=1", "rtsp://h/cam?user=me&password=***&x=1"),
        ("rtsp://h/cam?pwd=s3cret", "rtsp://h/cam?pwd=***"),
        ("http://h/v?token=s3cret&q=2", "http://h/v?token=***&q=2"),
        ("rtsp://h/user=me_password=s3cret_channel=1", "rtsp://h/user=me_password=***"),
        (
            f"gst://rtspsrc location=rtsp://me:{SECRET}@h/x latency=0 ! appsink",
            "gst://rtspsrc location=rtsp://me:***@h/x latency=0 ! appsink",
        ),
        (
            'gst://rtspsrc location="rtsp://me:s3 cret@h/x" ! appsink',
            'gst://rtspsrc location="rtsp://me:***@h/x" ! appsink',
        ),
        (
            'gst://rtspsrc location=rtsp://h user-id=me user-pw="s3 cret" ! appsink',
            "gst://rtspsrc location=rtsp://h user-id=me user-pw=*** ! appsink",
        ),
        ("srt://h:9000?passphrase=s3cret", "srt://h:9000?passphrase=***"),
        ("rtsp://me@home.org:s3cret@10.0.0.7/live", "rtsp://me@home.org:***@10.0.0.7/live"),
        ("rtsp://me:s'3\" s3c@ret@h/x", "rtsp://me:***@h/x"),
        ("rtsp://me:%40s3c%2F@h/x?p=s3c@r/e't", "rtsp://me:***@h/x?p=***"),
        ("http://h/x?user=me&pwd=a's3c!r;e&x=1", "http://h/x?user=me&pwd=***&x=1"),
        (
            r'gst://rtspsrc location="rtsp://me:a\"s3cret@h/x" user-pw="a \"s3cret" ! appsink',
            'gst://rtspsrc location="rtsp://me:***@h/x" user-pw=*** ! appsink',
        ),
        (
            "gst://rtspsrc location=rtsp://h:554/x user-pw=a!s3cret ! appsink",
            "gst://rtspsrc location=rtsp://h:554/x user-pw=*** ! appsink",
        ),
        (
            "gst://rtspsrc location=rtsp://me:a ! s3cret@h/x ! appsink",
            "gst://rtspsrc location=rtsp://me:***@h/x ! appsink",
        ),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
    assert "s3c" not in without_passwords(text)


@pytest.mark.parametrize(
    ("address", "given"),
    [
        ("rtsp://10.0.0.7:554/live", "rtsp://10.0.0.7:554/live"),
        ("rtsp://10.0.0.7:554/a@b", "rtsp://10.0.0.7:554/a@b"),
        ("rtsp://me:p@ss@h:554/x", "rtsp://me:p%40ss@h:554/x"),
        ("rtsp://me:p/ss@h:554/x/y", "rtsp://me:p%2Fss@h:554/x/y"),
        ("rtsp://me:p%40ss@h/x", "rtsp://me:p%40ss@h/x"),
        ("rtsp://me@h/x", "rtsp://me@h/x"),
        ("rtsp://me:p@ss/w@10.0.0.7/x", "rtsp://me:p%40ss%2Fw@10.0.0.7/x"),
        ("rtsp://me:p?ss@cam.local/x", "rtsp://me:p%3Fss@cam.local/x"),
        ("rtsp://me:pass@cam.local/a@b.c/d", "rtsp://me:pass@cam.local/a@b.c/d"),
        ("rtsp://me:pass@h:554/x?to=a@b.c", "rtsp://me:pass@h:554/x?to=a@b.c"),
        ("rtsp://me@home.org:p@ss@10.0.0.7/x", "rtsp://me%40home.org:p%40ss@10.0.0.7/x"),
        ("http://cam/x?user=me&pass=s3@c/ret", "http://cam/x?user=me&pass=s3@c/ret"),
    ],
)
def test_what_a_library_is_given(address: str, given: str) -> None:
    assert encoded(address) == given


def test_a_password_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEUNET_PASSWORD", raising=False)
    assert known_password(None) is None
    monkeypatch.setenv("EDGEUNET_PASSWORD", SECRET)
    assert known_password(None) == SECRET
    file = tmp_path / "password"
    for begin in ("", "\ufeff"):  # Windows' editor writes a byte order mark
        file.write_text(f"{begin}of the file\n")
        assert known_password(file) == "of the file"
    assert with_password("rtsp://me@h/x", SECRET) == "rtsp://me:s3c%40r%2Fe%3Ft@h/x"
    assert with_password("rtsp://h/x?pwd={password}", SECRET) == "rtsp://h/x?pwd=s3c%40r%2Fe%3Ft"
    assert with_password("rtsp://me:mine@h/x", SECRET) == "rtsp://me:mine@h/x"
    assert with_password("rtsp://h/x", SECRET) == "rtsp://h/x"
    assert with_password("rtspsrc user-pw={password} ! x", 'a "b') == r'rtspsrc user-pw="a \"b" ! x'


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file or directory"), (b"", "is empty"), (b"\xff", "UTF-8")],
)
def test_password_files_that_are_none(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        known_password(file)


def test_a_placeholder_needs_a_password() -> None:
    with pytest.raises(UsageError, match="and no password is known") as caught:
        with_password("rtsp://me:{password}@h/x", None)
    assert caught.value.hint == "set EDGEUNET_PASSWORD, or name a file with --password-file"


def test_what_is_hidden_already_stays_as_it_is() -> None:
    message = "'http://h/x?user=me&pwd=s3cret' cannot be read: refused"
    hidden = "'http://h/x?user=me&pwd=***' cannot be read: refused"
    assert without_passwords(message) == hidden
    assert without_passwords(hidden) == hidden


def test_messages_of_libraries_are_scrubbed() -> None:
    address = "rtsp://me:p%40ss@h/x"
    for text in ("cannot open rtsp://me:p%40ss@h/x", "wrong password p@ss", "p%40ss"):
        assert "ss" not in scrubbed(text, address).replace("password", "")
    pipeline = r'rtspsrc location="rtsp://me:p%40ss@h/x" user-pw="a \"s3cret" ! appsink'
    for text in ('no property "a "s3cret"', "p@ss is wrong", 'could not set "a \\"s3cret"'):
        assert "s" not in re.sub("is|no property|set", "", scrubbed(text, pipeline))
