"""Live rooms: who is in them, who may come back, what everybody is told.

Guarantees: a participant is in its room once; the newest connection wins (the older is closed with 4409); one whose
connection is gone keeps its place and its media for the grace period. A program (WHIP, WHEP) has no connection: it is
here while its media are. Who closes whom: the last participant leaving
stops the recording and closes the room; a room closes its participants' connections, its recording, then its media.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

import structlog

from sfu.interfaces import TrackInfo, TransportName
from signaling.clock import SessionClock
from signaling.connection import CLOSE_GOING_AWAY, CLOSE_OK, CLOSE_REPLACED, Connection
from signaling.media import MediaPeer, MediaRoom
from signaling.messages import (
    Message,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RecordingStatus,
    StopReason,
    encode,
)
from signaling.participants import LiveParticipant, PeerMessages
from signaling.recordings import LiveRecording
from storage.models import Participant, Session

log = structlog.get_logger()


class RoomOwner(Protocol):
    """What a room asks of the studio."""

    def participant_gone(self, participant_id: str) -> None: ...

    def recording_stopped(self, recording: LiveRecording, reason: StopReason) -> Message: ...

    def room_closed(self, room: "LiveRoom") -> None:
        """Its media end here."""


class LiveRoom:
    def __init__(
        self, session: Session, media: MediaRoom, clock: SessionClock, *, grace_s: float, owner: RoomOwner
    ) -> None:
        self.session = session
        self.media = media
        self.clock = clock
        self.participants: dict[str, LiveParticipant] = {}
        """At most `session.max_participants`."""
        self.recording: LiveRecording | None = None
        self.starting = asyncio.Lock()
        """Held while a recording is being started."""
        self.closed = False
        self._grace_s = grace_s
        self._owner = owner
        self._places: dict[str, asyncio.TimerHandle] = {}
        """Places kept for those who joined by REST and have not said hello yet."""

    # --- places

    @property
    def full(self) -> bool:
        return len(self.participants) + len(self._places) >= self.session.max_participants

    @property
    def connected(self) -> int:
        return sum(participant.present for participant in self.participants.values())

    def keep_place(self, participant_id: str) -> bool:
        """Keep a place for the grace period; False: the room is full."""
        if self.full:
            return False
        self._places[participant_id] = self._later(lambda: self._give_up_place(participant_id))
        return True

    def give_back_place(self, participant_id: str) -> None:
        """The join came to nothing."""
        if (timer := self._places.pop(participant_id, None)) is not None:
            timer.cancel()
        self.close_if_empty()

    def _give_up_place(self, participant_id: str) -> None:
        self._places.pop(participant_id, None)
        self.close_if_empty()

    # --- coming and going

    def enter(self, row: Participant, connection: Connection, resume: bool) -> tuple[LiveParticipant, bool] | None:
        """Attach a connection: the participant, and whether its peer is still the one it had. None: the room is full.

        The caller sends `welcome`, then calls `greeted`.
        """
        known = row.id in self.participants
        participant = self._admit(row)
        if participant is None:
            return None
        participant.cancel_grace()
        if (older := participant.connection) is not None:
            older.send(ParticipantLeft(participant_id=participant.id, reason="replaced"))
            older.close(CLOSE_REPLACED, "replaced")
        participant.connection = connection
        resumed = resume and participant.peer is not None and _usable(participant.peer)
        if not resumed:
            self._end_peer(participant)
        self._tell_of(participant, known=known)
        return participant, resumed

    def attend(self, row: Participant) -> LiveParticipant | None:
        """Let in a program that has no connection, with a new peer in place of the one it may have. None: the room is
        full. Its presence is its media: until they come it has the grace period (`media_state`)."""
        known = row.id in self.participants
        participant = self._admit(row)
        if participant is None:
            return None
        self._end_peer(participant)
        participant.media_up = False
        participant.await_return(self._later(lambda: self.leave(participant, "lost")))
        self._tell_of(participant, known=known)
        participant.observer = PeerMessages(participant, self)
        participant.peer = self.media.add_peer(participant.id, participant.observer)
        return participant

    def media_state(self, participant: LiveParticipant, state: str) -> None:
        """The one peer connection of a program changed: up, it is here; closed, it left; lost, it may come back."""
        if state == "closed":
            self.leave(participant, "left")
        elif state in ("connected", "failed"):
            participant.media_up = state == "connected"
            if participant.media_up:
                participant.cancel_grace()
            else:
                participant.await_return(self._later(lambda: self.leave(participant, "lost")))
            self._tell_of(participant, known=True)

    def _admit(self, row: Participant) -> LiveParticipant | None:
        """The participant of a row, new or known; None: the room is full."""
        if (known := self.participants.get(row.id)) is not None:
            return known
        if (timer := self._places.pop(row.id, None)) is not None:
            timer.cancel()
        elif self.full:
            return None
        participant = self.participants[row.id] = LiveParticipant(row, self.clock.now_ms() / 1000)
        if self.recording is not None:
            self._note_in(self.recording, participant)
        return participant

    def _tell_of(self, participant: LiveParticipant, *, known: bool) -> None:
        view = participant.view()
        news: Message = ParticipantUpdated(participant=view) if known else ParticipantJoined(participant=view)
        self.broadcast(news, but=participant.id)

    def greeted(self, participant: LiveParticipant, resumed: bool) -> None:
        """`welcome` is queued: tell what else there is to know, and begin, or go on, with the peer connections."""
        if self.recording is not None and participant.role == "host":
            for notice in self.recording.notices.open:
                participant.send(notice)
        if resumed and participant.peer is not None:
            participant.peer.resend_offer()
            return
        participant.observer = PeerMessages(participant, self)
        participant.peer = self.media.add_peer(participant.id, participant.observer)
        participant.peer.start_subscriptions()

    def disconnected(self, participant: LiveParticipant, connection: Connection) -> None:
        """The connection is gone; unless a newer one took over, the grace period begins."""
        if self.closed or participant.connection is not connection:
            return
        participant.connection = None
        participant.await_return(self._later(lambda: self.leave(participant, "lost")))
        self.broadcast(ParticipantUpdated(participant=participant.view()), but=participant.id)

    def leave(self, participant: LiveParticipant, reason: Literal["left", "lost"]) -> None:
        if self.participants.get(participant.id) is not participant:
            return
        self._end_peer(participant)
        participant.cancel_grace()
        del self.participants[participant.id]
        if participant.connection is not None:
            participant.connection.close(CLOSE_OK, reason)
            participant.connection = None
        self.broadcast(ParticipantLeft(participant_id=participant.id, reason=reason))
        if self.recording is not None and participant.access != "watch":
            self.recording.participant_gone(participant.id)
        self._owner.participant_gone(participant.id)
        log.info("participant_left", session_id=self.session.id, participant_id=participant.id, reason=reason)
        if not self.participants and self.recording is not None:
            self.stop_recording()
        self.close_if_empty()

    def _end_peer(self, participant: LiveParticipant) -> None:
        if participant.peer is not None:
            self.media.remove_peer(participant.id)
            participant.peer = None
        if participant.observer is not None:
            participant.observer.detach()
            participant.observer = None

    # --- what everybody is told

    def broadcast(self, message: Message, but: str = "") -> None:
        """Queue for every connected participant except `but`; encoded once, waits for nobody."""
        text = encode(message).decode()
        for participant in self.participants.values():
            if participant.connection is not None and participant.id != but:
                participant.connection.send_text(text)

    def tell_hosts(self, message: Message) -> None:
        """Queue for every connected host."""
        for participant in self.participants.values():
            if participant.role == "host":
                participant.send(message)

    def track_ended(self, track: TrackInfo) -> None:
        if self.recording is not None:
            self.recording.track_ended(track.track_id)

    # --- recording

    def begin_recording(self, recording: LiveRecording) -> None:
        self.recording = recording
        recording.notices.tell = self.tell_hosts
        for participant in self.participants.values():
            self._note_in(recording, participant)
        self.media.start_recording(recording)
        self.broadcast(RecordingStatus(recording=recording.view()))

    def stop_recording(self, reason: StopReason = "") -> None:
        """End the running recording, if there is one."""
        recording, self.recording = self.recording, None
        if recording is not None:
            self.media.stop_recording()
            self.broadcast(self._owner.recording_stopped(recording, reason))

    def _note_in(self, recording: LiveRecording, participant: LiveParticipant) -> None:
        if participant.access != "watch":  # who only watches has no take
            recording.participant_seen(participant.id, participant.display_name, participant.role)

    # --- the end

    def close_if_empty(self) -> None:
        if not (self.participants or self._places or self.recording or self.starting.locked()):
            self.close()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.stop_recording()
        for timer in self._places.values():
            timer.cancel()
        self._places.clear()
        for participant in self.participants.values():
            participant.cancel_grace()
            if participant.connection is not None:
                participant.connection.close(CLOSE_GOING_AWAY, "closed")
            self._owner.participant_gone(participant.id)
        self._owner.room_closed(self)

    def _later(self, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._grace_s, call)


def _usable(peer: MediaPeer) -> bool:
    """Its connections can still be gone on with; a page may close the one it publishes on, not the other."""
    states = peer.connection_states
    return states.get(TransportName.PUBLISH) != "failed" and states.get(TransportName.SUBSCRIBE) not in (
        "failed",
        "closed",
    )
