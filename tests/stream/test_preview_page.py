"""The preview's page in headless Chromium: it moves, and every control does something."""

from __future__ import annotations

import asyncio
import os
import warnings
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from tests.bundle.tiny import tiny_bundle
from tests.stream.chromium_page import CHROMIUM, Page, opened
from tests.stream.test_preview import Running

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt install chromium")

# Draws a stream's newest picture and returns its pixels in short.
PIXELS = """(() => {
  const image = document.querySelector("#pictures img");
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data.join("").slice(0, 40000);
})()"""
FRAMES = "Number(document.querySelectorAll('#figures b')[1]?.textContent)"
PRESS = "document.querySelector('button[data-mode={mode}]').click()"


async def look_at(address: str, folder: Path) -> None:
    async with opened(address, folder / "profile") as page:
        await page.until("document.querySelectorAll('#pictures img').length === 3")
        await page.until("document.querySelector('#pictures img').naturalWidth === 64")
        await page.until("document.getElementById('state').textContent === 'running'")
        before = await page.value(PIXELS)
        await page.until(f"({PIXELS}) !== {before!r}")
        frames = await page.value(FRAMES)
        await page.until(f"{FRAMES} > {frames}")
        assert await page.value("document.querySelectorAll('#legend li').length") == 3
        await check_wipe(page)
        await page.value(PRESS.format(mode="all"))
        status = "fetch(document.querySelector('footer a').href).then((answer) => answer.status)"
        assert await page.value(status) == 200
        for width, height in ((1440, 900), (390, 844)):
            for dark in (False, True):
                name = f"{width}-{'dark' if dark else 'light'}.png"
                await page.look(folder / name, width, height, dark=dark)
                wide = "document.documentElement.scrollWidth <= window.innerWidth"
                assert await page.value(wide), name
        assert page.errors == []


async def check_wipe(page: Page) -> None:
    await page.value(PRESS.format(mode="wipe"))
    await page.until("document.querySelectorAll('#pictures img').length === 2")
    clip = "document.querySelector('#pictures figure:last-child').style.clipPath"
    assert await page.value(clip) == "inset(0px 50% 0px 0px)"
    await page.value(
        "(() => { const wipe = document.getElementById('wipe'); wipe.value = 20;"
        " wipe.dispatchEvent(new Event('input')); })()"
    )
    assert await page.value(clip) == "inset(0px 80% 0px 0px)"


def test_the_page_moves_and_obeys(tmp_path: Path) -> None:
    folder = Path(os.environ.get("EDGEUNET_SCREENSHOTS", tmp_path))
    (folder / "profile").mkdir(parents=True, exist_ok=True)
    running = Running(tiny_bundle(tmp_path).path, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            asyncio.run(look_at(f"http://127.0.0.1:{running.port}/", folder))
    finally:
        running.end()
