"""The web pages and what they may do.

Guarantees: a page loads scripts and styles from here only and talks to here and the object store only; nothing is
framed, sniffed or told to other sites; files are served from the web folder alone, by kinds that pages need.
"""

import asyncio
import re

from aiohttp import web

from signaling.problems import Problem
from signaling.studio import Studio

PAGES = {
    "/createsession": "createsession.html",
    "/session/{session_id}": "session.html",
    "/session/{session_id}/files": "files.html",
}
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""What is served under /static; nothing else in the folder is."""

_STATIC = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*(\.[a-z]+)")

API_POLICY = "default-src 'none'; frame-ancestors 'none'"


class Pages:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[web.RouteDef]:
        pages = [web.get(path, self._page, name=file.removesuffix(".html")) for path, file in PAGES.items()]
        return [web.get("/", self.home), *pages, web.get("/static/{path:.+}", self.static)]

    async def home(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/createsession"})

    async def static(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        kind = _STATIC.fullmatch(path)
        if kind is None or kind[1] not in CONTENT_TYPES or path.startswith("node_modules/"):
            raise Problem("not_found")
        return await self._file(request, path, CONTENT_TYPES[kind[1]])

    async def _page(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.route.name
        return await self._file(request, f"{name}.html", CONTENT_TYPES[".html"])

    async def _file(self, request: web.Request, path: str, content_type: str) -> web.StreamResponse:
        # A worker is bound by the policy of its own script, so scripts carry that of the pages.
        policy = self.policy(request)
        file = self._studio.web_folder / path
        if not await asyncio.to_thread(file.is_file):
            raise Problem("not_found")
        headers = {"Content-Type": content_type, "Cache-Control": "no-cache", "Content-Security-Policy": policy}
        return web.FileResponse(file, headers=headers)

    async def protect(self, request: web.Request, response: web.StreamResponse) -> None:
        """Set the headers that every answer carries (an `on_response_prepare` signal)."""
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)")
        headers.setdefault("Content-Security-Policy", API_POLICY)

    def policy(self, request: web.Request) -> str:
        host = self._studio.origins.host(request)
        store = self._studio.store.browser_origin
        media = " ".join(filter(None, ("'self'", "blob:", store)))
        connect = " ".join(filter(None, ("'self'", f"ws://{host}", f"wss://{host}", store)))
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data: blob:",
                f"media-src {media}",
                f"connect-src {connect}",
                "worker-src 'self'",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            )
        )
