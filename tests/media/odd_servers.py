"""Servers on loopback that answer, or do not, as broken cameras do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

import cv2

from tests.media.clips import picture

Answer = Callable[[bytes], bytes | None]
_WHOLE_PICTURES = 6
_MJPEG = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=edge\r\n\r\n"
_NONCE = "0f2a"


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """Serve on a port, which is given, until the end of the ``with`` block.

    answer: gets a request; its bytes are sent and the connection is closed. None never answers.
    """
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while request := connection.recv(4096):
                reply = answer(request)
                if reply is None:
                    over.wait(30)
                    return
                connection.sendall(reply)
                if not reply.startswith(b"RTSP"):
                    return

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()
            # Closing alone does not wake a thread that accepts.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def silence(request: bytes) -> None:
    """Take a request and never answer."""


def cut_pictures(request: bytes) -> bytes:
    """Answer with Motion JPEG whose last picture is cut in half."""
    coded = [
        cv2.imencode(".jpg", picture(index, 48, 64))[1].tobytes()
        for index in range(_WHOLE_PICTURES + 1)
    ]
    parts = [
        b"--edge\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(one), one)
        for one in coded
    ]
    return _MJPEG + b"".join(parts[:-1]) + parts[-1][: len(parts[-1]) // 2]


def with_digest(user: str, password: str) -> Answer:
    """Return an answer that gives pictures only to who knows the password, by RFC 2617's digest."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    def answer(request: bytes) -> bytes:
        text = request.decode("latin-1")
        method, path = text.split(" ")[:2]
        given = dict(
            re.findall(r'(\w+)="?([^",\r]+)"?', text.partition("Authorization: Digest")[2])
        )
        right = f"{md5(f'{user}:cam:{password}')}:{_NONCE}:{md5(f'{method}:{path}')}"
        if "qop" in given:
            middle = f"{_NONCE}:{given['nc']}:{given['cnonce']}:{given['qop']}"
            right = right.replace(_NONCE, middle, 1)
        if given.get("username") == user and given.get("response") == md5(right):
            return cut_pictures(request)
        basic = base64.b64encode(f"{user}:{password}".encode())
        assert basic not in request, "the password was sent in the clear"
        wanted = f'WWW-Authenticate: Digest realm="cam", nonce="{_NONCE}"'
        head = f"HTTP/1.0 401 Unauthorized\r\n{wanted}\r\nContent-Length: 0\r\n\r\n"
        return head.encode()

    return answer
