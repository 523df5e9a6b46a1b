"""The media plane without media: what `signaling` asks of it is kept, and a test says what arrives.

An offer is taken for what its `tracks` name; tracks not named any more end. `hear` is the first packet of an encoding.
"""

from collections.abc import Sequence

import msgspec

from sfu.figures import (
    EncodingFigures,
    EstimateFigures,
    ParticipantFigures,
    Reason,
    RoomFigures,
    SubscriptionFigures,
    TrackFigures,
    TransportFigures,
)
from sfu.interfaces import (
    NegotiationError,
    PacketTap,
    PeerObserver,
    RecordingSink,
    StreamInfo,
    SubscribedTrack,
    TrackInfo,
    TrackKind,
    TrackRequest,
    TransportName,
    Watch,
)
from storage.ids import new_id

BAD_SDP = "this is no SDP"


class FakePeer:
    def __init__(self, room: "FakeRoom", participant_id: str, observer: PeerObserver) -> None:
        self.room = room
        self.participant_id = participant_id
        self.observer = observer
        self.by_mid: dict[str, TrackInfo] = {}
        self.taps: dict[str, list[PacketTap]] = {}
        self.answers: list[tuple[int, str]] = []
        self.shown: list[tuple[str, int]] = []
        self.offers = 0
        self.started = False
        self.gone = False
        """Its subscribe connection was given up."""

        self.watches: Watch | None = None
        self.connection_states: dict[TransportName, str] = {}

    def publish(self, sdp: str, tracks: Sequence[TrackRequest]) -> str:
        if sdp == BAD_SDP:
            raise NegotiationError("bad_sdp", "no media section")
        named = {request.mid for request in tracks}
        for mid in [mid for mid in self.by_mid if mid not in named]:
            self.end(self.by_mid.pop(mid))
        for request in tracks:
            if request.mid not in self.by_mid:
                codec = "opus" if request.kind.media == "audio" else "vp8"
                track = TrackInfo(new_id("t"), self.participant_id, request.kind, codec)
                self.by_mid[request.mid] = track
                self.observer.track_published(track)
        return f"answer to {sdp}"

    def watch(self, sdp: str, watch: Watch) -> str:
        self.room.check_watch(sdp, watch)
        self.watches = watch
        return f"answer to {sdp}"

    def start_subscriptions(self) -> None:
        self.started = True
        self.resend_offer()

    def resend_offer(self) -> None:
        self.offers += 1
        others = [track for track in self.room.tracks() if track.participant_id != self.participant_id]
        subscribed = [
            SubscribedTrack(mid=str(mid), track_id=track.track_id, participant_id=track.participant_id, kind=track.kind)
            for mid, track in enumerate(others)
        ]
        self.observer.subscribe_offer(self.offers, "subscribe offer", subscribed)

    def subscribe_answer(self, offer_id: int, sdp: str) -> None:
        if sdp == BAD_SDP:
            raise NegotiationError("bad_sdp", "no media section")
        self.answers.append((offer_id, sdp))

    def restart_ice(self) -> bool:
        if not self.gone:
            self.resend_offer()
        return not self.gone

    def show(self, track_id: str, height: int) -> None:
        self.shown.append((track_id, height))

    def set_muted(self, track_id: str, muted: bool) -> bool:
        return any(track.track_id == track_id for track in self.by_mid.values())

    def hear(self, mid: str, ssrc: int = 1) -> PacketTap | None:
        """The first packet of an encoding of the track on `mid`."""
        track = self.by_mid[mid]
        stream = StreamInfo(
            ssrc=ssrc, rid="", codec=track.codec, payload_type=96, clock_rate_hz=90_000, channels=0, fmtp=""
        )
        tap = self.room.sink.open(track, stream, 0.0) if self.room.sink else None
        if tap is not None:
            self.taps.setdefault(track.track_id, []).append(tap)
        return tap

    def end(self, track: TrackInfo) -> None:
        for tap in self.taps.pop(track.track_id, []):
            tap.end(0.0)
        self.observer.track_unpublished(track)


class FakeRoom:
    def __init__(self) -> None:
        self.peers: dict[str, FakePeer] = {}
        self.sink: RecordingSink | None = None

    def add_peer(self, participant_id: str, observer: PeerObserver) -> FakePeer:
        assert participant_id not in self.peers, "the old peer is removed first"
        peer = self.peers[participant_id] = FakePeer(self, participant_id, observer)
        return peer

    def remove_peer(self, participant_id: str) -> None:
        peer = self.peers.pop(participant_id, None)
        if peer is not None:
            for track in peer.by_mid.values():
                peer.end(track)

    def requests_of(self, sdp: str) -> list[TrackRequest]:
        """Of any offer: a microphone and a camera."""
        if sdp == BAD_SDP:
            raise NegotiationError("bad_sdp", "no media section")
        return [TrackRequest("0", TrackKind.MICROPHONE), TrackRequest("1", TrackKind.CAMERA)]

    def check_watch(self, sdp: str, watch: Watch) -> None:
        if sdp == BAD_SDP:
            raise NegotiationError("bad_sdp", "no media section")
        if not any(watch.participant_id in ("", track.participant_id) for track in self.tracks()):
            raise NegotiationError("nothing_to_watch", "nothing is published")

    def start_recording(self, sink: RecordingSink) -> None:
        self.sink = sink

    def stop_recording(self) -> None:
        self.sink = None
        for peer in self.peers.values():
            for taps in peer.taps.values():
                for tap in taps:
                    tap.end(0.0)
            peer.taps.clear()

    def tracks(self) -> list[TrackInfo]:
        return [track for peer in self.peers.values() for track in peer.by_mid.values()]


class FakeSfu:
    def __init__(self) -> None:
        self.rooms: dict[str, FakeRoom] = {}

    def open_room(self, room_id: str) -> FakeRoom:
        return self.rooms.setdefault(room_id, FakeRoom())

    def close_room(self, room_id: str) -> None:
        room = self.rooms.pop(room_id)
        for participant_id in list(room.peers):
            room.remove_peer(participant_id)

    def figures(self, room_id: str) -> RoomFigures | None:
        if room_id not in self.rooms:
            return None
        peers = self.rooms[room_id].peers.values()
        return RoomFigures(
            room_id=room_id, dominant=None, speaking=[], loudest=None, participants=[_figures(peer) for peer in peers]
        )

    def counters(self) -> dict[str, int]:
        return {"datagrams_received": 7}


def _figures(peer: FakePeer) -> ParticipantFigures:
    """1000 bit/s from each of its tracks, 500 to it, held there by its network's loss; nothing else."""
    return ParticipantFigures(
        participant_id=peer.participant_id,
        rtt_ms=None,
        connection=None,
        publish=TransportFigures(state="new"),
        subscribe=TransportFigures(state="connected", estimate=_estimate()),
        left_out=[],
        tracks=[_track(track) for track in peer.by_mid.values()],
        subscriptions=[_subscription(500)],
    )


def _track(track: TrackInfo) -> TrackFigures:
    encoding = msgspec.convert(_zero(EncodingFigures) | {"ssrc": 1, "bitrate_bps": 1000}, EncodingFigures)
    return TrackFigures(
        track_id=track.track_id,
        kind=track.kind,
        codec=track.codec,
        muted=False,
        repair=True,
        sound=None,
        encodings=[encoding],
    )


def _subscription(bitrate_bps: int) -> SubscriptionFigures:
    told = {"bitrate_bps": bitrate_bps, "reason": Reason.NETWORK}
    return msgspec.convert(_zero(SubscriptionFigures) | told, SubscriptionFigures)


def _estimate() -> EstimateFigures:
    return msgspec.convert(_zero(EstimateFigures) | {"bound": "loss"}, EstimateFigures)


def _zero(kind: type[msgspec.Struct]) -> dict[str, object]:
    """A value for every field: nothing happened."""
    values = {int: 0, float: 0.0, str: ""}
    return {field.name: values.get(field.type) for field in msgspec.structs.fields(kind)}
