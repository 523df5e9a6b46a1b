"""Attacks over real sockets: a call that runs is not disturbed, what is refused is counted, and nothing grows.

Numbers in comments are those of the project's list of attacks on the media plane.
"""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aioice import stun
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from OpenSSL import SSL
from structlog.testing import capture_logs

import sfu.dtls
from sfu.engine import Sfu
from sfu.interfaces import TrackKind, TrackRequest, TransportName
from sfu.room import Room
from sfu.settings import MediaLimits, MediaSettings
from sfu.subscription import MAX_RETRANSMISSIONS
from tests.support import sdp, srtp
from tests.support.raw_peer import RtpSender
from tests.support.sfu_client import SfuClient
from tests.support.sfu_media import one_byte_extensions, vp8

AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)
WAIT_S = 10.0
MALLORY_BURST = 40
"""Hostile datagrams sent before the server is given time: more would overflow its socket and never be seen."""


@pytest.fixture
async def sfu_() -> AsyncIterator[Sfu]:
    # Not policed: everything hostile is to reach what reads it (tests/integration/test_sfu_limits.py has the rest).
    limits = MediaLimits(incoming_bps=1_000_000_000)
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",), limits=limits))
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def call(sfu_: Sfu) -> AsyncIterator["Call"]:
    """Alice publishes microphone and camera, Bob watches; both work before the test begins and must after it."""
    async with established(sfu_) as running:
        yield running
        await running.still_works()


class Attacker:
    """A socket whose address never passed a check."""

    def __init__(self, sfu: Sfu) -> None:
        self._sfu = sfu
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", sfu.port))
        self._socket.setblocking(False)
        self.sent_bytes = 0

    async def send(self, *datagrams: bytes) -> None:
        """Send, and wait until the server has read them."""
        await at_a_pace(self._sfu, self._socket.send, datagrams)
        self.sent_bytes += sum(map(len, datagrams))

    def answers(self) -> list[bytes]:
        got: list[bytes] = []
        while True:
            try:
                got.append(self._socket.recv(65_536))
            except BlockingIOError:
                return got

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def mallory(sfu_: Sfu) -> AsyncIterator[Attacker]:
    attacker = Attacker(sfu_)
    yield attacker
    attacker.close()


async def holds(condition: Callable[[], object]) -> None:
    """Give the loop its turns until the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0)


async def at_a_pace(sfu: Sfu, send: Callable[[bytes], object], datagrams: tuple[bytes, ...] | list[bytes]) -> None:
    for start in range(0, len(datagrams), MALLORY_BURST):
        burst = datagrams[start : start + MALLORY_BURST]
        expected = sfu.counters()["received"] + len(burst)
        for datagram in burst:
            send(datagram)
        await holds(lambda expected=expected: sfu.counters()["received"] >= expected)  # type: ignore[misc]


class Call:
    def __init__(self, sfu: Sfu, room: Room, alice: SfuClient, bob: SfuClient, senders: list[RtpSender]) -> None:
        self.sfu, self.room, self.alice, self.bob = sfu, room, alice, bob
        self.audio, self.video = senders
        self._sent = 0
        self.began = sfu.counters()

    def counted(self, name: str) -> int:
        """What a counter of the server grew by since the call was established."""
        return self.sfu.counters()[name] - self.began.get(name, 0)

    async def still_works(self) -> None:
        """Audio passes, in order, once, and nothing else than it and earlier media has passed."""
        expected = [b"\x78" + b"%d" % (self._sent + n) for n in range(5)]
        for payload in expected:
            self.audio.send(payload, 960 * self._sent)
            self._sent += 1
        await self.bob.until(lambda: expected[-1] in self.heard())
        assert self.heard() == [b"\x78" + b"%d" % n for n in range(self._sent)]
        assert self.room.peers["alice"].connection_states[TransportName.PUBLISH] == "connected"
        assert self.room.peers["bob"].connection_states[TransportName.SUBSCRIBE] == "connected"

    def heard(self) -> list[bytes]:
        """Audio payloads that Bob got."""
        return [payload for _, _, _, payload in self.bob.got if payload[:1] == b"\x78"]

    async def from_alice(self, *datagrams: bytes) -> None:
        """Send from Alice's address, which passed its check."""
        await at_a_pace(self.sfu, self.alice.publishing.send_datagram, list(datagrams))

    async def rtcp_from(self, client: SfuClient, *compounds: bytes) -> None:
        transport = client.subscribing if client is self.bob else client.publishing
        assert transport.outgoing is not None
        sealed = [transport.outgoing.protect_rtcp(compound) for compound in compounds]
        await at_a_pace(self.sfu, transport.send_datagram, sealed)

    async def watch_video(self, frames: int) -> list[tuple[int, int, int, bytes]]:
        """Let video flow, so that Bob's camera subscription runs; what Bob got of it."""
        before = len(self.bob.got)
        for n in range(frames):
            self.video.send(vp8(n, key=n == 0, body=bytes(300)), 3000 * n, marker=True)
        await self.bob.until(lambda: len(self.bob.got) == before + frames)
        return self.bob.got[before:]


@asynccontextmanager
async def established(sfu: Sfu) -> AsyncIterator[Call]:
    room = sfu.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    senders = await alice.publish(AUDIO, VIDEO)
    await bob.subscribe()
    running = Call(sfu, room, alice, bob, senders)
    await running.still_works()
    running.began = sfu.counters()
    yield running
    await alice.close()
    await bob.close()


def client_hello() -> bytes:
    context = RTCCertificate.generateCertificate()._create_ssl_context(srtp_profiles=SRTP_PROFILES)
    connection = SSL.Connection(context)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    hello: bytes = connection.bio_read(1500)
    return hello


ALERT = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"
CLOSE_NOTIFY = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x01\x00"
FOREIGN_KEYS = srtp.Direction(b"k" * 16, b"s" * 12)


def sealed_with_foreign_keys(ssrc: int, sequence: int = 1, payload_type: int = 111) -> bytes:
    header = struct.pack("!BBHII", 0x90, payload_type, sequence, 0, ssrc) + one_byte_extensions((4, b"0"))
    return FOREIGN_KEYS.protect(header, b"foreign", ssrc, sequence)


# --- 1, 2: sizes


async def test_empty_one_byte_and_oversized_datagrams_are_dropped_and_counted(call: Call, mallory: Attacker) -> None:
    sizes = [b"", b"\x80", bytes(1), b"\x80" + bytes(1500), b"\x80" + bytes(60_000)]
    with capture_logs() as logs:
        await mallory.send(*sizes)
        await call.from_alice(*sizes)
    assert call.counted("dropped_size") == 6
    assert call.counted("dropped_source") == 1
    assert call.counted("dropped_short") == 1
    assert call.counted("refused_checks") == 2
    assert logs == [], "a stranger cannot fill the log"
    assert mallory.answers() == []


async def test_every_length_of_everything_from_a_checked_address_leaves_the_media_alone(call: Call) -> None:
    noise = random.Random(1)
    heads = (b"\x80\x60", b"\x80\xc9", b"\xbf\xff", b"\x90\x6f", b"\x16\xfe\xfd", b"\x17\xfe\xfd", b"\x00\x01", b"\x41")
    with capture_logs() as logs:
        for size in range(1601):
            body = noise.randbytes(size)
            await call.from_alice(*((head + body)[:size] for head in heads))
            if size % 160 == 0:
                await call.still_works()
    assert call.counted("dropped_size") == len(heads) * 101
    assert logs == []


async def test_rtp_and_rtcp_of_every_length_with_the_ssrc_of_a_stream_are_refused(call: Call) -> None:
    noise = random.Random(2)
    for size in range(0, 1489, 7):
        for first, second in ((0x80, 111), (0x90, 111), (0x9F, 111), (0xB0, 96), (0x80, 200), (0x8F, 205)):
            head = struct.pack("!BBHII", first, second, noise.randrange(65536), 0, AUDIO.ssrc)
            await call.from_alice(head + noise.randbytes(size))
    await call.still_works()
    assert call.counted("rtcp_refused") > 400


# --- 3, 4: third parties


async def test_a_third_party_is_ignored_before_during_and_after_a_handshake(sfu_: Sfu, mallory: Attacker) -> None:
    hostile = [client_hello(), ALERT, CLOSE_NOTIFY, b"\x16\xfe\xfd" + bytes(60), sealed_with_foreign_keys(AUDIO.ssrc)]
    room = sfu_.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    send = alice.publishing.send_datagram
    during = 0

    def send_and_be_attacked(datagram: bytes) -> bool:
        nonlocal during
        for attack in hostile:
            mallory._socket.send(attack)
            during += 1
        return send(datagram)

    alice.publishing.send_datagram = send_and_be_attacked  # type: ignore[method-assign]
    await mallory.send(*hostile)
    before = sfu_.counters()["dropped_source"]
    assert before == len(hostile)
    senders = await alice.publish(AUDIO, VIDEO)
    alice.publishing.send_datagram = send  # type: ignore[method-assign]
    assert during >= 2 * len(hostile)
    await bob.subscribe()
    running = Call(sfu_, room, alice, bob, senders)
    await running.still_works()
    await mallory.send(*hostile)
    await running.still_works()
    assert sfu_.counters()["dropped_source"] == before + during + len(hostile)
    assert mallory.answers() == []
    await alice.close()
    await bob.close()


async def test_a_second_client_hello_and_alerts_in_clear_from_the_checked_address_change_nothing(call: Call) -> None:
    await call.from_alice(*[client_hello(), ALERT, CLOSE_NOTIFY] * 20)
    await call.still_works()


async def test_srtp_with_the_right_ssrc_and_wrong_keys_is_refused(call: Call) -> None:
    await call.from_alice(*(sealed_with_foreign_keys(AUDIO.ssrc, n) for n in range(200)))
    await call.from_alice(*(sealed_with_foreign_keys(4444, n) for n in range(200)))
    stats = call.sfu.stats("r")
    assert stats is not None
    published = {p["participant_id"]: p for p in stats["participants"]}["alice"]["tracks"]
    refused = {t["kind"]: t["encodings"] for t in published}["microphone"][0]
    assert refused["refused"] + refused["replayed"] == 200
    assert call.counted("dropped_unknown") == 200


# --- 5: replays


async def test_srtp_that_is_replayed_five_times_is_delivered_once(call: Call) -> None:
    packets = [call.audio.seal(b"\x78%d" % n, 960 * n) for n in range(5, 25)]
    call._sent = 25
    for _ in range(5):
        await call.from_alice(*packets)
    await call.bob.until(lambda: len(call.heard()) == 25)
    await call.still_works()


async def test_rtcp_that_is_replayed_counts_once(call: Call) -> None:
    await call.watch_video(3)
    ssrc, index, _, _ = call.bob.got[-2]
    assert call.bob.subscribing.outgoing is not None
    nack = call.bob.subscribing.outgoing.protect_rtcp(struct.pack("!BBHIIHH", 0x81, 205, 3, 1, ssrc, index & 0xFFFF, 0))
    before = len(call.bob.got)
    await at_a_pace(call.sfu, call.bob.subscribing.send_datagram, [nack] * 5)
    await call.bob.until(lambda: len(call.bob.got) > before)
    await call.still_works()
    assert len(call.bob.got) - before == 1 + 5, "one retransmission, and the audio of the probe"
    assert call.counted("rtcp_refused") == 4


# --- 6, 7: handshakes


async def test_a_handshake_that_stops_halfway_fails_at_its_deadline_and_is_forgotten(
    sfu_: Sfu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sfu.dtls, "HANDSHAKE_S", 0.3)
    alice = SfuClient(sfu_.open_room("r"), "alice")
    offer = sdp.offer(alice.publishing.credentials, [AUDIO])
    answer = sdp.Description.parse(alice.peer.publish(offer, [TrackRequest("0", TrackKind.MICROPHONE)]))
    alice.publishing.socket.connect(answer.candidates()[0])
    check = binding_request(answer.first("ice-ufrag"), answer.first("ice-pwd"))
    fragments = [b"\x16\xfe\xfd" + bytes(8) + b"\x05\x00" + bytes(1280)] * 500
    await at_a_pace(sfu_, alice.publishing.send_datagram, [check, client_hello(), *fragments])
    transport = alice.peer.publisher.transport
    assert transport is not None
    assert transport.state == "connecting"
    assert transport._channel._queue.qsize() <= sfu.dtls.MAX_QUEUED
    await alice.until(lambda: (TransportName.PUBLISH, "failed") in alice.states)
    refused, dropped = sfu_.counters()["refused_checks"], sfu_.counters()["dropped_source"]
    await at_a_pace(sfu_, alice.publishing.send_datagram, [check, client_hello()])
    assert sfu_.counters()["refused_checks"] == refused + 1
    assert sfu_.counters()["dropped_source"] == dropped + 1
    assert [t.kind for t in alice.ended] == [TrackKind.MICROPHONE]
    await alice.close()


async def test_a_certificate_that_was_not_announced_fails_the_transport(sfu_: Sfu) -> None:
    alice = SfuClient(sfu_.open_room("r"), "alice")
    genuine = alice.publishing.credentials
    (foreign,) = (f.value for f in RTCCertificate.generateCertificate().getFingerprints() if f.algorithm == "sha-256")
    alice.publishing.credentials = sdp.Credentials(genuine.ufrag, genuine.password, foreign)
    connecting = asyncio.create_task(alice.publish(AUDIO))
    await alice.until(lambda: (TransportName.PUBLISH, "failed") in alice.states)
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    assert [state for _, state in alice.states] == ["connecting", "failed"]
    assert [t.kind for t in alice.ended] == [TrackKind.MICROPHONE]
    await alice.close()


# --- 9, 10: STUN


def binding_request(ufrag: str, password: str, **attributes: object) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ufrag}:them"
    message.attributes["PRIORITY"] = 1
    for name, value in attributes.items():
        message.attributes[name.replace("_", "-")] = value
    message.add_message_integrity(password.encode())
    return bytes(message)


async def test_a_flood_of_checks_without_the_password_gets_no_answer_and_leaves_no_state(
    call: Call, mallory: Attacker
) -> None:
    transport = call.alice.peer.publisher.transport
    assert transport is not None
    ufrag, addresses = transport.ice.ufrag, dict(transport.ice.addresses)
    wrong = [binding_request(ufrag, f"guess{n}", USE_CANDIDATE=None) for n in range(500)]
    unknown = [binding_request(f"{n:08x}", "guess") for n in range(500)]
    bare = [b"\x00\x01\x00\x00\x21\x12\xa4\x42" + n.to_bytes(12, "big") for n in range(500)]
    await mallory.send(*wrong, *unknown, *bare)
    assert call.counted("refused_checks") == 1500
    assert mallory.answers() == []
    assert transport.ice.addresses == addresses


async def test_one_who_claims_to_be_controlled_is_told_of_the_conflict_and_not_taken(
    call: Call, mallory: Attacker
) -> None:
    transport = call.alice.peer.publisher.transport
    assert transport is not None
    selected = transport.ice.selected
    request = binding_request(transport.ice.ufrag, transport.ice.password, ICE_CONTROLLED=7, USE_CANDIDATE=None)
    await mallory.send(request)
    (answer,) = mallory.answers()
    assert stun.parse_message(answer).error_code == 487
    assert len(answer) <= len(request) + 24
    assert transport.ice.selected == selected
    await mallory.send(client_hello())
    assert call.counted("dropped_source") == 1, "its address is not taken for checked"


async def test_a_member_cannot_take_over_the_address_of_another(call: Call) -> None:
    transport = call.bob.peer.subscriber.transport
    assert transport is not None
    selected = transport.ice.selected
    await call.from_alice(binding_request(transport.ice.ufrag, transport.ice.password, USE_CANDIDATE=None))
    assert call.counted("refused_claims") == 1
    assert transport.ice.selected == selected


# --- 13, 14, 15: streams


def sealed(call: Call, header: bytes, payload: bytes, index: int, ssrc: int) -> bytes:
    assert call.alice.publishing.outgoing is not None
    return call.alice.publishing.outgoing.protect(header, payload, ssrc, index)


def media(call: Call, ssrc: int, payload_type: int, payload: bytes, *, mid: bytes, index: int = 1) -> bytes:
    header = struct.pack("!BBHII", 0x90, payload_type, index, 0, ssrc) + one_byte_extensions((4, mid))
    return sealed(call, header, payload, index, ssrc)


async def test_empty_and_absurd_retransmissions_are_dropped(call: Call) -> None:
    await call.watch_video(3)
    rtx = VIDEO.rtx_ssrc
    known = (call.video.index - 2 & 0xFFFF).to_bytes(2, "big")
    payloads = [b"", b"\x00", b"\x00\x01", known, known + b"sent already"]
    packets = [media(call, rtx, 97, p, mid=b"1", index=n + 1) for n, p in enumerate(payloads)]
    packets += [media(call, rtx + 1, 97, b"\x00\x05x", mid=b"7"), media(call, rtx + 2, 99, b"\x00\x05x", mid=b"1")]
    before = len(call.bob.got)
    await call.from_alice(*packets)
    await call.still_works()
    assert len(call.bob.got) == before + 5, "the audio of the probe"


async def test_a_flood_of_ssrcs_is_capped_and_known_streams_go_on(call: Call) -> None:
    await call.from_alice(*(media(call, 50_000 + n, 96, b"x", mid=b"1") for n in range(300)))
    transport = call.alice.peer.publisher.transport
    assert transport is not None
    assert len(transport.inbound.streams) == MediaLimits().streams
    assert call.counted("dropped_limit") == 300 - (MediaLimits().streams - 1)


async def test_the_ssrc_and_mid_of_another_participant_mean_nothing_on_ones_own_transport(call: Call) -> None:
    mallory = SfuClient(call.room, "mallory")
    (sender,) = await mallory.publish(sdp.Outgoing("5", "audio", "opus", 9999))
    assert mallory.publishing.outgoing is not None
    for n in range(50):
        header = struct.pack("!BBHII", 0x90, 111, n, 0, AUDIO.ssrc) + one_byte_extensions((4, AUDIO.mid.encode()))
        mallory.publishing.send_datagram(mallory.publishing.outgoing.protect(header, b"\x78false", AUDIO.ssrc, n))
    sender.send(b"own", 0)
    await holds(lambda: call.sfu.counters()["dropped_unknown"] == 50)
    await call.still_works()
    assert b"\x78false" not in call.heard()
    await mallory.close()


# --- 17, 18: RTCP


async def test_a_storm_of_nacks_is_answered_within_bounds(call: Call) -> None:
    await call.watch_video(30)
    ssrc, index, _, _ = call.bob.got[-1]
    everything = [
        struct.pack("!BBHII", 0x81, 205, 2 + 300, 1, ssrc)
        + b"".join(struct.pack("!HH", n * 17 + start & 0xFFFF, 0xFFFF) for n in range(300))
        for start in range(0, 65_536, 5100)
    ]
    missed = struct.pack("!BBHII", 0x81, 205, 3, 1, ssrc) + struct.pack("!HH", index - 5 & 0xFFFF, 0)
    before, began = len(call.bob.got), asyncio.get_running_loop().time()
    await call.rtcp_from(call.bob, *(everything + [missed] * 40) * 20)
    ticks = (asyncio.get_running_loop().time() - began) / 0.05 + 2
    await call.still_works()
    assert 0 < len(call.bob.got) - before <= ticks * MAX_RETRANSMISSIONS


async def test_a_thousand_requests_for_key_frames_become_few(call: Call) -> None:
    await call.watch_video(1)
    ssrc = call.bob.got[-1][0]
    pli = struct.pack("!BBHII", 0x81, 206, 2, 1, ssrc)
    fir = struct.pack("!BBHIIII", 0x84, 206, 4, 1, 0, ssrc, 1 << 24)
    remb = struct.pack("!BBHII", 0x8F, 206, 5, 1, 0) + b"REMB"
    asked = sum(packet[1] == 206 for packet in call.alice.feedback)
    began = asyncio.get_running_loop().time()
    await call.rtcp_from(
        call.bob, *[pli, fir, remb + b"\x01\x00\x00\x00" + bytes(4), remb + b"\x01\xff\xff\xff" + bytes(4)] * 250
    )
    await call.alice.until(lambda: sum(packet[1] == 206 for packet in call.alice.feedback) > asked)
    passed = asyncio.get_running_loop().time() - began
    assert sum(packet[1] == 206 for packet in call.alice.feedback) - asked <= 1 + passed / 0.4


async def test_goodbyes_long_names_and_lying_reports_are_ignored(call: Call) -> None:
    await call.watch_video(1)
    ssrc = call.bob.got[-1][0]
    report = struct.pack("!IIIIII", ssrc, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    name = b"\x81\xca" + struct.pack("!HI", 340, AUDIO.ssrc) + b"\x01\xff" + bytes(1354)
    hostile = [
        b"\x81\xcb\x00\x01" + AUDIO.ssrc.to_bytes(4, "big"),
        b"\x9f\xcb\x00\x01" + ssrc.to_bytes(4, "big"),
        name,
        b"\x80\xc9\x00\x00" * 4,
        b"\x80\xca\xff\xff" + bytes(8),
        b"\x9f\xc9\x00\xbb" + bytes(4) + report * 31,
        b"\x9f\xc9\x00\x01" + bytes(4),
        b"\x81\xcd\x00\x02" + bytes(8),
        b"\x81\xce\x00\x01" + bytes(4),
        b"\x80\xcc\x00\x02" + bytes(8),
    ]
    for client in (call.alice, call.bob):
        await call.rtcp_from(client, *hostile)
    assert call.counted("rtcp_refused") == 0, "authentic, and read"
    await call.still_works()
    stats = call.sfu.stats("r")
    assert stats is not None
    watching = {p["participant_id"]: p for p in stats["participants"]}["bob"]["subscriptions"]
    assert all(s["rtt_ms"] is None or s["rtt_ms"] <= 10_000 for s in watching)


# --- consent


async def test_a_viewer_who_vanished_is_sent_nothing_once_its_consent_expired(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7675 5.1. Time is not waited for: the last check is put into the past."""
    transport = call.bob.peer.subscriber.transport
    assert transport is not None
    carol = SfuClient(call.room, "carol")
    await carol.subscribe()
    await carol.subscribing.close(silently=True)
    gone = carol.peer.subscriber.transport
    assert gone is not None
    gone.ice.last_check -= 31.0
    await holds(lambda: gone.state == "failed")
    sent = call.sfu.counters()["sent"]
    await call.still_works()
    assert carol.peer.subscriber.subscriptions()[0].encoding is None
    assert call.sfu.counters()["sent"] - sent < 5 + 5 + 3
    await carol.publishing.close()
