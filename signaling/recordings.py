"""Starting and stopping recordings, and which track is written into which take.

Guarantees: a session has at most one running recording; a take is one (participant, kind, slot) of a recording, so
publishing again or coming back continues the same take with a new segment; the row exists before the first packet is
journalled; stopping is immediate here (taps end, RecordingStopped) and the row follows through the catalog queue.
What a dead node left as `recording` is stopped at the start.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path

import structlog

from recorder.events import ParticipantGone, ParticipantSeen, RecordingStopped, SpeakersChanged, TrackMuteChanged
from recorder.last_sign import last_sign_ns
from sfu.interfaces import PacketTap, StreamInfo, TrackInfo
from signaling.catalog_queue import CatalogQueue
from signaling.clock import NS_PER_MS, Clock, SessionClock, wall_time
from signaling.messages import RecordingView
from signaling.notices import Draft, NoticeCode, NoticeKey, Notices, of_take
from signaling.recording_log import RecordingLog, Spool
from storage.catalog import Catalog
from storage.ids import new_id
from storage.models import Recording, Session

log = structlog.get_logger()

CATALOG_S = 2.0
"""How long a stop waits for its row. The recording has ended in any case."""
MAX_OPEN_LOGS = 256
"""Journals kept open for late chunk events of stopped recordings. Overflow: the one used longest ago is closed."""


class LiveRecording:
    """Hands a journal to every encoding that is seen while it runs (implements sfu.interfaces.RecordingSink)."""

    def __init__(self, row: Recording, recording_log: RecordingLog, catalog: Catalog, queue: CatalogQueue) -> None:
        self.id = row.id
        self.log = recording_log
        self.started_ns = row.started_ns
        self.notices = Notices(recording_log.clock, recording_log.event)
        self._catalog = catalog
        self._queue = queue
        self._slots: dict[str, tuple[TrackInfo, int]] = {}
        """By track id; as many as the media plane lets participants publish."""
        self._muted: set[str] = set()
        """Takes of which the journal says so."""
        self._names: dict[str, str] = {}
        """Of participants who are there, by id."""
        self._speakers: tuple[str | None, tuple[str, ...]] = (None, ())
        """As the journal has them."""

    def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> PacketTap | None:
        take_id = self._take_id(track)
        self._say_muted(take_id, track.muted)
        return self.log.open_track(take_id, track.participant_id, track.kind.value, stream)

    def muted(self, track_id: str, muted: bool) -> None:
        if (known := self._slots.get(track_id)) is not None:
            self._say_muted(self._take_id(known[0]), muted)

    def stalled(self, track_id: str, since_s: float | None) -> None:
        if (known := self._slots.get(track_id)) is None:
            return
        track = known[0]
        key = NoticeKey(NoticeCode.CAPTURE_STALLED, self._take_id(track))
        if since_s is None:
            self.notices.end(key)
        else:
            since_ns = round(since_s * 1e9) - self.log.clock.zero_monotonic_ns
            self.notices.give(key, self.draft(key.code, track.participant_id, track.kind, since_ns))

    def draft(self, code: NoticeCode, participant_id: str, kind: str, since_ns: int) -> Draft:
        """What to tell of somebody's take."""
        return Draft(of_take(code, self._names.get(participant_id, ""), kind), since_ns, participant_id)

    def track_ended(self, track_id: str) -> None:
        """Its slot is free for the participant's next track of the kind."""
        if (known := self._slots.get(track_id)) is not None:
            self.stalled(track_id, None)
            self._say_muted(self._take_id(known[0]), False)
            del self._slots[track_id]

    def _say_muted(self, take_id: str, muted: bool) -> None:
        if muted is not (take_id in self._muted):
            if muted:
                self._muted.add(take_id)
            else:
                self._muted.discard(take_id)
            self.log.event(TrackMuteChanged(take_id=take_id, muted=muted, at_ns=self.log.clock.now_ns()))

    def participant_seen(self, participant_id: str, display_name: str, role: str) -> None:
        self._names[participant_id] = display_name
        self.log.event(
            ParticipantSeen(
                participant_id=participant_id, display_name=display_name, role=role, at_ns=self.log.clock.now_ns()
            )
        )

    def participant_gone(self, participant_id: str) -> None:
        self._names.pop(participant_id, None)
        self.log.event(ParticipantGone(participant_id=participant_id, at_ns=self.log.clock.now_ns()))

    def speakers(self, dominant: str | None, speaking: Sequence[str]) -> None:
        if (dominant, tuple(speaking)) != self._speakers:
            self._speakers = (dominant, tuple(speaking))
            self.log.event(SpeakersChanged(at_ns=self.log.clock.now_ns(), dominant=dominant, speaking=list(speaking)))

    def view(self) -> RecordingView:
        return RecordingView(recording_id=self.id, state="recording", started_ms=self.started_ns / NS_PER_MS)

    def _take_id(self, track: TrackInfo) -> str:
        if track.track_id not in self._slots:
            taken = {
                slot
                for other, slot in self._slots.values()
                if (other.participant_id, other.kind) == (track.participant_id, track.kind)
            }
            free = next(slot for slot in range(len(taken) + 1) if slot not in taken)
            self._slots[track.track_id] = (track, free)
        slot = self._slots[track.track_id][1]
        return self.log.take((track.participant_id, track.kind.value, slot), self._catalog, self._queue)


class RecordingDesk:
    """All recordings of the node that may still be written about."""

    def __init__(self, catalog: Catalog, queue: CatalogQueue, spool: Spool, clock: Clock, counters: Counter[str]):
        self._catalog = catalog
        self.queue = queue
        self._spool = spool
        self._clock = clock
        self._counters = counters
        self._running: dict[str, LiveRecording] = {}
        """By recording id; at most one for each live room."""
        self._late: OrderedDict[str, RecordingLog] = OrderedDict()
        """Logs of stopped recordings, by recording id, the one used last at the end."""
        self._opening = asyncio.Lock()
        self._ending: dict[str, asyncio.Future[None]] = {}
        """Stopped recordings whose row does not say so yet, by id; each is a fact in the catalog queue."""

    async def start(self, session: Session, session_clock: SessionClock) -> LiveRecording:
        """Insert the row, then open the journal. The caller sees to it that the session has no running recording."""
        row = Recording(
            id=new_id("rec"),
            session_id=session.id,
            state="recording",
            started_at=wall_time(self._clock),
            started_ns=session_clock.now_ns(),
            stopped_ns=None,
        )
        await self._catalog.create_recording(row)
        id, row.started_ns = row.id, session_clock.now_ns()
        self.queue.add("recording_began", lambda: self._catalog.recording_began(id, row.started_ns))
        recording = LiveRecording(row, self._open(row, session), self._catalog, self.queue)
        self._running[row.id] = recording
        self._counters["recordings_started"] += 1
        log.info("recording_started", session_id=session.id, recording_id=row.id)
        return recording

    def stop(self, recording: LiveRecording, reason: str = "") -> RecordingView:
        """Its taps have ended. The row says so after `settled`. `reason`: see `RecordingStopped`."""
        recording.notices.end_all()
        stopped_ns = recording.log.clock.now_ns()
        recording.log.event(RecordingStopped(stopped_ns=stopped_ns, reason=reason))
        del self._running[recording.id]
        self._keep(recording.log)
        self.close_if_done(recording.log)
        id = recording.id
        written = self.queue.add("recording_stopped", lambda: self._catalog.stop_recording(id, stopped_ns))
        self._ending[id] = written
        written.add_done_callback(lambda _: self._ending.pop(id))
        log.info("recording_stopped", session_id=recording.log.session_id, recording_id=id, reason=reason)
        view = recording.view()
        view.state, view.stopped_ms = "finishing", stopped_ns / NS_PER_MS
        return view

    async def settled(self, recording_id: str) -> None:
        """Wait until the row of a recording that was stopped says so, for at most CATALOG_S."""
        if (written := self._ending.get(recording_id)) is not None:
            await asyncio.wait({written}, timeout=CATALOG_S)

    async def log_of(self, recording: Recording, session: Session) -> RecordingLog:
        """The open log of a recording, reopened if it was closed or belonged to another run of the node."""
        if (running := self._running.get(recording.id)) is not None:
            return running.log
        async with self._opening:
            if (late := self._late.get(recording.id)) is None:
                takes = await self._catalog.takes(recording.id)
                late = self._open(recording, session)
                for take in takes:
                    late.know(take)
            self._keep(late)
            return late

    async def has_journals(self, recording_id: str) -> bool:
        """False once they were deleted, days after everything was stored."""
        return await asyncio.to_thread((self._spool.folder / recording_id).is_dir)

    def close_if_done(self, recording_log: RecordingLog) -> None:
        """Close a stopped recording's log when no capture may write into it."""
        if not recording_log.captures and recording_log.recording_id not in self._running:
            self._drop(recording_log.recording_id)

    def close_session(self, session_id: str) -> None:
        """The room was closed: close the logs of its stopped recordings; a late chunk opens them again."""
        for recording_id in [id for id, late in self._late.items() if late.session_id == session_id]:
            self._drop(recording_id)

    def close(self) -> None:
        for recording_id in list(self._late):
            self._drop(recording_id)

    async def recover(self) -> None:
        """Move what a dead node left as `recording` to `finishing`, in the journal and in the catalog."""
        for row in await self._catalog.open_recordings():
            session = await self._catalog.session(row.session_id)
            assert session is not None, "a foreign key holds"
            row.stopped_ns = max(row.started_ns, await self._last_sign_ns(row.id, session))
            self._open(row, session).close()
            await self._catalog.stop_recording(row.id, row.stopped_ns)
            self._counters["recordings_recovered"] += 1
            log.warning("recording_recovered", session_id=session.id, recording_id=row.id)

    async def _last_sign_ns(self, recording_id: str, session: Session) -> int:
        folder = self._spool.folder / recording_id
        try:
            signed_ns = await asyncio.to_thread(last_sign_ns, folder)
        except OSError as error:
            log.error("spool_unreadable", recording_id=recording_id, reason=str(error))
            signed_ns = None
        if signed_ns is not None:
            return signed_ns
        return await asyncio.to_thread(_last_written_ns, folder) - session.clock_zero_wall_ns

    def _open(self, row: Recording, session: Session) -> RecordingLog:
        return RecordingLog(row, session, SessionClock(session, self._clock), self._clock.boot_id, self._spool)

    def _keep(self, late: RecordingLog) -> None:
        self._late[late.recording_id] = late
        self._late.move_to_end(late.recording_id)
        while len(self._late) > MAX_OPEN_LOGS:
            self._drop(next(iter(self._late)))

    def _drop(self, recording_id: str) -> None:
        late = self._late.pop(recording_id, None)
        if late is not None:
            late.close()


def _last_written_ns(folder: Path) -> int:
    """Unix time of the last write into a recording's spool, whose journals say nothing; 0: there was none."""
    return max((path.stat().st_mtime_ns for path in folder.glob("*")), default=0)
