"""What goes for good with a range off the record: whole files, journals, chunks, parts, and what is left on the way.

Everything is deleted again by a later process until it is remembered that it is gone, so it may be killed at any time.
A file without the range is read back and compared before the whole one goes.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

import structlog
from msgspec.structs import replace

from recorder.delivery import Delivery, persistently
from recorder.journal import SUFFIX
from recorder.manifest import Redacted, Segment
from recorder.off_record import Range, concerns
from recorder.report import Intervals, SegmentFigures
from recorder.track_task import in_thread
from storage.files import fsync_folder

log = structlog.get_logger()

MEMO_SUFFIX = ".json"
UPLOAD_SUFFIX = ".upload.json"


class PurgeTask:
    """Of one segment of one recording."""

    def __init__(self, spool: Path, work: Path, delivery: Delivery, threads: Executor) -> None:
        """`spool`, `work`: the recording's own folders."""
        self._spool = spool
        self._work = work
        self._delivery = delivery
        self._threads = threads

    async def run(self, segment_id: str, redacted: Redacted | None, session_id: str, recording_id: str) -> None:
        """Raises ObjectNotFound, with nothing deleted, when the file without the range is not in the store.

        `redacted`: what stays of the segment; None: nothing.
        """
        kept = redacted.object_key if redacted is not None else ""
        if redacted is not None and kept:
            size_bytes, sha256 = redacted.size_bytes, redacted.sha256
            await persistently("redacted_verify", lambda: self._delivery.verify(kept, size_bytes, sha256))
        await self._delivery.forget_segment(session_id, recording_id, segment_id, kept)
        await in_thread(self._threads, self._delete_files, segment_id)
        if redacted is not None:
            await self._delivery.write_redaction(segment_id, replace(redacted, whole_gone=True))
        log.info("segment_purged", recording_id=recording_id, segment_id=segment_id)

    def _delete_files(self, segment_id: str) -> None:
        for path in self._spool.glob(f"{segment_id}-*{SUFFIX}"):
            path.unlink(missing_ok=True)
        for path in self._work.glob(f"{segment_id}.*"):
            if path.suffix != MEMO_SUFFIX or path.name.endswith(UPLOAD_SUFFIX):
                path.unlink(missing_ok=True)
        for folder in (self._spool, self._work):
            if folder.is_dir():
                fsync_folder(folder)


def without_ranges(figures: SegmentFigures, segment: Segment, ranges: Iterable[Range]) -> SegmentFigures:
    """What the report says of a file, without what tells when something was heard or seen in the ranges."""
    marked = list(ranges)

    def is_gone(begin_ms: float, duration_ms: float) -> bool:
        begin_ns = segment.start_ns + round(begin_ms * 1e6)
        return any(concerns(one, begin_ns, segment.start_bound_ns, round(duration_ms * 1e6)) for one in marked)

    def left(intervals: Intervals) -> Intervals:
        stay = [one for one in intervals.listed if not is_gone(one.file_ms, one.duration_ms)]
        return replace(intervals, listed=stay)

    audio, video = figures.audio, figures.video
    if audio is not None:
        audio = replace(audio, clipped=left(audio.clipped), silence=left(audio.silence))
    if video is not None:
        black_ms = [at_ms for at_ms in video.black_ms if not is_gone(at_ms, 0)]
        sizes = [size for size in video.sizes if not is_gone(size.file_ms, 0)]
        video = replace(video, freezes=left(video.freezes), black_ms=black_ms, sizes=sizes)
    return replace(figures, audio=audio, video=video)
