"""A page in headless Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


class Page:
    """One tab. Errors of its console are kept in ``errors``."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            answer = await self._socket.receive_json(timeout=60)
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.errors.append(str(answer["params"]))
            if answer.get("id") == number:
                return dict(answer.get("result", {}))

    async def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is waited for."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        return answer["result"].get("value")

    async def until(self, expression: str, timeout_s: float = 40) -> None:
        """Wait until an expression is true."""
        for _ in range(int(timeout_s / 0.2)):
            if await self.value(expression):
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"never true: {expression}; {self.errors}")

    async def look(self, path: Path, width: int, height: int, *, dark: bool) -> None:
        """Write a screenshot as PNG."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await asyncio.sleep(1.5)
        answer = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))


@contextlib.asynccontextmanager
async def opened(address: str, profile: Path) -> AsyncIterator[Page]:
    """Open an address. profile: an empty folder for the browser."""
    process = subprocess.Popen(
        [
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stderr is not None
        match = None
        while match is None:
            line = process.stderr.readline()
            assert line, "Chromium ended"
            match = re.search(r"ws://(\S+?)/devtools", line)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{match.group(1)}/json") as answer:
                tab = next(one for one in await answer.json() if one["type"] == "page")
            async with session.ws_connect(
                tab["webSocketDebuggerUrl"], max_msg_size=2**26
            ) as socket:
                page = Page(socket)
                await page.call("Log.enable")
                await page.call("Runtime.enable")
                await page.call("Page.enable")
                await page.call("Page.navigate", url=address)
                yield page
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
