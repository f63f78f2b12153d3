"""What broken or unusual servers do to a source, through PyAV."""

from __future__ import annotations

import re
import time

import pytest

pytest.importorskip("av")

from edgeunet.errors import UsageError
from edgeunet.media.live.hosts import check_host
from edgeunet.media.live.live_inputs import Loss, LostInputError
from edgeunet.media.live.reconnecting import Patience
from edgeunet.media.sources import LiveOptions, open_source
from tests.media.odd_servers import Answer, cut_pictures, serving, silence, with_digest


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would ask it for loopback, too."""
    monkeypatch.delenv("http_proxy", raising=False)


def live(reconnect_s: float = 0, password: str | None = None) -> LiveOptions:
    return LiveOptions(Patience(0.5, reconnect_s), password=password)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers_is_silent(scheme: str) -> None:
    with serving(silence) as port:
        started_s = time.monotonic()
        with pytest.raises(LostInputError, match=r"has delivered no frame for 0.5 s") as caught:
            open_source(f"{scheme}://me:s3cret@127.0.0.1:{port}/cam", None, live())
    assert caught.value.loss is Loss.SILENCE
    assert "s3cret" not in caught.value.message
    assert time.monotonic() - started_s < 5


@pytest.mark.parametrize(
    ("scheme", "reply", "loss", "message"),
    [
        ("rtsp", b"SSH-2.0-OpenSSH\r\n" * 9, Loss.ERROR, "cannot be read: "),
        ("rtsp", b"RTSP/1.0 403 Forbidden\r\nCSeq: 1\r\n\r\n", Loss.REFUSED, "does not accept"),
        ("http", b"HTTP/1.0 403 No\r\n\r\n", Loss.REFUSED, "does not accept"),
        ("http", b"HTTP/1.0 404 No\r\n\r\n", Loss.ABSENT, "does not know this path"),
        ("http", b"HTTP/1.0 503 Busy\r\n\r\n", Loss.ERROR, "5XX Server Error"),
        ("http", b"HTTP/1.0 200 OK\r\n\r\n<html>log in</html>", Loss.ERROR, "cannot be read: "),
    ],
)
def test_answers_that_are_no_stream(scheme: str, reply: bytes, loss: Loss, message: str) -> None:
    def answer(request: bytes) -> bytes:
        return reply

    with serving(answer) as port, pytest.raises(LostInputError) as caught:
        open_source(f"{scheme}://127.0.0.1:{port}/cam", None, live())
    assert caught.value.loss is loss
    assert message in caught.value.message


def test_pictures_that_are_cut_off_are_a_loss_and_the_camera_comes_back() -> None:
    with serving(cut_pictures) as port:
        source = open_source(f"http://127.0.0.1:{port}/cam", None, live(reconnect_s=10))
        while not source.report().reconnections:
            frame = source.read()
            assert frame is not None
            assert frame.image.shape == (48, 64, 3)
        source.close()
    assert source.report().reconnections == 1


def test_a_digest_is_answered_without_sending_the_password() -> None:
    answer: Answer = with_digest("me", "s3c@r/e t")
    with serving(answer) as port:
        address = f"http://me@127.0.0.1:{port}/cam"
        source = open_source(address, None, live(password="s3c@r/e t"))
        assert source.read() is not None
        source.close()
        with pytest.raises(LostInputError, match="does not accept the user or the password"):
            open_source(address, None, live(password="wrong"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("rtsp://me:pw@127.0.0.1:99999/x", "'rtsp://me:***@127.0.0.1:99999/x' has '99999' where"),
        ("rtsp://127.0.0.1:0/x", "has '0' where a port stands"),
        ("http://cam:80a/x", "has '80a' where a port stands"),
        ("udp://127.0.0.1", "'udp://127.0.0.1' names no port"),
        ("srt://10.0.0.7?passphrase=s3cret", "'srt://10.0.0.7?passphrase=***' names no port"),
    ],
)
def test_ports_that_are_none(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        open_source(address, None, live())


def test_a_host_that_nobody_knows_is_named() -> None:
    with pytest.raises(LostInputError) as caught:
        open_source("rtsp://me:s3cret@camera.invalid:554/x", None, live())
    assert caught.value.message == (
        "'rtsp://me:***@camera.invalid:554/x' cannot be read: the host 'camera.invalid' is not "
        "known here"
    )
    assert caught.value.exit_code == 3


def test_names_that_somebody_else_looks_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy knows its own names, and the name of an interface may be percent-encoded."""
    asked: list[str] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port: asked.append(host))
    check_host("x", "rtsp://me:p%40@[fe80::1%25eth0]:554/x")
    check_host("x", "http://cam.local/x")
    monkeypatch.setenv("http_proxy", "http://10.0.0.1:3128")
    check_host("x", "http://only.the.proxy.knows/x")
    assert asked == ["fe80::1%eth0", "cam.local"]
