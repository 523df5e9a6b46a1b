"""Real ICE checks, DTLS and SRTP over loopback: what one peer sends, the other gets, unchanged and once."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sfu.engine import Sfu
from sfu.interfaces import TrackKind, TrackRequest
from sfu.room import Room
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.sfu_client import SfuClient, Sink

VP8_KEY = bytes([0x90, 0x80, 0x80, 0x01, 0x10, 0x00, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01])
VP8_DELTA = bytes([0x90, 0x80, 0x80, 0x02, 0x11, 0x00, 0x00])
AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await sfu.start()
    yield sfu
    await sfu.close()


@pytest.fixture
async def room(sfu: Sfu) -> Room:
    return sfu.open_room("r")


@asynccontextmanager
async def pair(room: Room) -> AsyncIterator[tuple[SfuClient, SfuClient, RtpSender, RtpSender]]:
    """Alice, who publishes; Bob, who watches; Alice's microphone and camera."""
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    audio, video = await alice.publish(AUDIO, VIDEO)
    await bob.subscribe()
    yield alice, bob, audio, video
    await alice.close()
    await bob.close()


async def test_audio_and_video_reach_the_other_peer_unchanged(room: Room) -> None:
    async with pair(room) as (_, bob, audio, video):
        payloads = [bytes([0x78]) + bytes([n]) * 100 for n in range(20)]
        for number, payload in enumerate(payloads):
            audio.send(payload, 960 * number)
        for number in range(10):
            begin = (VP8_KEY if number == 0 else VP8_DELTA) + bytes([number]) * 500
            # Further packets of a frame do not say that it begins (RFC 7741 4.2, S).
            video.send_frame([begin, *[bytes((begin[0] & ~0x10,)) + begin[1:]] * 2], 3000 * number)
        await bob.until(lambda: len(bob.got) == 50)
        by_ssrc: dict[int, list[tuple[int, int, bytes]]] = {}
        for ssrc, index, timestamp, payload in bob.got:
            by_ssrc.setdefault(ssrc, []).append((index, timestamp, payload))
        sound = next(v for v in by_ssrc.values() if v[0][2][0] == 0x78)
        assert [p for _, _, p in sound] == payloads
        assert [i - sound[0][0] for i, _, _ in sound] == list(range(20))
        assert [(t - sound[0][1]) % 2**32 for _, t, _ in sound] == [960 * n for n in range(20)]
        picture = next(v for v in by_ssrc.values() if v[0][2][0] != 0x78)
        assert picture[0][2][4:] == VP8_KEY[4:] + bytes(500)
        ids = [struct.unpack("!H", p[2:4])[0] & 0x7FFF for _, _, p in picture]
        assert (ids[3] - ids[0]) % 0x8000 == 1, "picture ids keep their steps"


def _send_rtx(rtx: RtpSender, payload: bytes, timestamp: int) -> None:
    """As `RtpSender.send`, with the payload type of RTX."""
    assert rtx.transport.outgoing is not None
    index, rtx.index = rtx.index, rtx.index + 1
    header = struct.pack("!BBHII", 0x90, 0x80 | 97, index & 0xFFFF, timestamp, rtx.ssrc)
    header += b"\xbe\xde\x00\x01\x40" + rtx.line.mid.encode() + b"\x00\x00"
    rtx.transport.send_datagram(rtx.transport.outgoing.protect(header, payload, rtx.ssrc, index))


async def test_a_lost_packet_is_asked_for_and_its_retransmission_fills_the_hole_once(room: Room) -> None:
    async with pair(room) as (alice, bob, _, video):
        start = video.index
        packets = [
            video.seal((VP8_KEY if n == 0 else VP8_DELTA) + bytes([n]) * 300, 3000 * n, marker=True) for n in range(6)
        ]
        for n in (0, 1, 2, 4, 5):
            alice.publishing.send_datagram(packets[n])
        await bob.until(lambda: len(bob.got) == 5)
        await alice.until(lambda: any(p[0] & 31 == 1 and p[1] == 205 for p in alice.feedback))
        nack = next(p for p in alice.feedback if p[0] & 31 == 1 and p[1] == 205)
        assert struct.unpack("!IHH", nack[8:16]) == (VIDEO.ssrc, start + 3 & 0xFFFF, 0)
        rtx = RtpSender(alice.publishing, sdp.Outgoing("1", "video", "VP8", VIDEO.rtx_ssrc), 4, 3)
        _send_rtx(rtx, (start + 3 & 0xFFFF).to_bytes(2, "big") + VP8_DELTA + bytes([3]) * 300, 9000)
        await bob.until(lambda: len(bob.got) == 6)
        assert bob.got[-1][1] - bob.got[0][1] == 3
        assert bob.got[-1][3][7:] == bytes([3]) * 300
        alice.publishing.send_datagram(packets[3])  # the original comes after all
        video.send(VP8_DELTA + b"end", 18_000, marker=True)
        await bob.until(lambda: len(bob.got) == 7)
        assert bob.got[-1][1] - bob.got[0][1] == 6


async def test_a_viewer_who_misses_a_packet_gets_it_as_rtx(room: Room) -> None:
    async with pair(room) as (_, bob, _, video):
        for n in range(4):
            video.send((VP8_KEY if n == 0 else VP8_DELTA) + bytes([n]) * 300, 3000 * n, marker=True)
        await bob.until(lambda: len(bob.got) == 4)
        ssrc, index, timestamp, payload = bob.got[2]
        bob.subscribing.send_rtcp(struct.pack("!BBHIIHH", 0x81, 205, 3, 1, ssrc, index & 0xFFFF, 0))
        await bob.until(lambda: len(bob.got) == 5)
        again = bob.got[4]
        assert again[0] != ssrc
        assert again[2] == timestamp
        assert again[3] == (index & 0xFFFF).to_bytes(2, "big") + payload


async def test_key_frame_requests_of_viewers_are_merged_and_reach_the_publisher(room: Room) -> None:
    async with pair(room) as (alice, bob, _, video):
        video.send(VP8_KEY + bytes(100), 0, marker=True)
        await bob.until(lambda: bob.got)

        def requests() -> int:
            return sum(packet[1] == 206 for packet in alice.feedback)

        before = requests()
        for _ in range(20):
            bob.subscribing.send_rtcp(struct.pack("!BBHII", 0x81, 206, 2, 1, bob.got[0][0]))
        await alice.until(lambda: requests() > before)
        assert requests() - before == 1


async def test_arrivals_are_reported_to_the_publisher(room: Room) -> None:
    async with pair(room) as (alice, _, audio, _):
        for number in range(10):
            audio.send(b"\x78" + bytes(50), 960 * number)
        await alice.until(lambda: any(p[1] == 205 and p[0] & 31 == 15 for p in alice.feedback))
        report = next(p for p in alice.feedback if p[1] == 205 and p[0] & 31 == 15)
        base, count = struct.unpack("!HH", report[12:16])
        assert 0 < count <= base + count <= 10


async def test_a_tap_gets_each_packet_once_from_the_start_of_the_recording_to_its_end(room: Room) -> None:
    async with pair(room) as (_, bob, audio, video):
        audio.send(b"\x78before", 0)
        await bob.until(lambda: bob.got)
        sink = Sink()
        room.start_recording(sink)
        audio.send(b"\x78during", 960)
        video.send(VP8_KEY + b"x", 0, marker=True)
        await bob.until(lambda: len(bob.got) == 3)
        room.stop_recording()
        audio.send(b"\x78after", 1920)
        await bob.until(lambda: len(bob.got) == 4)
        assert [p[3] for p in sink.taps["opus"].packets] == [b"\x78during"]
        assert [p[3] for p in sink.taps["vp8"].packets] == [VP8_KEY + b"x"]
        assert all(tap.ended for tap in sink.taps.values())


async def test_unpublishing_ends_the_track_and_a_new_offer_says_so(room: Room) -> None:
    async with pair(room) as (alice, bob, _, _):
        offer = sdp.offer(alice.publishing.credentials, [AUDIO, VIDEO])
        alice.peer.publish(offer, [TrackRequest("0", TrackKind.MICROPHONE)])
        assert [t.kind for t in alice.ended] == [TrackKind.CAMERA]
        _, text, tracks = bob.offers[-1]
        assert [t.kind for t in tracks] == [TrackKind.MICROPHONE]
        assert [m.direction for m in sdp.Description.parse(text).media] == ["sendonly", "inactive"]
