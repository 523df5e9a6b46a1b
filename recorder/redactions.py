"""Which files of a recording have one without what is off the record, and which still need it; remembered durably.

Decided from the events alone, again and again: a range that was marked or put back while a file was being made only
makes another one necessary.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import msgspec
import structlog
from msgspec.structs import replace

from recorder.delivery import Delivery
from recorder.events import OffRecordMarked
from recorder.manifest import Redacted, Segment, without_whole_file
from recorder.memo import decode_redacted
from recorder.off_record import concerning
from recorder.purge import PurgeTask, without_ranges
from recorder.recording_state import RecordingState
from recorder.redact_task import RedactTask
from recorder.report import SegmentFigures

log = structlog.get_logger()


class Redactions:
    """Of one recording."""

    def __init__(self, work: Path, delivery: Delivery, threads: Executor, write: Callable[[str, bytes], bool]) -> None:
        """`write`: keep a file of that name in the folder `work`; whether it is durable already."""
        self._work = work
        self._delivery = delivery
        self._threads = threads
        self._write = write
        self._redacted: dict[str, Redacted] = {}
        """By segment id."""
        self._emptied: set[str] = set()
        """Segments of which nothing was to stay and nothing is left."""

    def recall(self, segment_id: str, memo: bytes) -> None:
        """What an earlier process made. What cannot be read is made again."""
        try:
            self._redacted[segment_id] = decode_redacted(memo)
        except msgspec.MsgspecError as error:
            log.warning("memo_unreadable", segment_id=segment_id, reason=str(error))

    def is_due(self, segment: Segment, state: RecordingState) -> bool:
        """Other ranges concern the file than those that were left out; what is gone for good may be more of them."""
        known = self._redacted.get(segment.segment_id)
        wanted = {one.off_record_id for one in _ranges(segment, state)}
        left_out = set(known.off_record) if known is not None else set()
        return not wanted <= left_out if known is not None and known.whole_gone else wanted != left_out

    async def bring_up_to_date(self, segment: Segment, state: RecordingState, memo: str) -> None:
        """Make the file, or delete it when nothing is off the record in it any more. `memo`: what remembers it."""
        task = RedactTask(segment, self._work, self._delivery, self._threads)
        ids = (state.session_id, state.recording_id)
        known = self._redacted.get(segment.segment_id)
        if ranges := _ranges(segment, state):
            redacted = await task.run(ranges, known if known is not None and known.whole_gone else None, *ids)
            self._redacted[segment.segment_id] = redacted
            # What failed is tried again by the next process.
            if not redacted.problem and self._write(memo, msgspec.json.encode(redacted)):
                await task.forget_others(*ids, redacted.object_key)
            log.info(
                "segment_redacted",
                recording_id=state.recording_id,
                segment_id=segment.segment_id,
                off_record=redacted.off_record,
                problem=redacted.problem,
            )
        else:
            await task.put_back(*ids)
            self._redacted.pop(segment.segment_id, None)
            (self._work / memo).unlink(missing_ok=True)

    def is_purge_due(self, segment: Segment, state: RecordingState) -> bool:
        """Something in it is to go for good, and all that is needed for that is there."""
        purged = [marked for id, marked in state.off_record.items() if id in state.purged]
        if segment.state != "stored":
            # Of a server's file that could not be made it is not known where it would have begun.
            anywhere = segment.state == "failed" and segment.copy == "server"
            concerned = anywhere or concerning(purged, segment.start_ns, segment.start_bound_ns, None)
            return bool(purged and concerned) and segment.segment_id not in self._emptied
        known = self._redacted.get(segment.segment_id)
        if known is None or known.problem or known.whole_gone or self.is_due(segment, state):
            return False
        return not state.purged.keys().isdisjoint(known.off_record)

    async def purge(self, segment: Segment, state: RecordingState, spool: Path, memo: str) -> None:
        """Delete all but the file without what is off the record. `memo`: what remembers that."""
        id = segment.segment_id
        redacted = self._redacted[id] if segment.state == "stored" else None
        task = PurgeTask(spool, self._work, self._delivery, self._threads)
        await task.run(id, redacted, state.session_id, state.recording_id)
        if redacted is None:
            self._emptied.add(id)
        else:
            self._redacted[id] = replace(redacted, whole_gone=True)
            self._write(memo, msgspec.json.encode(self._redacted[id]))

    def without_ranges(self, figures: SegmentFigures, segment: Segment, state: RecordingState) -> SegmentFigures:
        """What the report says of a file once it is purged."""
        return without_ranges(figures, segment, _ranges(segment, state))

    def shown(self, segment: Segment, state: RecordingState) -> Segment:
        """As the manifest has it."""
        if not _ranges(segment, state):
            return segment
        return without_whole_file(
            segment, None if self.is_due(segment, state) else self._redacted.get(segment.segment_id)
        )


def _ranges(segment: Segment, state: RecordingState) -> list[OffRecordMarked]:
    """Those that concern a file, by id."""
    if segment.state != "stored":
        return []
    marked = sorted(state.off_record.values(), key=lambda one: one.off_record_id)
    return concerning(marked, segment.start_ns, segment.start_bound_ns, segment.duration_ns)
