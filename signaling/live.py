"""The live rooms of this node, by session id.

Guarantees: a session has at most one live room here; what a room must tell the catalog goes through the queue, so
timers and callbacks never wait for the database.
"""

from collections import Counter

import structlog

from signaling.catalog_queue import CatalogQueue
from signaling.clock import Clock, SessionClock, wall_time
from signaling.media import MediaServer
from signaling.messages import Message, RecordingStatus, StopReason
from signaling.problems import Problem
from signaling.recordings import LiveRecording, RecordingDesk
from signaling.rooms import LiveRoom
from signaling.settings import SessionSettings
from storage.catalog import Catalog
from storage.models import Session

log = structlog.get_logger()


class LiveRooms:
    """Implements signaling.rooms.RoomOwner."""

    def __init__(
        self,
        media: MediaServer,
        catalog: Catalog,
        queue: CatalogQueue,
        desk: RecordingDesk,
        settings: SessionSettings,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self.live: dict[str, LiveRoom] = {}
        self._media = media
        self._catalog = catalog
        self._queue = queue
        self._desk = desk
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._closed = False

    def get(self, session_id: str) -> LiveRoom | None:
        return self.live.get(session_id)

    def open(self, session: Session) -> LiveRoom:
        """The live room of a session, made if there is none; raises Problem `too_many_rooms`."""
        if (room := self.live.get(session.id)) is not None:
            return room
        if self._closed or len(self.live) >= self._settings.max_rooms:
            raise Problem("too_many_rooms")
        room = self.live[session.id] = LiveRoom(
            session,
            self._media.open_room(session.id),
            SessionClock(session, self._clock),
            grace_s=self._settings.grace_s,
            owner=self,
        )
        self._counters["rooms_opened"] += 1
        log.info("room_opened", session_id=session.id)
        return room

    def close(self) -> None:
        """Close every room; none opens again."""
        self._closed = True
        for room in list(self.live.values()):
            room.close()

    def participant_gone(self, participant_id: str) -> None:
        at = wall_time(self._clock)
        self._queue.add("participant_left", lambda: self._catalog.participant_left(participant_id, at))

    def recording_stopped(self, recording: LiveRecording, reason: StopReason) -> Message:
        return RecordingStatus(recording=self._desk.stop(recording, reason), reason=reason)

    def room_closed(self, room: LiveRoom) -> None:
        del self.live[room.session.id]
        self._media.close_room(room.session.id)
        self._desk.close_session(room.session.id)
        self._counters["rooms_closed"] += 1
        log.info("room_closed", session_id=room.session.id)
