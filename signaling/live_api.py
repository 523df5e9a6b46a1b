"""Plays what is still recorded: signed URLs of what is finished of a running segment, and `GET /live/...` with ranges.

A URL names one snapshot (`recorder.live_index`) by its size: what it gives is one whole file that never changes, so
players and downloads may ask for ranges of it. A later URL gives a longer one. It is good as long as an object's URL,
and for what the recorder has on this machine's disk; when the file has gone to the object store it gives 404, and the
recording's view has the object's URL. Disks are read in threads: the event loop carries media.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from recorder.live_files import LiveBody, LiveFiles, LiveSegment
from recorder.live_index import NoSuchSnapshot
from recorder.off_record import concerning
from signaling.problems import Problem
from signaling.ranges import Content, send
from storage.catalog import Catalog
from storage.signing import UrlRefused, UrlSigner, derived_secret

log = structlog.get_logger()

PATH = "/live"
PURPOSE = "live files"
PIECE_BYTES = 256 * 1024


class LiveDesk:
    """Says what there is of a recording, with URLs."""

    def __init__(self, files: LiveFiles, secret: bytes) -> None:
        """`secret`: of the studio's signed URLs."""
        self._files = files
        self._signer = UrlSigner(derived_secret(secret, PURPOSE), path=PATH)

    async def segments(self, recording_id: str) -> list[LiveSegment]:
        """In the order of time; none if the disk fails, which others tell."""
        try:
            return await asyncio.to_thread(self._files.of, recording_id)
        except OSError as error:
            log.warning("live_files_unreadable", recording_id=recording_id, reason=str(error))
            return []

    def url(self, recording_id: str, segment: LiveSegment, *, expires_s: int, filename: str = "") -> str | None:
        """Of its snapshot, if there is one; `filename`: served as an attachment of that name, else inline."""
        if segment.snapshot is None:
            return None
        return self._signer.sign(
            "GET",
            f"{recording_id}/{segment.segment_id}",
            expires=int(time.time()) + expires_s,
            size_bytes=segment.snapshot.size_bytes,
            filename=filename,
        )

    async def open(self, request: web.Request) -> tuple[LiveBody, str]:
        """What a signed URL names, and its ETag. Raises Problem."""
        recording_id, segment_id = request.match_info["recording_id"], request.match_info["segment_id"]
        try:
            self._signer.verify(request.method, f"{recording_id}/{segment_id}", request.query, time.time())
        except UrlRefused as error:
            raise Problem("url_refused", error.detail) from None
        size_bytes = int(request.query["size"])  # signed by us, as are the ids
        try:
            body = await asyncio.to_thread(self._files.open, recording_id, segment_id, size_bytes)
        except (NoSuchSnapshot, OSError):
            raise Problem("unknown_object") from None
        return body, f"{segment_id}-{size_bytes:x}"


class LiveApi:
    def __init__(self, desk: LiveDesk, catalog: Catalog) -> None:
        self._desk = desk
        self._catalog = catalog

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH + "/{recording_id}/{segment_id}", self.get, allow_head=False)]

    async def get(self, request: web.Request) -> web.StreamResponse:
        file, etag = await self._desk.open(request)
        try:
            if await self._is_held_back(**request.match_info):
                raise Problem("unknown_object")
            content = Content(file.content_type, etag, file.size_bytes)
            return await send(request, content, lambda part: _pieces(file, part))
        finally:
            await asyncio.to_thread(file.close)

    async def _is_held_back(self, recording_id: str, segment_id: str) -> bool:
        """Something in it was taken off the record after its URL was given out."""
        ranges = await self._catalog.off_record(recording_id)
        if not ranges:
            return False
        opened_ns = {one.segment_id: one.opened_ns for one in await self._desk.segments(recording_id)}
        return bool(concerning(ranges, opened_ns.get(segment_id, 0), 0, None))


async def _pieces(file: LiveBody, part: range) -> AsyncIterator[bytes]:
    """Fewer bytes if the file was cut off. Raises OSError."""
    at = part.start
    while at < part.stop and (piece := await asyncio.to_thread(file.read, at, min(PIECE_BYTES, part.stop - at))):
        yield piece
        at += len(piece)
