"""A room's media: peers, their tracks, and everybody's subscriptions to everybody else.

Who closes whom: the room closes its peers, a peer its two connections, a connection its transport; a track's end goes
to the taps and to the other peers' subscribers first.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from time import monotonic

import structlog

from sfu.capture_watch import CaptureWatch, Seen
from sfu.descriptions import Local
from sfu.encoding import Encoding
from sfu.inbound import Inbound
from sfu.interfaces import (
    Limit,
    PeerObserver,
    QualityReport,
    RecordingSink,
    TrackInfo,
    TrackKind,
    TrackRequest,
    TransportName,
    Watch,
)
from sfu.limit_watch import LimitWatch
from sfu.publisher import Publisher, requests_of
from sfu.quality import QualityMeter
from sfu.settings import MediaSettings
from sfu.sound import RoomSound
from sfu.stats import observe
from sfu.stillness import Stillness
from sfu.subscriber import Subscriber
from sfu.track import Track
from sfu.transport import Transport
from sfu.viewer import Viewer
from sfu.viewing import read_offer

log = structlog.get_logger()

CAPTURED = (TrackKind.MICROPHONE, TrackKind.CAMERA)
"""What has a device that gives something all the time; a shared screen on which nothing moves sends nothing."""

NewTransport = Callable[[Inbound, Callable[[Transport], None]], Transport]


class Peer:
    """One participant's two connections."""

    def __init__(
        self,
        room: "Room",
        participant_id: str,
        observer: PeerObserver,
        settings: MediaSettings,
        new_transport: NewTransport,
        local: Callable[[Transport], Local],
        new_track_id: Callable[[], str],
        touched: list[Encoding],
    ) -> None:
        self._room = room
        self.participant_id = participant_id
        self.observer = observer
        self.closed = False
        self.publisher = Publisher(
            participant_id,
            settings,
            lambda inbound: new_transport(inbound, self._publish_state),
            local,
            new_track_id,
            touched,
            room._heard,
            self._codec_changed,
        )
        self._new_subscribe = lambda inbound: new_transport(inbound, self._subscribe_state)
        self._local = local
        self._max_subscriptions = settings.limits.subscriptions
        self.subscriber = Subscriber(
            self._new_subscribe, local, observer.subscribe_offer, self._max_subscriptions, observer.delivery
        )
        self._limits = LimitWatch()
        self._meter = QualityMeter()

    @property
    def quality(self) -> QualityReport | None:
        """As it was told last."""
        return self._meter.report

    @property
    def tracks(self) -> list[TrackInfo]:
        return [track.info for track in self.publisher.tracks.values()]

    @property
    def connection_states(self) -> dict[TransportName, str]:
        publish, subscribe = self.publisher.transport, self.subscriber.transport
        return {
            TransportName.PUBLISH: publish.state if publish else "new",
            TransportName.SUBSCRIBE: subscribe.state if subscribe else "new",
        }

    def publish(self, sdp: str, tracks: Sequence[TrackRequest]) -> str:
        """The answer to a publish offer. Raises NegotiationError."""
        answer, new, ended = self.publisher.offer(sdp, tracks)
        for track in ended:
            self._room._ended(self, track)
        for track in new:
            self._room._published(self, track)
        return answer

    def watch(self, sdp: str, watch: Watch) -> str:
        """The answer to the offer of a client that receives what the server chooses (WHEP), instead of subscriptions
        that the server offers. Raises NegotiationError, and then nothing changed."""
        viewer = Viewer(
            self._new_subscribe,
            self._local,
            self._max_subscriptions,
            self.observer.delivery,
            watch,
            lambda: self._room.tracks_for(self),
        )
        answer = viewer.take_offer(sdp)
        self.subscriber.close()
        self.subscriber = viewer
        return answer

    def start_subscriptions(self) -> None:
        """The observer can send: offer what there is, now and whenever it changes."""
        self.subscriber.ready()
        self._tell_speakers()

    def subscribe_answer(self, offer_id: int, sdp: str) -> None:
        """Raises NegotiationError."""
        self.subscriber.answer(offer_id, sdp)

    def resend_offer(self) -> None:
        self.subscriber.resend()
        self._tell_speakers()

    def _tell_speakers(self) -> None:
        sound = self._room.sound
        self.observer.active_speakers(sound.dominant, sound.speaking)

    def restart_ice(self) -> bool:
        """Offer the subscribe connection with new ICE credentials. False: that connection was given up."""
        return self.subscriber.restart_ice()

    def show(self, track_id: str, height: int) -> None:
        """The participant shows somebody's track in so many lines, 0: not at all."""
        self.subscriber.show(track_id, height)

    def set_muted(self, track_id: str, muted: bool) -> bool:
        """False: the peer has no such track."""
        for track in self.publisher.tracks.values():
            if track.track_id == track_id:
                track.mute(muted, monotonic())
                return True
        return False

    def look(self, now: float) -> None:
        """Once a second: what the participant should be told about its media."""
        for limit in self._limits.reached(self._exceeded(), now):
            self._room.events[f"limit_{limit}"] += 1
            log.warning("limit_reached", participant_id=self.participant_id, limit=limit.value)
            self.observer.limit_reached(limit)
        report = self._meter.update(observe(self), now)
        if report is not None:
            self.observer.quality(report)

    def _exceeded(self) -> dict[Limit, int]:
        """How often each limit was exceeded, on the connections that there are."""
        transports = [t for t in (self.publisher.transport, self.subscriber.transport) if t is not None]
        return {
            Limit.INCOMING: sum(transport.dropped_policed for transport in transports),
            Limit.STREAMS: sum(transport.inbound.dropped_limit for transport in transports),
            Limit.SUBSCRIPTIONS: self.subscriber.not_offered,
        }

    def _codec_changed(self, before: Track, after: Track) -> None:
        self._room._ended(self, before)
        self._room._published(self, after)

    def _publish_state(self, transport: Transport) -> None:
        if transport is self.publisher.transport and not self.closed:
            if transport.state in ("failed", "closed"):
                for track in self.publisher._drop_all():
                    self._room._ended(self, track)
            self.observer.connection_state(TransportName.PUBLISH, transport.state)

    def _subscribe_state(self, transport: Transport) -> None:
        if transport is self.subscriber.transport and not self.closed:
            self.subscriber.run()
            self.observer.connection_state(TransportName.SUBSCRIBE, transport.state)


class Room:
    def __init__(
        self,
        room_id: str,
        settings: MediaSettings,
        new_transport: NewTransport,
        local: Callable[[Transport], Local],
        new_track_id: Callable[[], str],
        touched: list[Encoding],
        events: Counter[str],
    ) -> None:
        """`events`: where what happens to participants is counted."""
        self.room_id = room_id
        self.peers: dict[str, Peer] = {}
        self._settings = settings
        self._new_transport = new_transport
        self._local = local
        self._new_track_id = new_track_id
        self._touched = touched
        self.events = events
        self._sink: RecordingSink | None = None
        self._tracks: dict[str, Track] = {}
        """All tracks of the room by id, in the order in which they were published."""
        self.sound = RoomSound(settings.loudest)
        self._captures: dict[str, CaptureWatch] = {}
        """By track id, of the microphones and cameras that are recorded."""
        self._stillness: dict[str, Stillness] = {}
        """By track id, of these cameras."""

    @property
    def dominant(self) -> str | None:
        """Id of the participant who leads the conversation, or led until everybody fell silent."""
        return self.sound.dominant

    def add_peer(self, participant_id: str, observer: PeerObserver) -> Peer:
        """A new peer of this participant; an old one is removed."""
        self.remove_peer(participant_id)
        peer = Peer(
            self,
            participant_id,
            observer,
            self._settings,
            self._new_transport,
            self._local,
            self._new_track_id,
            self._touched,
        )
        for other in self.peers.values():
            for track in other.publisher.tracks.values():
                peer.subscriber.add(track)
        self.peers[participant_id] = peer
        return peer

    def remove_peer(self, participant_id: str) -> None:
        peer = self.peers.pop(participant_id, None)
        if peer is None:
            return
        peer.closed = True
        for track in peer.publisher.close():
            self._ended(peer, track)
        peer.subscriber.close()

    def tracks(self) -> list[TrackInfo]:
        return [info for peer in self.peers.values() for info in peer.tracks]

    def tracks_for(self, viewer: Peer) -> list[Track]:
        """What others publish, in the order in which it was published."""
        return [track for track in self._tracks.values() if track.participant_id != viewer.participant_id]

    def requests_of(self, sdp: str) -> list[TrackRequest]:
        """What an offer without requests publishes (sfu.publisher). Raises NegotiationError."""
        return requests_of(sdp, self._settings.video_codecs)

    def check_watch(self, sdp: str, watch: Watch) -> None:
        """Raises NegotiationError if the offer to watch of somebody who publishes nothing cannot be answered now."""
        read_offer(sdp, self._tracks.values(), watch)

    def start_recording(self, sink: RecordingSink) -> None:
        """From now on every encoding, present and future, is offered to `sink`."""
        self._sink = sink
        self._tell_sink()
        now = monotonic()
        for peer in self.peers.values():
            for track in peer.publisher.tracks.values():
                for encoding in track.encodings():
                    track.record(encoding, sink, now)

    def stop_recording(self) -> None:
        """Nothing that is sent from now on is recorded; what is missing is waited for (sfu.tap)."""
        self._sink = None
        self._captures.clear()
        self._stillness.clear()
        now = monotonic()
        for peer in self.peers.values():
            for track in peer.publisher.tracks.values():
                track.stop_taps(now)

    def listen(self, now: float) -> None:
        """Every `sfu.voice.STEP_S`: who speaks, and whose sound is forwarded."""
        microphones = [
            track
            for peer in self.peers.values()
            for track in peer.publisher.tracks.values()
            if track.kind is TrackKind.MICROPHONE
        ]
        if self.sound.step(microphones, len(self.peers), now):
            self._tell_sink()
            for peer in self.peers.values():
                peer._tell_speakers()

    def _tell_sink(self) -> None:
        if self._sink is not None:
            try:
                self._sink.speakers(self.sound.dominant, self.sound.speaking)
            except Exception:  # a fault of the recorder must not touch the call
                log.exception("speakers_not_recorded", room_id=self.room_id)

    def watch_captures(self, now: float) -> None:
        """A few times a second: whether what is recorded still comes from its devices."""
        sink = self._sink
        for peer in self.peers.values() if sink is not None else ():
            transport = peer.publisher.transport
            for track in peer.publisher.tracks.values():
                if transport is None or track.kind not in CAPTURED or not track.encodings():
                    continue
                watch = self._captures.setdefault(track.track_id, CaptureWatch())
                before = watch.stalled
                if watch.look(_seen(track, transport), now) is not before:
                    self._tell_stalled(track.track_id, watch.since if watch.stalled else None)
                if track.kind is TrackKind.CAMERA:
                    self._look_closer(track, now)

    def _look_closer(self, track: Track, now: float) -> None:
        """Have the recorder see what a camera shows that may be black or stand still."""
        if track.muted or not track.flowing:
            self._stillness.pop(track.track_id, None)
            return
        stillness = self._stillness.setdefault(track.track_id, Stillness())
        recorded = track.flowing[-1]
        if stillness.look(recorded.octets, recorded.frames, recorded.key_frames, now):
            recorded.want_key_frame()

    def _tell_stalled(self, track_id: str, since: float | None) -> None:
        log.info("capture_stalled" if since is not None else "capture_goes_on", track_id=track_id)
        if self._sink is not None:
            try:
                self._sink.stalled(track_id, since)
            except Exception:  # a fault of the recorder must not touch the call
                log.exception("stall_not_told", track_id=track_id)

    def choose_layers(self, now: float) -> Iterator[None]:
        """A few times a second: senders switch layers on and off, and viewers' networks carry more or less. It may be
        interrupted where it yields, as the two below."""
        for peer in list(self.peers.values()):
            for track in peer.publisher.tracks.values():
                track.measure(now)
        yield
        for peer in list(self.peers.values()):
            if not peer.closed:
                peer.subscriber.divide(self.dominant, now)
                yield

    def hurry(self, now: float) -> Iterator[None]:
        """More often: whose network carries much less than a moment ago does not wait for its turn."""
        for peer in list(self.peers.values()):
            if not peer.closed:
                peer.subscriber.hurry(self.dominant, now)
                yield

    def look(self, now: float) -> Iterator[None]:
        """Once a second."""
        for peer in list(self.peers.values()):
            if not peer.closed:
                peer.look(now)
                yield

    def close(self) -> None:
        for participant_id in list(self.peers):
            self.remove_peer(participant_id)

    # --- told by peers

    def _published(self, peer: Peer, track: Track) -> None:
        self._tracks[track.track_id] = track
        for other in self.peers.values():
            if other is not peer:
                other.subscriber.add(track)
        peer.observer.track_published(track.info)

    def _ended(self, peer: Peer, track: Track) -> None:
        self._tracks.pop(track.track_id, None)
        self._captures.pop(track.track_id, None)
        self._stillness.pop(track.track_id, None)
        track.end_taps(monotonic())
        for other in self.peers.values():
            other.subscriber.remove(track)
        peer.observer.track_unpublished(track.info)

    def _heard(self, track: Track, encoding: Encoding) -> None:
        log.info("encoding_heard", track_id=track.track_id, ssrc=encoding.ssrc, codec=encoding.info.codec)
        if self._sink is not None:
            track.record(encoding, self._sink, monotonic())
        track.heard(encoding)


def _seen(track: Track, transport: Transport) -> Seen:
    encodings = track.encodings()
    one = encodings[0] if len(encodings) == 1 else None
    return Seen(
        muted=track.muted,
        heard=transport.octets + transport.ice.checks,
        packets=sum(encoding.packets for encoding in encodings),
        stream=(one.ssrc, one.last_timestamp, one.clock_rate_hz) if one is not None else None,
    )
