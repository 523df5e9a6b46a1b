"""Local copies: what a browser recorded itself, chunk by chunk, until the recorder can join it.

Guarantees (order of truth): a chunk is confirmed only after the object was read back and its size and SHA-256 compared,
the event was durable in the journal, and then the row was written; so whatever a page may delete, the recorder knows
of. A capture is finished in the catalog first, then in the journal: a repeated finish writes the event again.
"""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from typing import Literal

import structlog

from recorder.events import CaptureFinished, CaptureOpened, ChunkVerified
from signaling import rest
from signaling.capture_progress import CaptureProgress
from signaling.clock import NS_PER_MS, NS_PER_S
from signaling.problems import Problem
from signaling.recording_log import RecordingLog, durable
from signaling.recordings import RecordingDesk
from storage.catalog import Catalog, CatalogConflict
from storage.ids import derived_id, new_id
from storage.models import Chunk, Participant, Recording, Segment, Session, Take
from storage.objects import ObjectNotFound, ObjectStore

log = structlog.get_logger()

SettledState = Literal["finishing", "stored", "failed"]

START_SLACK_NS = 60 * NS_PER_S
"""How far outside of a stopped recording a capture of it may be said to begin: pages hear of start and stop late."""
OPEN_AFTER_STOP_NS = 7 * 24 * 3600 * NS_PER_S
"""A page that was offline may announce what it captured for so long after the stop."""
MAX_CAPTURES = 50
"""Local captures of one participant in one recording: reloads of the page."""
MAX_AHEAD = 64
"""Chunks that may be in the store and not verified, so how much a page can leave there unasked for."""
MAX_REMEMBERED = 1_000
"""Captures whose progress is kept in memory. Overflow: the one used longest ago is read from the catalog again."""
VERIFIED_AT_ONCE = 4
"""Chunks read back in parallel: 4 MiB in memory."""


class _Remembered:
    def __init__(self) -> None:
        self.progress = CaptureProgress()
        self.lock = asyncio.Lock()
        """Held while a chunk is verified: what two tabs say about one chunk is taken one after the other."""


class CaptureDesk:
    def __init__(self, catalog: Catalog, store: ObjectStore, recordings: RecordingDesk, counters: Counter[str]) -> None:
        self._catalog = catalog
        self._store = store
        self._recordings = recordings
        self._counters = counters
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._verifying = asyncio.Semaphore(VERIFIED_AT_ONCE)

    async def open(
        self, session: Session, recording: Recording, participant: Participant, wish: rest.OpenCapture
    ) -> str:
        """Begin a capture; its segment id. The same `capture_id` gives the same one.

        Raises Problem `capture_closed`, `too_many_captures`, or `bad_request` for a capture of another kind.
        """
        if wish.capture_id is None:
            segment_id = new_id("seg")
        else:
            segment_id = derived_id("seg", recording.id, participant.id, wish.capture_id)
        recording_log = await self._recordings.log_of(recording, session)
        held = segment_id in recording_log.captures
        recording_log.captures.add(segment_id)  # before anything is awaited: a stop would close the journal
        writing = False
        try:
            async with (await self._remember(segment_id)).lock:
                writing = await self._open(recording_log, recording, participant, wish, segment_id)
        finally:
            if not held and not writing:
                recording_log.captures.discard(segment_id)
                self._recordings.close_if_done(recording_log)
        return segment_id

    async def _open(
        self,
        recording_log: RecordingLog,
        recording: Recording,
        participant: Participant,
        wish: rest.OpenCapture,
        segment_id: str,
    ) -> bool:
        """Row and events of a capture, also if they were written before; False: it is finished already."""
        row = await self._catalog.segment(segment_id)
        if row is not None:
            take = await self._own_take(recording, participant, row)
            if take.kind != wish.kind:
                raise Problem("bad_request", "this capture_id is that of a capture of another kind")
            if row.state != "capturing":
                return False
        else:
            await self._require_open(recording_log, recording, participant, wish)
            take_id = recording_log.take((participant.id, wish.kind, 0), self._catalog, self._recordings.queue)
            take = await self._catalog.add_take(
                Take(id=take_id, recording_id=recording.id, participant_id=participant.id, kind=wish.kind, slot=0)
            )
            row = Segment(
                id=segment_id,
                take_id=take.id,
                copy="local",
                state="capturing",
                content_type=wish.content_type,
                start_ns=round(wish.start_ms * NS_PER_MS),
                start_bound_ns=round(wish.bound_ms * NS_PER_MS),
            )
            await self._catalog.upsert_segment(row)
            self._counters["captures_opened"] += 1
            log.info("capture_opened", recording_id=recording.id, participant_id=participant.id, segment_id=row.id)
        recording_log.name(take)
        opened = recording_log.event(
            CaptureOpened(
                segment_id=row.id,
                take_id=take.id,
                content_type=row.content_type,
                start_ns=row.start_ns,
                bound_ns=row.start_bound_ns,
            )
        )
        await durable(opened)
        return True

    async def _require_open(
        self, recording_log: RecordingLog, recording: Recording, participant: Participant, wish: rest.OpenCapture
    ) -> None:
        """Whether another capture may be opened: what counts is when it began, not when we hear of it."""
        if recording.stopped_ns is not None:
            start_ns = round(wish.start_ms * NS_PER_MS)
            first_ns, last_ns = recording.started_ns - START_SLACK_NS, recording.stopped_ns + START_SLACK_NS
            too_late = recording_log.clock.now_ns() - recording.stopped_ns > OPEN_AFTER_STOP_NS
            if too_late or not first_ns <= start_ns <= last_ns:
                raise Problem("capture_closed")
        if await self._captures_of(recording, participant) >= MAX_CAPTURES:
            raise Problem("too_many_captures")

    async def segment_of(self, recording: Recording, participant: Participant, segment_id: str) -> Segment:
        """The capture, if it is one of this participant in this recording; raises Problem `unknown_capture`."""
        row = await self._catalog.segment(segment_id)
        if row is None:
            raise Problem("unknown_capture")
        await self._own_take(recording, participant, row)
        return row

    async def _own_take(self, recording: Recording, participant: Participant, row: Segment) -> Take:
        """The take of a local copy of this participant in this recording; raises Problem `unknown_capture`."""
        takes = {take.id: take for take in await self._catalog.takes(recording.id)}
        take = takes.get(row.take_id)
        if take is None or row.copy != "local" or take.participant_id != participant.id:
            raise Problem("unknown_capture")
        return take

    async def announced(self, segment: Segment, index: int, chunk: rest.AnnounceChunk) -> None:
        """Whether this chunk may be sent.

        Raises Problem `chunk_mismatch`, `chunk_refused`, `chunks_beyond` or `capture_finished`.

        A page may delete everything when it is told `capture_finished`, so that is said of verified chunks alone.
        """
        remembered = await self._remember(segment.id)
        verified = remembered.progress.has(index)
        if verified:
            _require_same(await self._chunk(segment.id, index), chunk.size_bytes, chunk.sha256)
        if segment.state in ("finishing", "stored") and verified:
            raise Problem("capture_finished")
        if segment.state != "capturing":
            raise Problem("chunk_refused")
        if index > remembered.progress.count + MAX_AHEAD:
            raise Problem("chunks_beyond", f"chunk {index} is more than {MAX_AHEAD} beyond what is verified")

    async def confirm(
        self, session: Session, recording: Recording, segment: Segment, index: int, chunk: rest.ConfirmChunk
    ) -> rest.ChunkConfirmed:
        """Read the chunk back and compare. Raises Problem `chunk_missing`, `chunk_mismatch` or `chunk_refused`."""
        remembered = await self._remember(segment.id)
        async with remembered.lock:
            if remembered.progress.has(index):
                _require_same(await self._chunk(segment.id, index), chunk.size_bytes, chunk.sha256)
            else:
                if await self._state(segment) != "capturing":
                    raise Problem("chunk_refused")
                await self._take_in(session, recording, segment, index, chunk)
                remembered.progress.verified(index, chunk.size_bytes, chunk.end_ms)
        return rest.ChunkConfirmed(
            verified_bytes=remembered.progress.verified_bytes, safe_ms=remembered.progress.safe_ms
        )

    async def finish(self, session: Session, recording: Recording, segment: Segment, chunks: int) -> SettledState:
        """No chunk will follow; the segment's state. Raises Problem `chunks_missing` or `chunks_beyond`."""
        remembered = await self._remember(segment.id)
        async with remembered.lock:
            if missing := remembered.progress.missing(chunks):
                raise Problem("chunks_missing", missing=missing)
            if beyond := remembered.progress.beyond(chunks):
                raise Problem("chunks_beyond", f"{beyond} verified chunks have an index of {chunks} or more")
            before = await self._state(segment)
            if before == "stored":
                return "stored"
            if before == "failed":
                return "failed"
            state: SettledState = "finishing" if chunks else "failed"
            if before == "capturing":
                problem = "" if chunks else "nothing was captured"
                await self._catalog.upsert_segment(
                    Segment(id=segment.id, take_id=segment.take_id, copy="local", state=state, problem=problem)
                )
            await self._tell_recorder(session, recording, segment, chunks)
        return state

    async def _tell_recorder(self, session: Session, recording: Recording, segment: Segment, chunks: int) -> None:
        recording_log = await self._recordings.log_of(recording, session)
        finished = recording_log.event(CaptureFinished(segment_id=segment.id, chunks=chunks))
        recording_log.captures.discard(segment.id)
        self._recordings.close_if_done(recording_log)
        await durable(finished)
        self._counters["captures_finished"] += 1
        log.info("capture_finished", recording_id=recording.id, segment_id=segment.id, chunks=chunks)

    async def _state(self, segment: Segment) -> str:
        """Its state now: the row in hand was read before the lock was taken."""
        row = await self._catalog.segment(segment.id)
        return row.state if row is not None else "failed"

    async def _take_in(
        self, session: Session, recording: Recording, segment: Segment, index: int, chunk: rest.ConfirmChunk
    ) -> None:
        key = chunk_key(session.id, recording.id, segment.id, index)
        async with self._verifying:
            await self._compare(key, chunk.size_bytes, chunk.sha256)
        recording_log = await self._recordings.log_of(recording, session)
        recording_log.captures.add(segment.id)
        verified = recording_log.event(
            ChunkVerified(
                segment_id=segment.id,
                index=index,
                size_bytes=chunk.size_bytes,
                sha256=chunk.sha256,
                object_key=key,
                end_ms=chunk.end_ms,
            )
        )
        await durable(verified)
        row = Chunk(
            segment_id=segment.id,
            index=index,
            size_bytes=chunk.size_bytes,
            sha256=chunk.sha256,
            object_key=key,
            end_ms=chunk.end_ms,
        )
        try:
            await self._catalog.add_chunk(row)
        except CatalogConflict as error:
            raise Problem("chunk_mismatch") from error
        self._counters["chunks_verified"] += 1
        self._counters["chunk_bytes_verified"] += chunk.size_bytes

    async def _compare(self, key: str, size_bytes: int, sha256: str) -> None:
        digest = hashlib.sha256()
        try:
            stored = await self._store.head(key)
            if stored.size_bytes == size_bytes:
                async for piece in self._store.get(key, length=size_bytes):
                    await asyncio.to_thread(digest.update, piece)
        except ObjectNotFound:
            raise Problem("chunk_missing") from None
        if stored.size_bytes != size_bytes or digest.hexdigest() != sha256:
            self._counters["chunks_mismatched"] += 1
            raise Problem("chunk_mismatch")

    async def _captures_of(self, recording: Recording, participant: Participant) -> int:
        own = {take.id for take in await self._catalog.takes(recording.id) if take.participant_id == participant.id}
        segments = await self._catalog.segments(recording.id)
        return sum(segment.copy == "local" and segment.take_id in own for segment in segments)

    async def _chunk(self, segment_id: str, index: int) -> Chunk:
        return next(chunk for chunk in await self._catalog.chunks(segment_id) if chunk.index == index)

    async def _remember(self, segment_id: str) -> _Remembered:
        remembered = self._remembered.get(segment_id)
        if remembered is None:
            chunks = await self._catalog.chunks(segment_id)
            # Another request may have come first while the rows were read: what it knows is newer.
            remembered = self._remembered.setdefault(segment_id, _Remembered())
            for chunk in chunks:
                remembered.progress.verified(chunk.index, chunk.size_bytes, chunk.end_ms)
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(segment_id)
        return remembered


def chunk_key(session_id: str, recording_id: str, segment_id: str, index: int) -> str:
    return f"sessions/{session_id}/recordings/{recording_id}/local/{segment_id}/chunks/{index:06d}"


def _require_same(row: Chunk, size_bytes: int, sha256: str) -> None:
    if (row.size_bytes, row.sha256) != (size_bytes, sha256):
        raise Problem("chunk_mismatch", "other content was verified under this index")
