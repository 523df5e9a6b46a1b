"""The Range of a request (RFC 9110 14)."""

from aiohttp import web


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
