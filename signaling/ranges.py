"""Serves stored bytes, whole or the range that a request asks for (RFC 9110 14).

What people uploaded is never run or sniffed by a browser; what cannot go on breaks the connection, so a part never
looks like the whole.
"""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import structlog
from aiohttp import web

from storage.disposition import attachment
from storage.objects import ObjectStoreError

log = structlog.get_logger()

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
    "Cache-Control": "private, max-age=300",
    "Accept-Ranges": "bytes",
}


class Content(NamedTuple):
    content_type: str
    etag: str
    """Without quotation marks; the same bytes have the same for ever."""
    size_bytes: int


def byte_range(request: web.Request, size: int) -> range | None:
    """The one range asked for (RFC 9110 14.2); None: the whole object, also for what is not a single range of bytes.

    Raises HTTPRequestRangeNotSatisfiable.
    """
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked.start is None and asked.stop is None:
        return None
    start, stop, _ = asked.indices(size)
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return range(start, stop)


async def send(
    request: web.Request, content: Content, read: Callable[[range], AsyncIterator[bytes]]
) -> web.StreamResponse:
    """`read`: the pieces of a part; may raise OSError, ObjectStoreError. A query's `filename` makes it an attachment.

    Raises HTTPRequestRangeNotSatisfiable.
    """
    etag = f'"{content.etag}"'
    headers = HEADERS | {"Content-Type": content.content_type, "ETag": etag}
    if filename := request.query.get("filename"):
        headers["Content-Disposition"] = attachment(filename)
    part = None if request.headers.get("If-Range", etag) != etag else byte_range(request, content.size_bytes)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{content.size_bytes}"
    body = part or range(content.size_bytes)
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    sent = 0
    try:
        async for piece in read(body):
            await response.write(piece)
            sent += len(piece)
        if sent != len(body):
            raise OSError(f"{len(body) - sent} bytes are missing")
        await response.write_eof()
    except ConnectionError:
        pass  # who asked is gone
    except (OSError, ObjectStoreError) as error:
        log.warning("body_cut_off", path=request.path, reason=str(error))
        if request.transport is not None:
            request.transport.abort()  # the status is sent: nothing else can say that it went wrong
    return response
