"""What each message of a participant does to its room.

Guarantees: a message acts on the sender's own peer and tracks only; a refusal is an `error` with a stable id and
changes nothing. Nothing here waits.
"""

from sfu.interfaces import NegotiationError, TransportName
from signaling.messages import (
    CaptureStatus,
    Clock,
    Error,
    FromParticipant,
    Heartbeat,
    IceCandidate,
    IceRestart,
    Layer,
    PageReport,
    ParticipantLeft,
    TrackMuted,
    WebrtcAnswer,
    WebrtcOffer,
)
from signaling.participants import LiveParticipant
from signaling.problems import WEBSOCKET_ERRORS
from signaling.rooms import LiveRoom
from signaling.studio import Studio


class Conversation:
    def __init__(self, studio: Studio, room: LiveRoom, participant: LiveParticipant) -> None:
        self._counters = studio.counters
        self._room = room
        self._participant = participant

    def take(self, message: FromParticipant) -> Error | None:
        """Act on one message; the error to send back, if it is refused."""
        match message:
            case Heartbeat():
                self._participant.send(message)
            case Clock():
                self._participant.send(Clock(page_ms=message.page_ms, session_ms=self._room.clock.now_ms()))
            case WebrtcOffer():
                return self._offer(message)
            case WebrtcAnswer():
                return self._answer(message)
            case IceCandidate():
                pass
            case IceRestart():
                return self._restart_ice(message)
            case TrackMuted():
                return self._muted(message)
            case Layer():
                if self._participant.peer is not None:
                    self._participant.peer.show(message.track_id, message.height)
            case CaptureStatus():
                capture = self._participant.copy.reported(message.recording_id, message.capture)
                self._room.broadcast(
                    CaptureStatus(
                        recording_id=message.recording_id, capture=capture, participant_id=self._participant.id
                    ),
                    but=self._participant.id,
                )
            case PageReport():
                self._report(message)
            case ParticipantLeft():
                self._room.leave(self._participant, "left")
            case _:
                return self._refuse("bad_message")
        return None

    def _report(self, message: PageReport) -> None:
        """Not taken without a word: a page that reports too often has other troubles."""
        now_s = self._room.clock.now_ms() / 1000
        if self._participant.page.take(message.figures, message.errors, now_s):
            self._counters["page_reports"] += 1
            for id, count in message.errors.items():
                self._counters[f"page_error_{id}"] += count
        else:
            self._counters["page_reports_too_many"] += 1

    def _offer(self, message: WebrtcOffer) -> Error | None:
        peer = self._participant.peer
        if peer is None or message.transport is not TransportName.PUBLISH:
            return self._refuse("unsupported")
        try:
            sdp = peer.publish(message.sdp, message.tracks)
        except NegotiationError as error:
            return self._not_negotiated(error)
        self._participant.send(WebrtcAnswer(transport=message.transport, sdp=sdp, offer_id=message.offer_id))
        return None

    def _answer(self, message: WebrtcAnswer) -> Error | None:
        peer = self._participant.peer
        if peer is None or message.transport is not TransportName.SUBSCRIBE:
            return self._refuse("unsupported")
        try:
            peer.subscribe_answer(message.offer_id, message.sdp)
        except NegotiationError as error:
            return self._not_negotiated(error)
        return None

    def _restart_ice(self, message: IceRestart) -> Error | None:
        if message.transport is not TransportName.SUBSCRIBE:
            return self._refuse("unsupported")
        if self._participant.peer is None or not self._participant.peer.restart_ice():
            return self._refuse("connection_gone")
        self._counters["ice_restarts_asked"] += 1
        return None

    def _muted(self, message: TrackMuted) -> Error | None:
        participant = self._participant
        if participant.peer is None or not participant.peer.set_muted(message.track_id, message.muted):
            return self._refuse("unknown_track")
        participant.mute(message.track_id, message.muted)
        if self._room.recording is not None:
            self._room.recording.muted(message.track_id, message.muted)
        self._room.broadcast(
            TrackMuted(track_id=message.track_id, muted=message.muted, participant_id=participant.id),
            but=participant.id,
        )
        return None

    def _not_negotiated(self, error: NegotiationError) -> Error:
        self._counters[f"negotiation_{error.id}"] += 1
        return Error(id=error.id, detail=error.detail)

    def _refuse(self, id: str) -> Error:
        self._counters[f"websocket_{id}"] += 1
        return Error(id=id, detail=WEBSOCKET_ERRORS[id])
