"""Serves the folder store's signed URLs: `GET /objects/{key}` with ranges, `PUT /objects/{key}`.

Guarantees: nothing happens without a valid signature for this method and key; what people uploaded is never run or
sniffed by a browser; a PUT that is cut off, too slow or of another size than was signed leaves nothing behind; a GET
that cannot go on breaks the connection, so a part never looks like the whole. Disks are read and written in the store's
threads: aiohttp's own FileResponse would read them on the event loop that carries media.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import StreamReader, web

from signaling.problems import Problem
from signaling.ranges import Content, send
from storage.folder import FolderStore
from storage.objects import ObjectNotFound, ObjectStoreError
from storage.signing import UrlRefused

PIECE_BYTES = 256 * 1024
STALLED_S = 30.0
"""A PUT that moves no byte for so long is given up."""


class ObjectsApi:
    def __init__(self, store: FolderStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/objects/{key:.+}", self.get, allow_head=False),
            web.put("/objects/{key:.+}", self.put),
        ]

    async def get(self, request: web.Request) -> web.StreamResponse:
        key = self._allowed(request)
        try:
            info = await self._store.head(key)
        except ObjectNotFound:
            raise Problem("unknown_object") from None
        content = Content(self._store.content_type_of(key), info.etag, info.size_bytes)
        return await send(request, content, lambda part: self._store.get(key, offset=part.start, length=len(part)))

    async def put(self, request: web.Request) -> web.Response:
        key = self._allowed(request)
        size_bytes = int(request.query["size"])  # signed by us
        if request.content_length not in (None, size_bytes):
            raise _wrong_size(size_bytes)
        pieces = _pieces(request.content, size_bytes)
        try:
            stored = await self._store.receive(key, pieces, max_bytes=size_bytes)
        except TimeoutError:
            raise Problem("body_too_slow") from None
        except ConnectionError:
            return web.Response(status=400)  # who sent it is gone and will not read this
        return web.Response(headers={"ETag": f'"{stored.etag}"', "Cache-Control": "no-store"})

    def _allowed(self, request: web.Request) -> str:
        """The key. Raises Problem `url_refused`: a key that cannot be is answered like a wrong signature."""
        key = request.match_info["key"]
        try:
            self._store.verify(request.method, key, request.query, time.time())
        except UrlRefused as error:
            raise Problem("url_refused", error.detail) from None
        except ObjectStoreError:
            raise Problem("url_refused") from None
        return key


async def _pieces(content: StreamReader, size_bytes: int) -> AsyncIterator[bytes]:
    """Exactly so many bytes; raises Problem `wrong_size` otherwise."""
    left = size_bytes
    while True:
        async with asyncio.timeout(STALLED_S):
            piece = await content.read(PIECE_BYTES)
        left -= len(piece)
        if left < 0 or (left and not piece):
            raise _wrong_size(size_bytes)
        if not piece:
            return
        yield piece


def _wrong_size(size_bytes: int) -> Problem:
    return Problem("wrong_size", f"the object was announced with {size_bytes} bytes")
