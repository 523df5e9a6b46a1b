"""The media plane alone, in this process, between two raw transports: what is sent arrives once, in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from sfu.engine import Sfu
from sfu.interfaces import (
    DeliveryState,
    Limit,
    QualityReport,
    SubscribedTrack,
    TrackInfo,
    TrackKind,
    TrackRequest,
    TransportName,
)
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_frames, vp8_payloads
from tests.support.raw_peer import RtpSender
from tests.support.raw_transport import Incoming, RawTransport

LINES = (sdp.Outgoing("0", "audio", "opus", 1111), sdp.Outgoing("1", "video", "VP8", 2222, 3333))
REQUESTS = (TrackRequest(mid="0", kind=TrackKind.MICROPHONE), TrackRequest(mid="1", kind=TrackKind.CAMERA))


class Observer:
    """Keeps what a peer says."""

    def __init__(self) -> None:
        self.offers: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.published: list[TrackInfo] = []
        self.states: list[tuple[TransportName, str]] = []
        self.deliveries: list[tuple[str, DeliveryState]] = []
        self.qualities: list[QualityReport] = []

    def subscribe_offer(self, offer_id: int, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        self.offers.put_nowait((offer_id, sdp))

    def track_published(self, track: TrackInfo) -> None:
        self.published.append(track)

    def track_unpublished(self, track: TrackInfo) -> None:
        self.published.remove(track)

    def active_speakers(self, dominant: str | None, speaking: Sequence[str]) -> None: ...

    def delivery(self, track_id: str, state: DeliveryState) -> None:
        self.deliveries.append((track_id, state))

    def connection_state(self, transport: TransportName, state: str) -> None:
        self.states.append((transport, state))

    def quality(self, report: QualityReport) -> None:
        self.qualities.append(report)

    def limit_reached(self, limit: Limit) -> None:
        raise AssertionError(limit)


class Ear:
    """Collects what a subscriber receives."""

    def __init__(self) -> None:
        self.packets: dict[int, list[tuple[int, int, bytes]]] = {}
        self.changed = asyncio.Event()

    def __call__(self, stream: Incoming, index: int, timestamp: int, header: bytes, payload: bytes) -> None:
        self.packets.setdefault(stream.ssrc, []).append((index, timestamp, payload))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def payloads(self) -> list[list[bytes]]:
        return [[payload for _, _, payload in packets] for packets in self.packets.values()]


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await running.start()
    yield running
    await running.close()


def vp8_data(payload: bytes) -> bytes:
    """Without the descriptor that `vp8_payloads` made; its start bit stays."""
    return payload[:2] + payload[4:]


def picture_id(payload: bytes) -> int:
    return int.from_bytes(payload[2:4], "big") & 0x7FFF


async def publish(sfu: Sfu, observer: Observer, name: str) -> list[RtpSender]:
    peer = sfu.open_room("room").add_peer(name, observer)
    transport = RawTransport()
    answer = sdp.Description.parse(peer.publish(sdp.offer(transport.credentials, LINES), REQUESTS))
    await transport.connect(answer)
    return [
        RtpSender(transport, line, media.extension(sdp.MID), media.extension(sdp.TRANSPORT_CC))
        for line, media in zip(LINES, answer.media, strict=True)
    ]


async def subscribe(sfu: Sfu, observer: Observer, name: str, ear: Ear) -> RawTransport:
    peer = sfu.open_room("room").add_peer(name, observer)
    peer.start_subscriptions()
    transport = RawTransport()
    transport.listener = ear
    offer_id, text = await observer.offers.get()
    offered = sdp.Description.parse(text)
    peer.subscribe_answer(offer_id, sdp.answer(transport.credentials, offered))
    await transport.connect(offered)
    return transport


async def test_sound_and_pictures_arrive_unchanged_and_in_order(sfu: Sfu) -> None:
    microphone, camera = await publish(sfu, Observer(), "p_a")
    ear = Ear()
    listener = await subscribe(sfu, Observer(), "p_b", ear)
    sound, frames = opus_packets(40), [list(vp8_payloads(f, n)) for n, f in enumerate(vp8_frames(20))]
    pictures = [payload for frame in frames for payload in frame]
    for number, packet in enumerate(sound):
        microphone.send(packet, number * OPUS_SAMPLES)
        if number % 2 == 0:
            camera.send_frame(frames[number // 2], number // 2 * 3000)
        await asyncio.sleep(0)
    await ear.until(lambda: sum(map(len, ear.packets.values())) >= len(sound) + len(pictures))
    heard, seen = sorted(ear.payloads(), key=lambda payloads: len(payloads[0]))
    assert heard == sound
    assert [vp8_data(payload) for payload in seen] == [vp8_data(payload) for payload in pictures]
    offsets = {(picture_id(got) - picture_id(sent)) & 0x7FFF for got, sent in zip(seen, pictures, strict=True)}
    assert len(offsets) == 1, "picture ids move by one offset for all"
    for packets in ear.packets.values():
        indices = [index for index, _, _ in packets]
        assert indices == list(range(indices[0], indices[0] + len(indices)))
    assert all(stream.lost == 0 and not stream.undecryptable for stream in listener.streams.values())
    await microphone.transport.close()
    await listener.close()
