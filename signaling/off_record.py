"""What hosts take off the record: ranges of a recording that nobody may have.

Guarantees: from the moment that the row is there no file that the range concerns is given out, whatever happens then;
the range is confirmed when the journal says it durably too, for the recorder. Who marked it is kept. Everything may be
repeated: the same range again is the same mark.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

import structlog

from recorder.events import OffRecordMarked, OffRecordUnmarked
from recorder.off_record import concerning
from signaling import rest
from signaling.clock import NS_PER_MS, NS_PER_S, Clock, SessionClock
from signaling.problems import Problem
from signaling.recording_log import durable
from signaling.recordings import RecordingDesk
from storage.catalog import Catalog
from storage.ids import new_id
from storage.models import OffRecord, Participant, Recording, Redaction, Segment, Session

log = structlog.get_logger()

MAX_RANGES = 100
"""Of one recording at a time."""


class OffRecordDesk:
    def __init__(self, catalog: Catalog, recordings: RecordingDesk, clock: Clock, counters: Counter[str]) -> None:
        self._catalog = catalog
        self._recordings = recordings
        self._clock = clock
        self._counters = counters

    async def mark(
        self, session: Session, recording: Recording, by: Participant | None, wish: rest.MarkOffRecord
    ) -> OffRecord:
        """Raises Problem `bad_request`, `off_record_outside`, `journals_gone` or `too_many_off_record`."""
        now_ns = SessionClock(session, self._clock).now_ns()
        start_ns, stop_ns = _range(wish, recording, now_ns)
        await self._require_journals(recording)
        row = OffRecord(
            id=new_id("off"),
            recording_id=recording.id,
            start_ns=start_ns,
            stop_ns=stop_ns,
            marked_by=by.id if by is not None else None,
            marked_ns=now_ns,
        )
        kept = await self._catalog.add_off_record(row, MAX_RANGES)
        if kept is None:
            raise Problem("too_many_off_record")
        await self._write(
            session,
            recording,
            OffRecordMarked(
                off_record_id=kept.id,
                start_ns=kept.start_ns,
                stop_ns=kept.stop_ns,
                marked_by=kept.marked_by or "",
                marked_ns=kept.marked_ns,
            ),
        )
        if kept.id == row.id:
            self._counters["off_record_marked"] += 1
            log.info("off_record_marked", recording_id=recording.id, off_record_id=row.id, marked_by=row.marked_by)
        return kept

    async def unmark(self, session: Session, recording: Recording, id: str) -> None:
        """Raises Problem `unknown_off_record` or `journals_gone`."""
        if all(row.id != id for row in await self.ranges(recording)):
            raise Problem("unknown_off_record")
        await self._require_journals(recording)
        unmarked = OffRecordUnmarked(off_record_id=id, at_ns=SessionClock(session, self._clock).now_ns())
        await self._write(session, recording, unmarked)
        await self._catalog.delete_off_record(id)
        log.info("off_record_unmarked", recording_id=recording.id, off_record_id=id)

    async def ranges(self, recording: Recording) -> list[OffRecord]:
        """In the order of time."""
        return list(await self._catalog.off_record(recording.id))

    async def _require_journals(self, recording: Recording) -> None:
        """A manifest that is made from new journals alone would replace the one that was made from all."""
        if recording.stopped_ns is not None and not await self._recordings.has_journals(recording.id):
            raise Problem("journals_gone")

    async def _write(self, session: Session, recording: Recording, event: OffRecordMarked | OffRecordUnmarked) -> None:
        recording_log = await self._recordings.log_of(recording, session)
        written = recording_log.event(event)
        self._recordings.close_if_done(recording_log)
        await durable(written)


class Offer(NamedTuple):
    """What may be given out of a segment."""

    object_key: str
    """Empty: nothing."""
    size_bytes: int
    sha256: str
    off_record: Literal["", "pending", "redacted"]
    """Empty: it is the whole file, nothing in it is off the record. `redacted`: the file without what is."""
    problem: str


def offer(ranges: Iterable[OffRecord], redaction: Redaction | None, segment: Segment) -> Offer:
    """The one place that decides it: whoever gives out anything of a segment asks here first.

    `ranges`: of the recording; `redaction`: of the segment.
    """
    stored = segment.state == "stored"
    duration_ns = segment.duration_ns if stored else None
    marked = {one.id for one in concerning(ranges, segment.start_ns, segment.start_bound_ns, duration_ns)}
    if not marked:
        key = segment.object_key if stored else ""
        return Offer(key, segment.size_bytes, segment.sha256, "", segment.problem)
    if redaction is None or not marked.issubset(redaction.off_record.split(",")):
        return Offer("", 0, "", "pending", segment.problem)
    problem = redaction.problem or segment.problem
    return Offer(redaction.object_key, redaction.size_bytes, redaction.sha256, "redacted", problem)


def view(row: OffRecord) -> rest.OffRecordView:
    return rest.OffRecordView(
        off_record_id=row.id,
        start_ms=row.start_ns / NS_PER_MS,
        stop_ms=row.stop_ns / NS_PER_MS,
        marked_by=row.marked_by,
        marked_ms=row.marked_ns / NS_PER_MS,
    )


def _range(wish: rest.MarkOffRecord, recording: Recording, now_ns: int) -> tuple[int, int]:
    """Session time. What lies in the future may still be said, so a range ends now at the latest."""
    if (wish.last_s is None) == (wish.start_ms is None) or (wish.start_ms is None) != (wish.stop_ms is None):
        raise Problem("bad_request", "either `start_ms` and `stop_ms`, or `last_s`")
    if wish.start_ms is None or wish.stop_ms is None:
        assert wish.last_s is not None
        start_ns, stop_ns = max(0, now_ns - round(wish.last_s * NS_PER_S)), now_ns
    else:
        start_ns, stop_ns = round(wish.start_ms * NS_PER_MS), min(round(wish.stop_ms * NS_PER_MS), now_ns)
    end_ns = now_ns if recording.stopped_ns is None else recording.stopped_ns
    if not start_ns < stop_ns or start_ns >= end_ns or stop_ns <= recording.started_ns:
        raise Problem("off_record_outside")
    return start_ns, stop_ns
