"""Posts events to an HTTP server, in a thread of its own: a slow or dead server holds nobody.

What cannot be posted is tried again with longer and longer waits. Of the events that wait, the
newest hundred are kept.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from edgeunet.errors import UsageError
from edgeunet.media.live.addresses import scrubbed, without_passwords

_MOST_WAITING = 100
_TRIES = 6
_FIRST_WAIT_S = 1.0
_TIMEOUT_S = 10.0
_LAST_CHANCE_S = 5.0
# A server that answers with one of these may take the same event later.
_LATER = (408, 425, 429)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would turn a POST into a GET without the event."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def check_post_address(text: str) -> str:
    """Return an address that events can be posted to, as it is.

    Raises UsageError when it is not http:// or https:// with a host.
    """
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or any(letter.isspace() for letter in text) or not text.isascii():
        raise UsageError(
            f"{without_passwords(text)!r} is no address that events can be posted to",
            hint="write it like http://10.0.0.5:8000/events",
        )
    return text


class EventPoster:
    """Posts JSON documents to one address, in their order.

    address: as ``check_post_address`` returns it. A user and a password in it are sent as HTTP's
        basic authentication.
    on_note: called with a line when posting begins to fail, when it works again, and at the end
        for what was never posted.
    """

    def __init__(self, address: str, on_note: Callable[[str], None]) -> None:
        self._secret = address
        self._shown = without_passwords(address)
        self._address, self._headers = _request_parts(address)
        self._on_note = on_note
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._closing = False
        self._failing = False
        self._lost = 0
        self._thread = threading.Thread(target=self._work, name="edgeunet-events", daemon=True)
        self._thread.start()

    def post(self, document: dict[str, Any]) -> None:
        """Let a document be posted soon. Returns at once."""
        with self._changed:
            if len(self._waiting) == _MOST_WAITING:
                self._waiting.popleft()
                self._lost += 1
            self._waiting.append(json.dumps(document).encode())
            self._changed.notify_all()

    def close(self, timeout_s: float = _LAST_CHANCE_S) -> None:
        """Post what waits, once each and for so long at most, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            lost = self._lost + len(self._waiting)
            self._waiting.clear()
        if lost:
            self._on_note(f"warning: {lost} messages about events never reached {self._shown}")

    def _work(self) -> None:
        tries = 0
        while (body := self._next()) is not None:
            reason, again = self._send(body)
            tries += 1
            self._tell(reason)
            done = reason is None or not again or tries == _TRIES or self._closing
            with self._changed:
                # A newer one may have pushed it out meanwhile; then it was counted as lost.
                in_line = bool(self._waiting) and self._waiting[0] is body
                if done and in_line:
                    self._waiting.popleft()
                    self._lost += reason is not None
                elif not in_line:
                    self._lost -= reason is None
                if done or not in_line:
                    tries = 0
                    continue
                deadline_s = time.monotonic() + _FIRST_WAIT_S * 2 ** (tries - 1)
                self._changed.wait_for(lambda: self._closing, deadline_s - time.monotonic())

    def _next(self) -> bytes | None:
        """Wait for the oldest body that was not posted yet; None at the end. It stays in line."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting[0] if self._waiting else None

    def _send(self, body: bytes) -> tuple[str | None, bool]:
        """Post once. Returns why it failed, or None, and whether trying again may help."""
        request = urllib.request.Request(
            self._address, body, {"Content-Type": "application/json", **self._headers}
        )
        try:
            with _OPENER.open(request, timeout=_TIMEOUT_S):
                return None, False
        except urllib.error.HTTPError as error:
            error.close()
            return f"it answers {error.code} {error.reason}", (
                error.code >= 500 or error.code in _LATER
            )
        except Exception as error:  # whatever a server sends, the stream goes on
            reason = getattr(error, "reason", error)
            return str(getattr(reason, "strerror", None) or reason), True

    def _tell(self, reason: str | None) -> None:
        if reason is not None and not self._failing:
            self._on_note(
                f"warning: events cannot be posted to {self._shown}: "
                f"{scrubbed(reason, self._secret)}"
            )
        elif reason is None and self._failing:
            self._on_note(f"events are posted to {self._shown} again")
        self._failing = reason is not None


def _request_parts(address: str) -> tuple[str, dict[str, str]]:
    """Return an address without user and password, and the headers that stand for them."""
    parts = urlsplit(address)
    who, at, host = parts.netloc.rpartition("@")
    if not at:
        return address, {}
    basic = base64.b64encode(unquote(who).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {basic}"}
