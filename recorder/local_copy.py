"""A browser's local copy: its verified chunks joined, remuxed, stored; then the chunk objects are deleted.

Chunks, also those that were sent and never verified, are deleted only when the row of the whole file says `stored`.
A copy that cannot be made into a file keeps its chunks and is `failed` with the reason.
"""

from concurrent.futures import Executor
from pathlib import Path

import av
import structlog

from recorder.delivery import Delivery, persistently
from recorder.events import TakeOpened
from recorder.manifest import Segment, chunks_prefix
from recorder.recording_state import Capture
from recorder.remux import WEBM_CODECS, remux, stream_codecs
from recorder.track_task import in_thread
from storage.objects import ObjectNotFound

log = structlog.get_logger()


class LocalCopy:
    """One finished capture of one recording."""

    def __init__(self, capture: Capture, take: TakeOpened, folder: Path, delivery: Delivery, threads: Executor) -> None:
        self._capture = capture
        self._take = take
        self._folder = folder
        self._delivery = delivery
        self._threads = threads

    async def run(self, session_id: str, recording_id: str) -> Segment:
        """Returns the segment, `stored` or `failed`."""
        opened = self._capture.opened
        segment = Segment(
            segment_id=opened.segment_id,
            copy="local",
            state="finishing",
            content_type=opened.content_type,
            start_ns=opened.start_ns,
            start_bound_ns=opened.bound_ns,
        )
        if not await self._was_stored(segment):
            joined = self._folder / f"{opened.segment_id}.joined"
            problem = await self._join(joined)
            file = None if problem else await self._file_of(joined, segment)
            joined.unlink(missing_ok=True)
            if file is None:
                segment.state = "failed"
                segment.problem = problem or segment.problem
                log.error("local_copy_failed", segment_id=segment.segment_id, problem=segment.problem)
                await self._delivery.write_row(segment, self._take, recording_id)
                return segment
            await self._delivery.deliver(segment, file, self._take, session_id, recording_id)
            file.unlink(missing_ok=True)
        await self._delivery.forget_all(chunks_prefix(session_id, recording_id, opened.segment_id))
        return segment

    async def _was_stored(self, segment: Segment) -> bool:
        """An earlier process may have got that far; its chunks may be gone."""
        row = await self._delivery.stored_row(segment.segment_id)
        if row is None:
            return False
        segment.state = row.state
        segment.codec, segment.content_type = row.codec, row.content_type
        segment.object_key, segment.file_name = row.object_key, row.object_key.rpartition("/")[2]
        segment.size_bytes, segment.sha256 = row.size_bytes, row.sha256
        segment.duration_ns = row.duration_ns
        return True

    async def _join(self, joined: Path) -> str:
        """The chunks, one behind the other; returns a problem."""
        if not self._capture.finished_chunks:
            return "nothing was captured"
        if missing := self._capture.missing():
            return f"{len(missing)} chunks are missing, the first is {missing[0]}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        joined.unlink(missing_ok=True)
        for index in range(self._capture.finished_chunks):
            chunk = self._capture.chunks[index]
            try:
                await self._delivery.fetch(chunk.object_key, chunk.size_bytes, chunk.sha256, joined)
            except ObjectNotFound:
                return f"chunk {index} is gone from the object store"
        return ""

    async def _file_of(self, joined: Path, segment: Segment) -> Path | None:
        """None: the chunks are at fault. A disk that fails is waited for."""
        return await persistently(
            "local_copy_file", lambda: self._remux(joined, segment), segment_id=segment.segment_id
        )

    async def _remux(self, joined: Path, segment: Segment) -> Path | None:
        try:
            codecs = await in_thread(self._threads, stream_codecs, joined)
            webm = bool(codecs) and WEBM_CODECS.issuperset(codecs)
            path = self._folder / f"{segment.segment_id}.{'webm' if webm else 'mkv'}"
            made = await in_thread(self._threads, remux, joined, path, "webm" if webm else "matroska")
        except OSError:  # PyAV's errors of the disk are FFmpegError too
            raise
        except (av.FFmpegError, ValueError) as error:
            segment.problem = f"the chunks are no media file: {error}"[:500]
            return None
        segment.codec = ",".join(made.codecs)
        kind = "video" if made.has_video else "audio"
        segment.content_type = f"{kind}/{'webm' if webm else 'x-matroska'}"
        segment.duration_ns = made.duration_ns
        return path
