"""One participant of a live room, composed of what it is, its connection, its peer, its tracks and its local copy.

Guarantees: messages of a peer that was replaced or removed reach nobody; a track is announced as gone exactly once.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol, cast

import msgspec
import structlog

from sfu.interfaces import (
    DeliveryState,
    Limit,
    Quality,
    QualityReport,
    SubscribedTrack,
    TrackInfo,
    TransportName,
)
from signaling.connection import Connection
from signaling.media import MediaPeer
from signaling.messages import (
    ActiveSpeakers,
    CaptureView,
    ConnectionQuality,
    Error,
    Message,
    ParticipantView,
    Subscription,
    TrackPublished,
    TrackUnpublished,
    TrackView,
    WebrtcOffer,
)
from signaling.page_reports import PageReports
from signaling.problems import WEBSOCKET_ERRORS
from storage.models import Participant

log = structlog.get_logger()

Role = Literal["host", "guest"]


class Audience(Protocol):
    """The room, as a peer's messages need it."""

    def broadcast(self, message: Message, but: str = "") -> None: ...

    def track_ended(self, track: TrackInfo) -> None: ...

    def media_state(self, participant: "LiveParticipant", state: str) -> None:
        """The peer connection of a program is `connected`, `failed` or `closed`."""


class LocalCopy:
    """What is known of a participant's local capture: the page's figures, and the server's own of what is verified."""

    def __init__(self) -> None:
        self.recording_id = ""
        self.segment_id = ""
        self.view: CaptureView | None = None

    def opened(self, recording_id: str, segment_id: str) -> None:
        self.recording_id, self.segment_id = recording_id, segment_id
        self.view = CaptureView()

    def reported(self, recording_id: str, reported: CaptureView) -> CaptureView:
        """Take the page's figures; those of verification stay the server's."""
        known = self.view if self.view is not None and recording_id == self.recording_id else CaptureView()
        self.recording_id = recording_id
        self.view = msgspec.structs.replace(reported, verified_bytes=known.verified_bytes, safe_ms=known.safe_ms)
        return self.view

    def verified(self, segment_id: str, verified_bytes: int, safe_ms: float) -> CaptureView | None:
        """None: not the capture that is shown."""
        if segment_id != self.segment_id or self.view is None:
            return None
        self.view = msgspec.structs.replace(self.view, verified_bytes=verified_bytes, safe_ms=safe_ms)
        return self.view


class LiveParticipant:
    def __init__(self, row: Participant, now_s: float) -> None:
        """`now_s`: session time."""
        self.id = row.id
        self.display_name = row.display_name
        self.role = cast(Role, row.role)
        self.access = row.access
        self.resource_id = ""
        """Of a program: what its WHIP or WHEP session is called."""
        self.ice_ufrag = ""
        """Of a program: the user fragment of its offer."""
        self.media_up = False
        """Of a program: its peer connection is up."""
        self.connection: Connection | None = None
        self.peer: MediaPeer | None = None
        self.observer: PeerMessages | None = None
        self.tracks: dict[str, TrackInfo] = {}
        self.copy = LocalCopy()
        self.quality: Quality | None = None
        self.page = PageReports(now_s)
        self._grace: asyncio.TimerHandle | None = None

    @property
    def present(self) -> bool:
        return self.connection is not None or self.media_up

    def send(self, message: Message) -> None:
        if self.connection is not None:
            self.connection.send(message)

    def view(self) -> ParticipantView:
        return ParticipantView(
            participant_id=self.id,
            display_name=self.display_name,
            role=self.role,
            connected=self.present,
            tracks=[track_view(track) for track in self.tracks.values()],
            capture=self.copy.view,
            quality=self.quality,
        )

    def mute(self, track_id: str, muted: bool) -> None:
        if (track := self.tracks.get(track_id)) is not None:
            self.tracks[track_id] = msgspec.structs.replace(track, muted=muted)

    def await_return(self, timer: asyncio.TimerHandle) -> None:
        """Start the grace period; `timer` ends it."""
        self.cancel_grace()
        self._grace = timer

    def cancel_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None


class PeerMessages:
    """What one peer has to say, turned into messages (implements sfu.interfaces.PeerObserver)."""

    def __init__(self, participant: LiveParticipant, audience: Audience) -> None:
        self._participant = participant
        self._audience = audience
        self._active = True

    def detach(self) -> None:
        """The peer was removed: announce the end of its tracks and listen to it no more."""
        for track in list(self._participant.tracks.values()):
            self.track_unpublished(track)
        self._participant.quality = None
        self._active = False

    def subscribe_offer(self, offer_id: int, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        if self._active:
            self._participant.send(
                WebrtcOffer(transport=TransportName.SUBSCRIBE, sdp=sdp, offer_id=offer_id, subscribed=list(tracks))
            )

    def track_published(self, track: TrackInfo) -> None:
        """To the publisher too: it names its tracks by these ids when it mutes them."""
        if self._active:
            self._participant.tracks[track.track_id] = track
            self._audience.broadcast(TrackPublished(participant_id=self._participant.id, track=track_view(track)))

    def track_unpublished(self, track: TrackInfo) -> None:
        """Not to the publisher: it ended it itself, and a connection that takes over hears nothing before `welcome`."""
        if self._active and self._participant.tracks.pop(track.track_id, None) is not None:
            self._audience.track_ended(track)
            self._audience.broadcast(
                TrackUnpublished(participant_id=self._participant.id, track_id=track.track_id),
                but=self._participant.id,
            )

    def active_speakers(self, dominant: str | None, speaking: Sequence[str]) -> None:
        if self._active:
            self._participant.send(ActiveSpeakers(dominant=dominant, speaking=list(speaking)))

    def delivery(self, track_id: str, state: DeliveryState) -> None:
        if self._active:
            self._participant.send(Subscription(track_id=track_id, state=state))

    def connection_state(self, transport: TransportName, state: str) -> None:
        if self._active:
            log.info("transport_state", participant_id=self._participant.id, transport=transport.value, state=state)
            if self._participant.access != "page":
                self._audience.media_state(self._participant, state)

    def quality(self, report: QualityReport) -> None:
        if not self._active:
            return
        participant = self._participant
        changed = report.quality is not participant.quality
        participant.quality = report.quality
        participant.send(
            ConnectionQuality(participant_id=participant.id, quality=report.quality, findings=list(report.findings))
        )
        if changed:
            self._audience.broadcast(
                ConnectionQuality(participant_id=participant.id, quality=report.quality), but=participant.id
            )

    def limit_reached(self, limit: Limit) -> None:
        if self._active:
            self._participant.send(Error(id=limit.value, detail=WEBSOCKET_ERRORS[limit]))


def track_view(track: TrackInfo) -> TrackView:
    return TrackView(track_id=track.track_id, kind=track.kind, codec=track.codec, muted=track.muted)
