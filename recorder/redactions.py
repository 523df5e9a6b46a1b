"""Which files of a recording have one without what is off the record, and which still need it; remembered durably.

Decided from the events alone, again and again: a range that was marked or put back while a file was being made only
makes another one necessary.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import msgspec
import structlog

from recorder.delivery import Delivery
from recorder.events import OffRecordMarked
from recorder.manifest import Redacted, Segment, without_whole_file
from recorder.memo import decode_redacted
from recorder.off_record import concerning
from recorder.recording_state import RecordingState
from recorder.redact_task import RedactTask

log = structlog.get_logger()


class Redactions:
    """Of one recording."""

    def __init__(self, work: Path, delivery: Delivery, threads: Executor, write: Callable[[str, bytes], None]) -> None:
        """`write`: keep a file of that name in the folder `work`, durably."""
        self._work = work
        self._delivery = delivery
        self._threads = threads
        self._write = write
        self._redacted: dict[str, Redacted] = {}
        """By segment id."""

    def recall(self, segment_id: str, memo: bytes) -> None:
        """What an earlier process made. What cannot be read is made again."""
        try:
            self._redacted[segment_id] = decode_redacted(memo)
        except msgspec.MsgspecError as error:
            log.warning("memo_unreadable", segment_id=segment_id, reason=str(error))

    def is_due(self, segment: Segment, state: RecordingState) -> bool:
        """Other ranges concern the file than those that were left out."""
        known = self._redacted.get(segment.segment_id)
        return [one.off_record_id for one in _ranges(segment, state)] != (known.off_record if known else [])

    async def bring_up_to_date(self, segment: Segment, state: RecordingState, memo: str) -> None:
        """Make the file, or delete it when nothing is off the record in it any more. `memo`: what remembers it."""
        task = RedactTask(segment, self._work, self._delivery, self._threads)
        if ranges := _ranges(segment, state):
            redacted = await task.run(ranges, state.session_id, state.recording_id)
            self._redacted[segment.segment_id] = redacted
            if not redacted.problem:  # what failed is tried again by the next process
                self._write(memo, msgspec.json.encode(redacted))
        else:
            await task.put_back(state.session_id, state.recording_id)
            self._redacted.pop(segment.segment_id, None)
            (self._work / memo).unlink(missing_ok=True)

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
