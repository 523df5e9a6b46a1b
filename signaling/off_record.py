"""What hosts take off the record: ranges of a recording that nobody may have.

Guarantees: from the moment that the row is there no file that the range concerns is given out, whatever happens then;
the range is confirmed when the journal says it durably too, for the recorder. Who marked it is kept. Everything may be
repeated: the same range again is the same mark.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import structlog

from recorder.events import OffRecordMarked, OffRecordUnmarked, Purged
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

State = Literal["marked", "redacted", "purging", "purged"]
ENDED = ("finished", "failed")
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
        """Raises Problem `unknown_off_record`, `already_purged` or `journals_gone`."""
        row = next((row for row in await self._catalog.off_record(recording.id) if row.id == id), None)
        if row is None:
            raise Problem("unknown_off_record")
        if row.purged_ns is not None:
            raise Problem("already_purged")
        await self._require_journals(recording)
        unmarked = OffRecordUnmarked(off_record_id=id, at_ns=SessionClock(session, self._clock).now_ns())
        await self._write(session, recording, unmarked)
        await self._catalog.delete_off_record(id)
        log.info("off_record_unmarked", recording_id=recording.id, off_record_id=id)

    async def purge(self, session: Session, recording: Recording, by: Participant | None) -> None:
        """Let everything go for good that holds something off the record now, but for the files without it.

        Raises Problem `nothing_off_record`, `redaction_pending` or `journals_gone`.
        """
        await self._require_journals(recording)
        segments = await self._catalog.segments(recording.id)
        redactions = await self._catalog.redactions(recording.id)
        ranges = await self._catalog.off_record(recording.id)
        if not ranges:
            raise Problem("nothing_off_record")
        offers = [(segment, offer(ranges, redactions.get(segment.id), segment)) for segment in segments]
        held_back = [(segment, one) for segment, one in offers if one.off_record]
        waiting = [
            segment.id
            for segment, one in held_back
            if segment.state in ("stored", "finishing") and (one.off_record == "pending" or one.problem)
        ]
        if recording.state not in ENDED or waiting:
            raise Problem("redaction_pending", segments=waiting)
        for segment, _ in held_back:
            if segment.state == "capturing":  # nobody may bring the rest of it
                await self._catalog.upsert_segment(_given_up(segment))
        now_ns = SessionClock(session, self._clock).now_ns()
        ids = [row.id for row in ranges]
        await self._catalog.purge_off_record(ids, by.id if by is not None else None, now_ns)
        purged_by = by.id if by is not None else ""
        await self._write(session, recording, Purged(off_record_ids=ids, purged_by=purged_by, at_ns=now_ns))
        self._counters["off_record_purged"] += 1
        log.info("off_record_purged", recording_id=recording.id, off_record=ids, purged_by=purged_by)

    async def views(self, recording: Recording) -> list[rest.OffRecordView]:
        """In the order of time."""
        segments = await self._catalog.segments(recording.id)
        redactions = await self._catalog.redactions(recording.id)
        return views(recording, await self._catalog.off_record(recording.id), segments, redactions)

    async def _require_journals(self, recording: Recording) -> None:
        """A manifest that is made from new journals alone would replace the one that was made from all."""
        if recording.stopped_ns is not None and not await self._recordings.has_journals(recording.id):
            raise Problem("journals_gone")

    async def _write(
        self, session: Session, recording: Recording, event: OffRecordMarked | OffRecordUnmarked | Purged
    ) -> None:
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
    if segment.state == "failed":
        return Offer("", segment.size_bytes, segment.sha256, "", segment.problem)
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


def views(
    recording: Recording,
    ranges: Sequence[OffRecord],
    segments: Sequence[Segment],
    redactions: Mapping[str, Redaction],
) -> list[rest.OffRecordView]:
    """Of one recording. While it is not finished files may come of which there is no row yet."""
    finished = recording.state in ENDED

    def state(row: OffRecord) -> State:
        concerned = [one for one in segments if offer([row], redactions.get(one.id), one).off_record]
        made = [redactions.get(one.id) for one in concerned]
        if row.purged_ns is not None:
            return "purged" if all(one is not None and one.whole_gone for one in made) else "purging"
        done = finished and all(
            offer(ranges, redactions.get(one.id), one).off_record == "redacted" for one in concerned
        )
        return "redacted" if done else "marked"

    return [view(row, state(row)) for row in ranges]


def view(row: OffRecord, state: State = "marked") -> rest.OffRecordView:
    return rest.OffRecordView(
        off_record_id=row.id,
        start_ms=row.start_ns / NS_PER_MS,
        stop_ms=row.stop_ns / NS_PER_MS,
        marked_by=row.marked_by,
        marked_ms=row.marked_ns / NS_PER_MS,
        state=state,
    )


def _given_up(capture: Segment) -> Segment:
    return Segment(
        id=capture.id,
        take_id=capture.take_id,
        copy="local",
        state="failed",
        problem="purged before it was whole",
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
