"""Eyevinn's WHIP client and WHEP player in a page of another site, which knows nothing of the studio but a URL.

`make` installs them into tests/whip/node_modules; without npm the tests that need them are left out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parents[1] / "whip"
INSTALLED = FOLDER / "node_modules" / ".installed"
PION = FOLDER / "pion" / "pion"
"""The program of tests/whip/pion, built."""
PAGE = '<!doctype html><title>Elsewhere</title><video autoplay></video><script src="/clients.js"></script>'


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[str]:
    """The page's URL; its scripts are bundled into `folder`."""
    bundle = folder / "clients.js"
    esbuild = await asyncio.create_subprocess_exec(
        *(FOLDER / "node_modules/.bin/esbuild", FOLDER / "clients.js", "--bundle", f"--outfile={bundle}"),
        "--log-level=warning",
    )
    assert await esbuild.wait() == 0

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def script(_: web.Request) -> web.Response:
        return web.Response(body=bundle.read_bytes(), content_type="text/javascript")

    application = web.Application()
    application.add_routes([web.get("/", page), web.get("/clients.js", script)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
