"""Events by HTTP: in order, again after a failure, and never in the way of the stream."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeunet.errors import UsageError
from edgeunet.stream import event_posts
from edgeunet.stream.event_posts import EventPoster, check_post_address
from tests.bundle.tiny import tiny_bundle
from tests.cli.command import edgeunet


class Server(http.server.ThreadingHTTPServer):
    """Keeps what is posted; answers with the codes that it is told, then with 204."""

    daemon_threads = True

    def __init__(self, codes: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.codes = codes
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.codes.pop(0) if self.server.codes else 204
        if code == 204:
            self.server.got.append(json.loads(body))
            self.server.headers.append(dict(self.headers))
        self.send_response(code)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return None


@contextmanager
def serving(*codes: int) -> Iterator[tuple[Server, str]]:
    with Server(list(codes)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server, f"127.0.0.1:{server.server_address[1]}/events"
        server.shutdown()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_posts, "_FIRST_WAIT_S", 0.01)


def wait_for(found: list[Any], count: int) -> None:
    deadline_s = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline_s:
        time.sleep(0.01)


def test_events_arrive_in_order_with_a_password_that_nobody_sees() -> None:
    notes: list[str] = []
    with serving() as (server, place):
        poster = EventPoster(f"http://me:s3c%40ret@{place}", notes.append)
        for number in range(5):
            poster.post({"number": number})
        poster.close()
    assert [document["number"] for document in server.got] == [0, 1, 2, 3, 4]
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.headers[0]["Authorization"] == "Basic bWU6czNjQHJldA=="
    assert notes == []


def test_a_server_that_is_out_of_order_gets_them_later() -> None:
    notes: list[str] = []
    with serving(503, 500) as (server, place):
        poster = EventPoster(f"http://me:s3cret@{place}", notes.append)
        poster.post({"number": 0})
        poster.post({"number": 1})
        wait_for(server.got, 2)
        poster.close()
    assert [document["number"] for document in server.got] == [0, 1]
    assert notes == [
        f"warning: events cannot be posted to http://me:***@{place}: "
        "it answers 503 Service Unavailable",
        f"events are posted to http://me:***@{place} again",
    ]


@pytest.mark.parametrize("code", [302, 400, 404])
def test_what_a_server_does_not_want_is_not_tried_again(code: int) -> None:
    notes: list[str] = []
    with serving(code) as (server, place):
        poster = EventPoster(f"http://{place}", notes.append)
        poster.post({"number": 0})
        poster.post({"number": 1})
        wait_for(server.got, 1)
        poster.close()
    assert [document["number"] for document in server.got] == [1]
    assert f"it answers {code}" in notes[0]
    assert notes[-1] == f"warning: 1 messages about events never reached http://{place}"


def test_a_server_that_never_answers_holds_nobody() -> None:
    notes: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        poster = EventPoster(f"http://127.0.0.1:{silent.getsockname()[1]}/", notes.append)
        started_s = time.monotonic()
        for number in range(250):
            poster.post({"number": number})
        assert time.monotonic() - started_s < 1
        poster.close(0.2)
        assert time.monotonic() - started_s < 2
        assert notes[-1].startswith("warning: 250 messages about events never reached http://127")


@pytest.mark.parametrize(
    "text", ["", "10.0.0.5/events", "ftp://10.0.0.5/", "http://", "http://a b/", "http://[::1/"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is no address that events can be posted to") as caught:
        check_post_address(text)
    assert caught.value.hint == "write it like http://10.0.0.5:8000/events"


def test_a_run_posts_its_events_and_the_segment(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    recordings = tmp_path / "recordings"
    words = ("--segment", "10s", "--keep", "1KiB", "--event", "green > 1%", "--json-lines")
    with serving() as (server, place):
        source = ("run", "test://?frames=5", f"{recordings}/", "--bundle", bundle)
        ran = edgeunet(*source, *words, "--event-post", f"http://{place}")
    assert ran.code == 0, ran.err
    happened, kept = server.got
    assert (happened["event"], happened["class"], happened["time_s"]) == ("class", "green", 0.0)
    (segment,) = recordings.iterdir()
    assert (kept["event"], kept["rule"], kept["segment"]) == ("segment", "green > 1%", str(segment))
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [line for line in told if line["event"] in ("class", "segment")] == [happened, kept]


def test_a_dead_server_is_told_of_and_the_run_is_complete(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        words = ("--bundle", tiny_bundle(tmp_path).path, "--event", "green > 1%")
        ran = edgeunet("run", "test://?frames=5", *words, "--event-post", address)
    assert ran.code == 0
    assert "warning: events cannot be posted to" in ran.err
    assert "Connection refused" in ran.err
    assert "warning: 1 messages about events never reached" in ran.err
