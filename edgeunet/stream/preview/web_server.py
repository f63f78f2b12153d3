"""Serves the page by aiohttp, in a thread of its own. Only this file imports aiohttp.

A viewer that reads slowly waits in its own coroutine and gets the newest picture when it is ready
again, so it delays nobody. There is nothing that a request can change.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeunet.errors import MissingPackageError, SinkError
from edgeunet.stream.preview.pictures import PictureSink
from edgeunet.stream.preview.preview_options import PreviewOptions
from edgeunet.stream.run_summary import RunStatus
from edgeunet.stream.service.notifications import failed_recordings, is_flowing
from edgeunet.stream.status_document import status_document

if TYPE_CHECKING:
    from edgeunet.stream.service.metrics_page import MetricsPage

try:
    from aiohttp import web
except ImportError as missing:
    raise MissingPackageError("aiohttp", purpose="a preview", extra="preview") from missing

_FILES = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_COOKIE = "edgeunet_token"
_MOST_VIEWERS = 32
_STARTING_S = 10.0
_SLOWEST_WRITE_S = 30.0
_SNAPSHOT_S = 5.0
_FRESH_S = 10.0
_BOUNDARY = "edgeunetframe"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PreviewServer:
    """A running page.

    pictures: what it shows.
    about: facts of the run that do not change, as JSON.
    """

    def __init__(
        self, options: PreviewOptions, pictures: PictureSink, about: dict[str, Any]
    ) -> None:
        self._options = options
        self._pictures = pictures
        self._about = {**about, "views": pictures.views, "legend": pictures.legend}
        self._figures: dict[str, Any] | None = None
        self._status: RunStatus | None = None
        self._metrics: MetricsPage | None = None
        if options.metrics:
            from edgeunet.stream.service.metrics_page import MetricsPage

            self._metrics = MetricsPage()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._viewers = 0
        self.port = options.port
        # Requests that are no HTTP are answered with 400; a line of each on stderr helps nobody.
        logging.getLogger("aiohttp").setLevel(logging.CRITICAL + 1)
        self._thread = threading.Thread(target=self._work, name="edgeunet-preview", daemon=True)
        self._thread.start()
        self._ready.wait(_STARTING_S)
        if self._failure is not None:
            raise SinkError(
                f"the preview cannot be served at {options.authority}: {self._failure.strerror}",
                hint="name another address with --preview-at",
            )
        pictures.on_new = self._tell_viewers

    @property
    def address(self) -> str:
        """The page's address, without the token."""
        host = self._options.authority.rpartition(":")[0]
        return f"http://{host}:{self.port}/"

    def show_status(self, status: RunStatus) -> None:
        """Send new figures to every viewer."""
        self._status = status
        self._figures = status_document(status)
        if self._metrics is not None:
            self._metrics.show(status)
        self._tell_viewers()

    def close(self) -> None:
        """End every connection and the thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STARTING_S)

    def _tell_viewers(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._notify()))

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        app.router.add_get("/", self._file)
        app.router.add_get("/{name:page\\.(?:js|css)}", self._file)
        app.router.add_get("/about", self._tell_about)
        app.router.add_get("/healthz", self._tell_health)
        if self._metrics is not None:
            app.router.add_get("/metrics", self._tell_metrics)
        app.router.add_get("/figures", self._stream_figures)
        app.router.add_get("/video/{kind}", self._stream_pictures)
        app.router.add_get("/snapshot/{kind}", self._snapshot)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._options.host, self._options.port)
            await site.start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            await self._stop.wait()
            await self._notify()
        except OSError as error:
            self._failure = error
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let only those in who know the token, and no page of another site."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _refusal(self, request: web.Request) -> web.StreamResponse | None:
        token = self._options.token
        if request.path == "/healthz":  # what asks whether this machine works has no token
            return None
        if token is None:
            # A page of another site could otherwise read ours through a name that it points here.
            host = request.host.rpartition(":")[0] or request.host
            known = ("localhost", "127.0.0.1", "[::1]", self._options.host)
            return None if host in known else _text(403, "this page is for this machine only")
        given = request.query.get("token")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        offered = given or bearer or request.cookies.get(_COOKIE, "")
        # Who types an address writes a + as it is, and there it stands for a blank.
        same = hmac.compare_digest(
            offered.replace("+", " ").encode("utf-8", "replace"), token.replace("+", " ").encode()
        )
        if not same:
            return _text(401, "this page needs its token: /?token=...")
        if given and request.path == "/":
            # So that the token stays in no history and no picture of the screen.
            response = web.Response(status=302, headers={"Location": "/", **_HEADERS})
            response.set_cookie(_COOKIE, token, httponly=True, samesite="Strict")
            return response
        return None

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = _FILES / request.match_info.get("name", "page.html")
        return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix])

    async def _tell_about(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._about)

    async def _tell_health(self, request: web.Request) -> web.StreamResponse:
        status = self._status
        if status is None or not is_flowing(status, _FRESH_S):
            failed = [] if status is None else failed_recordings(status)
            return _text(503, f"{failed[0].name} has ended" if failed else "no fresh frame")
        return _text(200, "ok")

    async def _tell_metrics(self, request: web.Request) -> web.StreamResponse:
        if self._metrics is None:
            raise web.HTTPNotFound
        headers = {"Content-Type": self._metrics.content_type}
        return web.Response(body=self._metrics.text(), headers=headers)

    async def _stream_pictures(self, request: web.Request) -> web.StreamResponse:
        kind = f"{request.match_info['kind']}.jpg"
        if not self._pictures.has(kind):
            raise web.HTTPNotFound
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = f"multipart/x-mixed-replace;boundary={_BOUNDARY}"
        with self._viewer():
            await response.prepare(request)
            seen = self._pictures.watch(kind)
            try:
                while (picture := await self._newer(kind, seen)) is not None:
                    seen, data = picture
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                    head += f"Content-Length: {len(data)}\r\n\r\n"
                    part = head.encode() + data + b"\r\n"
                    await asyncio.wait_for(response.write(part), _SLOWEST_WRITE_S)
            except (asyncio.TimeoutError, ConnectionError):
                pass
            finally:
                self._pictures.leave(kind)
        return response

    async def _snapshot(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if not self._pictures.has(kind):
            raise web.HTTPNotFound
        seen = self._pictures.watch(kind)
        try:
            picture = await asyncio.wait_for(self._newer(kind, seen), _SNAPSHOT_S)
        except asyncio.TimeoutError:
            picture = None
        finally:
            self._pictures.leave(kind)
        if picture is None:
            return _text(503, "no frame came")
        suffix = "jpeg" if kind.endswith(".jpg") else "png"
        return web.Response(body=picture[1], content_type=f"image/{suffix}")

    async def _newer(self, kind: str, seen: int) -> tuple[int, bytes] | None:
        """Wait for a picture after number ``seen``; None once the page ends."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._pictures.newest(kind)[0] > seen or self._stop.is_set()
            )
        return None if self._stop.is_set() else self._pictures.newest(kind)

    async def _stream_figures(self, request: web.Request) -> web.StreamResponse:
        if not self._same_site(request):
            return _text(403, "figures are for this page only")
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=1024)
        with self._viewer():
            await socket.prepare(request)
            reader = asyncio.ensure_future(self._read_until_closed(socket))
            sent = None
            try:
                while not self._stop.is_set() and not reader.done():
                    if self._figures is not None and self._figures is not sent:
                        sent = self._figures
                        text = json.dumps(sent)
                        await asyncio.wait_for(socket.send_str(text), _SLOWEST_WRITE_S)
                    async with self._changed:
                        with contextlib.suppress(asyncio.TimeoutError):
                            await asyncio.wait_for(self._changed.wait(), 1.0)
            except (asyncio.TimeoutError, ConnectionError):
                pass
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                    await asyncio.wait_for(socket.close(), 1.0)
        return socket

    async def _read_until_closed(self, socket: web.WebSocketResponse) -> None:
        """Read and ignore what a viewer sends, so that its goodbye is noticed."""
        async for _ in socket:
            continue

    @contextlib.contextmanager
    def _viewer(self) -> Any:
        """Count a viewer. Raises 503 when there are too many."""
        if self._viewers >= _MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text="too many viewers")
        self._viewers += 1
        try:
            yield
        finally:
            self._viewers -= 1

    def _same_site(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        return origin is None or origin.partition("://")[2] == request.host


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=_HEADERS)
