"""The preview's server: what it shows, to whom, and that nobody who looks delays the run."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

aiohttp = pytest.importorskip("aiohttp")

import cv2  # noqa: E402

from edgeunet.errors import SinkError, UsageError  # noqa: E402
from edgeunet.media import opencv  # noqa: E402
from edgeunet.specs import Image  # noqa: E402
from edgeunet.stream import RunOptions, RunSummary, run_pipeline  # noqa: E402
from edgeunet.stream.preview import pictures  # noqa: E402
from edgeunet.stream.preview.preview_options import (  # noqa: E402
    PreviewOptions,
    read_preview,
)
from edgeunet.stream.run_summary import RunStatus  # noqa: E402
from tests.bundle.tiny import tiny_bundle  # noqa: E402

TOKEN = "ab+/0123456789=="
PAGE = Path(pictures.__file__).parent / "page"


class Running:
    """A run with a preview in a thread of its own."""

    def __init__(self, bundle: Path, token: str | None, *, metrics: bool = False) -> None:
        self.stop = threading.Event()
        self.status: RunStatus | None = None
        self.summary: RunSummary | None = None
        self._address = ""
        self._told = threading.Event()
        options = RunOptions(
            "test://?size=48x64&frames=0&fps=60&live=1",
            bundle,
            preview=PreviewOptions(port=0, token=token, metrics=metrics),
        )
        self._thread = threading.Thread(target=self._work, args=(options,), daemon=True)
        self._thread.start()
        assert self._told.wait(30)
        self.port = int(re.findall(r":(\d+)/", self._address)[0])

    def _work(self, options: RunOptions) -> None:
        self.summary = run_pipeline(
            options, on_note=self._note, on_status=self._keep, stop=self.stop
        )

    def _note(self, line: str) -> None:
        if line.startswith("the preview is at "):
            self._address = line
            self._told.set()

    def _keep(self, status: RunStatus) -> None:
        self.status = status

    def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    def end(self) -> RunSummary:
        self.stop.set()
        self._thread.join(30)
        assert self.summary is not None
        return self.summary


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles")).path


@pytest.fixture(scope="module")
def running(bundle: Path) -> Iterator[Running]:
    """An open preview on loopback, which the tests of this file look at in turn."""
    one = Running(bundle, None)
    yield one
    summary = one.end()
    assert [(sink.name, sink.viewer) for sink in summary.sinks] == [("preview", True)]
    assert not [line for line in summary.warnings if "preview" in line]


@contextlib.contextmanager
def video(running: Running, view: str = "denoised") -> Iterator[socket.socket]:
    """Ask for a stream of pictures, and read only what a test reads."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        request = f"GET /video/{view} HTTP/1.0\r\nHost: localhost:{running.port}\r\n\r\n"
        connection.sendall(request.encode())
        yield connection


def parts(connection: socket.socket, count: int) -> list[bytes]:
    """Read whole JPEG files from a stream."""
    data = b""
    deadline_s = time.monotonic() + 20
    while data.count(b"\xff\xd9\r\n--edgeunetframe") < count:
        assert time.monotonic() < deadline_s
        more = connection.recv(65536)
        assert more, "the stream ended"
        data += more
    return re.findall(rb"\r\n\r\n(\xff\xd8.*?\xff\xd9)\r\n", data, re.DOTALL)[:count]


def test_the_page_and_its_parts_are_ours_alone(running: Running) -> None:
    for path, kind in (("/", "text/html"), ("/page.js", "javascript"), ("/page.css", "text/css")):
        status, headers, body = running.ask(path)
        assert status == 200
        assert kind in headers["Content-Type"]
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", body)
    about = json.loads(running.ask("/about")[2])
    assert about["views"] == ["noisy", "denoised", "labels"]
    assert about["size"] == "48x64"
    assert [row["name"] for row in about["legend"]] == ["blue", "green", "red"]
    assert about["legend"][0]["colour"] == [0, 0, 250]


@pytest.mark.parametrize("view", ["noisy", "denoised", "labels"])
def test_pictures_move(running: Running, view: str) -> None:
    with video(running, view) as connection:
        jpegs = parts(connection, 4)
    images = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in jpegs]
    assert {image.shape for image in images if image is not None} == {(48, 64, 3)}
    assert len(set(jpegs)) > 1


def test_a_snapshot_is_a_whole_frame(running: Running) -> None:
    status, headers, body = running.ask("/snapshot/denoised.png")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (48, 64, 3)
    assert running.ask("/snapshot/nothing.png")[0] == 404
    assert running.ask("/video/nothing")[0] == 404


def test_figures_change(running: Running) -> None:
    async def read() -> list[dict[str, object]]:
        address = f"http://127.0.0.1:{running.port}/figures"
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as figures:
            return [json.loads((await figures.receive(timeout=20)).data) for _ in range(2)]

    first, second = asyncio.run(read())
    assert int(str(second["frames"])) > int(str(first["frames"]))
    assert int(str(first["resident_bytes"])) > 2**20


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(running: Running, method: str) -> None:
    assert running.ask("/", method)[0] == 405


def test_health_and_metrics(running: Running, bundle: Path) -> None:
    deadline_s = time.monotonic() + 20
    while running.ask("/healthz")[0] != 200 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert running.ask("/healthz")[2] == b"ok\n"
    assert running.ask("/metrics")[0] == 404
    pytest.importorskip("prometheus_client")
    measured = Running(bundle, TOKEN, metrics=True)
    while measured.status is None or not measured.status.frames:
        time.sleep(0.1)
    assert measured.ask("/healthz")[0] == 200
    assert measured.ask("/metrics")[0] == 401
    status, headers, body = measured.ask("/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    text = body.decode()
    figures = {line.split()[0]: line.split()[-1] for line in text.splitlines() if line[0] != "#"}
    assert float(figures["edgeunet_frames_total"]) > 0
    assert float(figures["edgeunet_resident_bytes"]) > 2**20
    assert 'edgeunet_network_latency_seconds{quantile="0.99"}' in figures
    assert 'edgeunet_sink_missed_frames_total{sink="preview"}' in figures
    assert "python_info" not in text
    measured.end()


def test_other_sites_see_nothing(running: Running) -> None:
    """A name of another site may point to this machine; its page must not read ours."""
    assert running.ask("/", Host="evil.example")[0] == 403
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": "http://evil.example"}
    assert running.ask("/figures", **upgrade)[0] == 403


def test_nobody_waits_for_a_viewer_that_never_reads(running: Running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(video(running))
        before = running.status.frames if running.status else 0
        time.sleep(1.5)
        reader = stack.enter_context(video(running))
        assert len(parts(reader, 3)) == 3
        time.sleep(1.0)
        assert running.status is not None
        assert running.status.frames - before > 30
        assert running.status.hangs == ()


def test_a_thousand_requests_that_are_none(
    running: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    random.seed(7)
    starts = [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02",
        b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
    ]
    starts += [
        b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /figures HTTP/1.1\r\n",
        b"\0" * 99,
    ]
    for index in range(1000):
        junk = random.randbytes(random.randrange(1, 300))
        connection = socket.create_connection(("127.0.0.1", running.port), timeout=20)
        with connection, contextlib.suppress(OSError):
            connection.sendall(starts[index % len(starts)] + junk)
    assert running.ask("/")[0] == 200
    assert running.ask("/../web_server.py")[0] == 404
    assert capfd.readouterr().err == ""


def test_nothing_is_coded_while_nobody_looks(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.3)
    coded: list[str] = []
    original = opencv.encode_image

    def encode(image: Image, suffix: str) -> bytes:
        coded.append(suffix)
        return original(image, suffix)

    monkeypatch.setattr(opencv, "encode_image", encode)
    time.sleep(0.4)
    assert coded == []
    running.ask("/snapshot/noisy.png")
    assert ".png" in coded


def test_a_token_opens_the_page(bundle: Path) -> None:
    running = Running(bundle, TOKEN)
    for path in ("/", "/page.js", "/video/noisy", "/figures", "/snapshot/noisy.png"):
        assert running.ask(path)[0] == 401
        assert running.ask(f"{path}?token={TOKEN[:-1]}x")[0] == 401
    assert running.ask("/", Authorization="Bearer é" * 3)[0] == 401
    for written in (quote(TOKEN, safe=""), TOKEN):  # as somebody types it
        status, headers, _ = running.ask(f"/?token={written}")
        assert (status, headers["Location"]) == (302, "/")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert running.ask("/", Cookie=cookie.partition(";")[0])[0] == 200
    assert running.ask("/about", Authorization=f"Bearer {TOKEN}")[0] == 200
    running.end()


def test_an_address_that_is_taken(bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = RunOptions("test://", bundle, preview=PreviewOptions(port=port))
        with pytest.raises(SinkError, match=f"cannot be served at 127.0.0.1:{port}") as caught:
            run_pipeline(options)
    assert caught.value.hint == "name another address with --preview-at"


def test_addresses_and_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEUNET_PREVIEW_TOKEN", raising=False)
    assert read_preview("127.0.0.1:9000", None) == PreviewOptions("127.0.0.1", 9000)
    assert read_preview("[::1]:9000", None).authority == "[::1]:9000"
    for wrong in ("127.0.0.1:no", "somewhere:80", "127.0.0.1:70000"):
        with pytest.raises(UsageError, match="is no address for the preview"):
            read_preview(wrong, None)
    with pytest.raises(UsageError, match="needs a token") as caught:
        read_preview("0.0.0.0:8780", None)
    assert "--preview-token" in caught.value.hint
    file = tmp_path / "token"
    for begin in ("", "\ufeff"):
        file.write_text(f"{begin}{TOKEN}\n")
        assert read_preview("0.0.0.0:8780", file).token == TOKEN
    file.write_text("short")
    with pytest.raises(UsageError, match="is not 16 or more printable letters"):
        read_preview("0.0.0.0:8780", file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_preview("0.0.0.0:8780", tmp_path / "absent")
