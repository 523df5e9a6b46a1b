"""The figures of a room say what really happened to its packets, over real sockets."""

import struct
from collections.abc import AsyncIterator

import pytest

from sfu.allocation import PAUSED
from sfu.engine import Sfu
from sfu.figures import EncodingFigures, ParticipantFigures, SubscriptionFigures
from sfu.room import Room
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.sfu_client import SfuClient
from tests.support.sfu_media import one_byte_extensions, vp8

AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)


class Call:
    """Alice publishes microphone and camera, Bob watches."""

    def __init__(self, sfu: Sfu, room: Room, alice: SfuClient, bob: SfuClient, senders: list[RtpSender]) -> None:
        self.sfu, self.room, self.alice, self.bob = sfu, room, alice, bob
        self.audio, self.video = senders

    def participant(self, name: str) -> ParticipantFigures:
        figures = self.sfu.figures("r")
        assert figures is not None
        return next(one for one in figures.participants if one.participant_id == name)

    def camera(self) -> EncodingFigures:
        (encoding,) = next(t for t in self.participant("alice").tracks if t.kind == "camera").encodings
        return encoding

    def watched(self) -> SubscriptionFigures:
        """Bob's view of Alice's camera."""
        wanted = next(t for t in self.participant("alice").tracks if t.kind == "camera").track_id
        return next(s for s in self.participant("bob").subscriptions if s.track_id == wanted)

    async def show(self, frames: int) -> None:
        for number in range(frames):
            self.video.send(vp8(number, key=number == 0, body=bytes(300)), 3000 * number, marker=True)
        await self.bob.until(lambda: len(self.bob.got) == frames)

    def retransmit(self, index: int, payload: bytes, timestamp: int) -> None:
        """Alice sends a packet of her camera again (RFC 4588)."""
        transport = self.alice.publishing
        assert transport.outgoing is not None
        header = struct.pack("!BBHII", 0x90, 0x80 | 97, 1, timestamp, VIDEO.rtx_ssrc) + one_byte_extensions((4, b"1"))
        original = (index & 0xFFFF).to_bytes(2, "big")
        transport.send_datagram(transport.outgoing.protect(header, original + payload, VIDEO.rtx_ssrc, 1))

    async def asks(self, client: SfuClient, *compounds: bytes) -> None:
        """RTCP of a client; returns when the server has read it."""
        transport = client.subscribing
        assert transport.outgoing is not None
        before = self.sfu.counters()["received"]
        for compound in compounds:
            transport.send_rtcp(compound)
        await client.until(lambda: self.sfu.counters()["received"] >= before + len(compounds))


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await sfu.start()
    room = sfu.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    senders = await alice.publish(AUDIO, VIDEO)
    await bob.subscribe()
    yield Call(sfu, room, alice, bob, senders)
    await alice.close()
    await bob.close()
    await sfu.close()


async def test_transports_tracks_and_subscriptions_are_named(call: Call) -> None:
    await call.show(10)
    alice, bob = call.participant("alice"), call.participant("bob")
    assert [(t.kind, t.codec, t.muted, t.repair) for t in alice.tracks] == [
        ("microphone", "opus", False, True),
        ("camera", "vp8", False, True),
    ]
    assert (alice.publish.state, alice.publish.srtp_profile) == ("connected", "AEAD_AES_128_GCM")
    assert alice.publish.address is not None
    assert alice.publish.address.startswith("127.0.0.1:")
    assert alice.publish.checks >= 1
    assert alice.publish.last_check_s is not None
    assert 0 <= alice.publish.last_check_s < 30
    assert alice.subscribe.state == "new"
    assert (bob.publish.state, bob.subscribe.state) == ("new", "connected")
    assert {s.track_id for s in bob.subscriptions} == {t.track_id for t in alice.tracks}


async def test_octets_are_counted_both_ways(call: Call) -> None:
    await call.show(10)
    payload = len(vp8(1, key=False, body=bytes(300)))
    received = call.participant("alice").publish.received_octets
    assert 10 * (12 + payload) < received < 10 * (12 + payload + 60) + 500
    assert call.camera().octets == call.participant("bob").subscribe.sent_octets == call.watched().octets
    assert 10 * 300 < call.camera().octets <= 10 * (payload + 10)
    assert (call.camera().packets, call.watched().packets, call.camera().viewers) == (10, 10, 1)


async def test_a_missing_packet_is_counted_as_missed_then_as_repaired(call: Call) -> None:
    await call.show(5)
    lost, payload = call.video.index, vp8(5, key=False, body=bytes(300))
    call.video.seal(payload, 15_000, marker=True)
    call.video.send(vp8(6, key=False, body=bytes(300)), 18_000, marker=True)
    await call.alice.until(lambda: call.camera().nacked > 0)
    figures = call.camera()
    assert (figures.missed, figures.repaired, figures.given_up) == (1, 0, 0)
    call.retransmit(lost, payload, 15_000)
    await call.bob.until(lambda: len(call.bob.got) == 7)
    figures = call.camera()
    assert (figures.missed, figures.repaired, figures.reordered, figures.given_up) == (1, 1, 0, 0)
    totals = call.sfu.counters()
    assert (totals["packets_missed"], totals["packets_repaired"], totals["packets_given_up"]) == (1, 1, 0)


async def test_packets_that_overtook_each_other_are_not_taken_for_lost(call: Call) -> None:
    await call.show(5)
    held = call.video.seal(vp8(5, key=False, body=bytes(300)), 15_000, marker=True)
    call.video.send(vp8(6, key=False, body=bytes(300)), 18_000, marker=True)
    call.alice.publishing.send_datagram(held)
    await call.bob.until(lambda: len(call.bob.got) == 7)
    figures = call.camera()
    assert (figures.missed, figures.reordered + figures.repaired, figures.given_up) == (1, 1, 0)


async def test_what_a_viewer_asks_for_is_counted(call: Call) -> None:
    await call.show(5)
    ssrc, index, _, _ = call.bob.got[-2]
    nack = struct.pack("!BBHIIHH", 0x81, 205, 3, 1, ssrc, index & 0xFFFF, 0)
    unknown = struct.pack("!BBHIIHH", 0x81, 205, 3, 1, ssrc, index + 9000 & 0xFFFF, 0)
    pli = struct.pack("!BBHII", 0x81, 206, 2, 1, ssrc)
    fir = struct.pack("!BBHIIIBxxx", 0x84, 206, 4, 1, 0, ssrc, 7)
    await call.asks(call.bob, nack, unknown, pli, fir, fir)
    figures = call.watched()
    assert (figures.nacked, figures.retransmitted, figures.not_retransmitted) == (2, 1, 1)
    assert (figures.pli, figures.fir) == (1, 2)
    assert call.sfu.counters()["key_frames_asked_for_by_viewers"] == 3
    await call.alice.until(lambda: call.camera().key_frame_requests >= 1)


async def test_why_nothing_is_sent_is_said(call: Call) -> None:
    assert (call.watched().rid, call.watched().reason) == (None, "no_media")
    call.video.send(vp8(0, key=False, body=bytes(300)), 0, marker=True)
    await call.alice.until(lambda: call.watched().reason == "key_frame")
    assert (call.watched().rid, call.watched().wanted_rid) == (None, "")
    call.video.send(vp8(1, key=True, body=bytes(300)), 3000, marker=True)
    await call.bob.until(lambda: call.bob.got)
    assert (call.watched().rid, call.watched().wanted_rid, call.watched().reason) == ("", "", "best")
    assert call.watched().fitting_rid == ""
    call.bob.peer.show(call.watched().track_id, 0)
    assert (call.watched().rid, call.watched().wanted_height, call.watched().reason) == (None, 0, "hidden")


async def test_a_picture_that_the_viewers_network_does_not_carry_is_said_to_be_held_back_by_it(call: Call) -> None:
    await call.show(5)
    assert call.watched().reason == "best"
    call.bob.peer.subscriber._division._note(call.watched().track_id, PAUSED, 1)
    assert call.watched().reason == "network"


async def test_what_is_known_of_a_viewers_network_is_said(call: Call) -> None:
    await call.show(5)
    assert call.participant("alice").publish.estimate is None
    estimate = call.participant("bob").subscribe.estimate
    assert estimate is not None
    assert (estimate.bound, estimate.state, estimate.acknowledged_bps) == ("delay", "start", None)
    remb = struct.pack("!BBHII4sBBHI", 0x8F, 206, 5, 1, 0, b"REMB", 1, 0, 50_000, call.bob.got[0][0])
    await call.asks(call.bob, remb)
    estimate = call.participant("bob").subscribe.estimate
    assert estimate is not None
    assert (estimate.bound, estimate.target_bps) == ("remb", 50_000)
    totals = call.sfu.counters()
    assert totals["probes_sent"] == estimate.probes
    assert totals["probes_answered"] == estimate.probes_answered == 0


async def test_totals_of_the_node_survive_those_who_leave(call: Call) -> None:
    await call.show(10)
    before = call.sfu.counters()
    assert (before["packets_received"], before["packets_sent"]) == (10, 10)
    assert before["octets_received"] == before["octets_sent"] > 3000
    call.room.remove_peer("alice")
    call.room.remove_peer("bob")
    after = call.sfu.counters()
    for name in ("packets_received", "packets_sent", "octets_received", "octets_sent", "packets_expected"):
        assert after[name] == before[name], name


async def test_a_track_that_is_unpublished_stays_in_the_totals(call: Call) -> None:
    await call.show(10)
    call.alice.peer.publish(sdp.offer(call.alice.publishing.credentials, [AUDIO, VIDEO]), [])
    assert call.participant("alice").tracks == []
    totals = call.sfu.counters()
    assert (totals["packets_received"], totals["packets_sent"]) == (10, 10)
    assert call.participant("bob").subscribe.sent_octets == totals["octets_sent"]
