"""A participant of an in-process Sfu whose signaling is function calls: real ICE, DTLS and SRTP over loopback."""

import asyncio
from collections.abc import Callable, Sequence

from sfu.interfaces import (
    DeliveryState,
    Limit,
    QualityReport,
    StreamInfo,
    SubscribedTrack,
    TrackInfo,
    TrackKind,
    TrackRequest,
    TransportName,
    Watch,
)
from sfu.room import Room
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.raw_transport import Incoming, RawTransport
from tests.support.taps import QuietSink, QuietTap

WAIT_S = 5.0
_KINDS = {"audio": TrackKind.MICROPHONE, "video": TrackKind.CAMERA}


class SfuClient:
    """Publishes and subscribes; `got` has every packet that came: SSRC, index, timestamp, payload."""

    def __init__(self, room: Room, name: str, transport: Callable[[], RawTransport] = RawTransport) -> None:
        self.publishing = transport()
        self.subscribing = transport()
        self.subscribing.listener = self._packet
        self.changed = asyncio.Event()
        self.subscribing.on_activity = self.publishing.on_activity = self.changed.set
        self.offers: list[tuple[int, str, Sequence[SubscribedTrack]]] = []
        self.states: list[tuple[TransportName, str]] = []
        self.limits: list[Limit] = []
        self.deliveries: list[tuple[str, DeliveryState]] = []
        self.qualities: list[QualityReport] = []
        self.got: list[tuple[int, int, int, bytes]] = []
        self.published: list[TrackInfo] = []
        self.ended: list[TrackInfo] = []
        self.speakers: list[tuple[str | None, tuple[str, ...]]] = []
        """Who was announced: dominant, speaking."""
        self.feedback: list[bytes] = []
        """RTCP that came to the publish connection."""
        self.publishing.on_rtcp = self.feedback.append
        self.peer = room.add_peer(name, self)

    def _packet(self, stream: Incoming, index: int, timestamp: int, header: bytes, payload: bytes) -> None:
        self.got.append((stream.ssrc, index, timestamp, payload))

    # --- PeerObserver

    def subscribe_offer(self, offer_id: int, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        self.offers.append((offer_id, sdp, tracks))

    def track_published(self, track: TrackInfo) -> None:
        self.published.append(track)

    def track_unpublished(self, track: TrackInfo) -> None:
        self.ended.append(track)

    def active_speakers(self, dominant: str | None, speaking: Sequence[str]) -> None:
        self.speakers.append((dominant, tuple(speaking)))
        self.changed.set()

    def delivery(self, track_id: str, state: DeliveryState) -> None:
        self.deliveries.append((track_id, state))

    def connection_state(self, transport: TransportName, state: str) -> None:
        self.states.append((transport, state))
        self.changed.set()

    def quality(self, report: QualityReport) -> None:
        self.qualities.append(report)
        self.changed.set()

    def limit_reached(self, limit: Limit) -> None:
        self.limits.append(limit)
        self.changed.set()

    # --- what a test does

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds; looked at after every wakeup of a socket and every change of state."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def publish(self, *lines: sdp.Outgoing) -> list[RtpSender]:
        requests = [TrackRequest(line.mid, _KINDS[line.kind]) for line in lines]
        answer = sdp.Description.parse(self.peer.publish(sdp.offer(self.publishing.credentials, lines), requests))
        await self.publishing.connect(answer)
        return [
            RtpSender(self.publishing, line, *map(media.extension, (sdp.MID, sdp.TRANSPORT_CC, sdp.AUDIO_LEVEL)))
            for line, media in zip(lines, answer.media, strict=True)
        ]

    async def subscribe(self, edited: Callable[[str], str] = lambda answer: answer) -> None:
        """Take all that is offered, by an answer that may be edited."""
        self.peer.start_subscriptions()
        offer_id, text, _ = self.offers[-1]
        offered = sdp.Description.parse(text)
        self.peer.subscribe_answer(offer_id, edited(sdp.answer(self.subscribing.credentials, offered)))
        await self.subscribing.connect(offered)
        await self.until(lambda: (TransportName.SUBSCRIBE, "connected") in self.states)

    async def watch(self, *lines: sdp.Outgoing, watch: Watch | None = None) -> sdp.Description:
        """Offer to receive what these m-lines say (their SSRCs do not count); the server's answer."""
        offer = sdp.offer(self.subscribing.credentials, lines).replace("a=sendonly", "a=recvonly")
        answer = sdp.Description.parse(self.peer.watch(offer, watch or Watch()))
        await self.subscribing.connect(answer)
        await self.until(lambda: (TransportName.SUBSCRIBE, "connected") in self.states)
        return answer

    async def close(self) -> None:
        await self.publishing.close()
        await self.subscribing.close()


class Tap(QuietTap):
    """Keeps what a PacketTap is given."""

    def __init__(self) -> None:
        self.packets: list[tuple[int, int, bool, bytes]] = []
        self.reports: list[tuple[int, int]] = []
        self.ended = False

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        self.packets.append((index, timestamp, marker, payload))

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None:
        self.reports.append((ntp_timestamp, rtp_timestamp))

    def end(self, now_s: float) -> None:
        self.ended = True


class Sink(QuietSink):
    """A RecordingSink with one Tap per codec."""

    def __init__(self) -> None:
        self.taps: dict[str, Tap] = {}

    def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> Tap:
        self.taps[stream.codec] = Tap()
        return self.taps[stream.codec]
