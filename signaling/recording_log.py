"""One recording's event journal and its takes, while something may still be written about it.

Guarantees: a take is named once per (participant, kind, slot) of the recording, in the journal before anything refers
to it and in the catalog soon after; a journal that is opened again for a stopped recording says so at once, so every
journal of a recording is readable alone.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

import structlog

from recorder.events import ClockNoted, RecordingEvent, RecordingStarted, RecordingStopped, TakeOpened
from recorder.journal import RecordingHeader, TrackHeader
from sfu.interfaces import PacketTap, StreamInfo
from signaling.catalog_queue import CatalogQueue
from signaling.clock import SessionClock
from signaling.problems import Problem
from storage.catalog import Catalog
from storage.ids import new_id
from storage.models import Recording, Session, Take

log = structlog.get_logger()

DURABLE_S = 10.0
"""Longest wait for the journal's disk."""

TakeKey = tuple[str, str, int]
"""Participant, kind, slot."""


class Journal(Protocol):
    """`recorder.writer.RecordingJournal`: cheap appends, no I/O."""

    def event(self, event: RecordingEvent, /) -> Future[None]:
        """The future ends when the event is durable, or with OSError."""

    def open_track(self, header: TrackHeader, /) -> PacketTap: ...

    def close(self) -> None: ...


class Spool(Protocol):
    """`recorder.writer.SpoolWriter`."""

    @property
    def folder(self) -> Path:
        """Holds a folder for each recording."""

    @property
    def alarm(self) -> str: ...

    def open_recording(self, header: RecordingHeader, /) -> Journal: ...

    def counters(self) -> Mapping[str, float]: ...


class RecordingLog:
    """The journal of `recording`, opened on creation."""

    def __init__(self, recording: Recording, session: Session, clock: SessionClock, boot_id: str, spool: Spool):
        self.recording_id = recording.id
        self.session_id = session.id
        self.clock = clock
        self.captures: set[str] = set()
        """Segments of local captures that may still send events; at most those the catalog allows."""
        self._takes: dict[TakeKey, str] = {}
        self._journal = spool.open_recording(
            RecordingHeader(
                recording_id=recording.id,
                session_id=session.id,
                zero_monotonic_ns=clock.zero_monotonic_ns,
                zero_wall_ns=clock.zero_wall_ns,
                boot_id=boot_id,
            )
        )
        self.begun = self.event(
            RecordingStarted(
                recording_id=recording.id,
                session_id=session.id,
                title=session.title,
                started_ns=recording.started_ns,
            )
        )
        """Ends when that the recording was started is durable."""
        if recording.stopped_ns is not None:
            self.event(RecordingStopped(stopped_ns=recording.stopped_ns))

    def event(self, event: RecordingEvent) -> Future[None]:
        """Queue an event; the future ends when it is durable, or with OSError."""
        return self._journal.event(event)

    def note_clock(self) -> None:
        """Every `recorder.wall_clock.CLOCK_S`; what it was at the beginning is in the journal's header."""
        clock = self.clock
        self.event(ClockNoted(at_ns=clock.now_ns(), wall_ns=clock.wall_ns(), boot_id=clock.boot_id))

    def know(self, take: Take) -> None:
        """A take from the catalog."""
        self._takes[(take.participant_id, take.kind, take.slot)] = take.id

    def take(self, key: TakeKey, catalog: Catalog, queue: CatalogQueue) -> str:
        """The id of this take, made if there is none."""
        known = self._takes.get(key)
        if known is not None:
            return known
        participant_id, kind, slot = key
        take_id = new_id("tak")
        self._takes[key] = take_id
        self.event(TakeOpened(take_id=take_id, participant_id=participant_id, kind=kind, slot=slot))
        row = Take(id=take_id, recording_id=self.recording_id, participant_id=participant_id, kind=kind, slot=slot)
        queue.add("take", lambda: catalog.add_take(row))
        return take_id

    def name(self, take: Take) -> None:
        """Write down a take from the catalog, for events that refer to it; saying it again changes nothing."""
        self.know(take)
        self.event(TakeOpened(take_id=take.id, participant_id=take.participant_id, kind=take.kind, slot=take.slot))

    def open_track(self, take_id: str, participant_id: str, kind: str, stream: StreamInfo) -> PacketTap:
        """Begin a segment of the server copy."""
        return self._journal.open_track(
            TrackHeader(
                recording_id=self.recording_id,
                session_id=self.session_id,
                take_id=take_id,
                segment_id=new_id("seg"),
                participant_id=participant_id,
                kind=kind,
                stream=stream,
            )
        )

    def close(self) -> None:
        self._journal.close()


async def durable(written: Future[None]) -> None:
    """Wait until an event is on the disk; raises Problem `spool_unavailable`."""
    try:
        async with asyncio.timeout(DURABLE_S):
            await asyncio.shield(asyncio.wrap_future(written))
    except (TimeoutError, OSError) as error:
        log.error("event_not_durable", error=str(error))
        raise Problem("spool_unavailable") from None
