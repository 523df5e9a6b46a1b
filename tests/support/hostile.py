"""For attacks on the media plane over real sockets: a call that must go on, and those who do not belong to it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aioice import stun
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from OpenSSL import SSL

from sfu.engine import Sfu
from sfu.interfaces import TransportName
from sfu.room import Room
from tests.support import sdp, srtp
from tests.support.raw_peer import RtpSender
from tests.support.sfu_client import SfuClient
from tests.support.sfu_media import one_byte_extensions, vp8

AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)
WAIT_S = 10.0
MALLORY_BURST = 40


ALERT = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"
CLOSE_NOTIFY = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x01\x00"
FOREIGN_KEYS = srtp.Direction(b"k" * 16, b"s" * 12)


async def holds(condition: Callable[[], object]) -> None:
    """Give the loop its turns until the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0)


async def at_a_pace(sfu: Sfu, send: Callable[[bytes], object], datagrams: Sequence[bytes]) -> None:
    for start in range(0, len(datagrams), MALLORY_BURST):
        burst = datagrams[start : start + MALLORY_BURST]
        expected = sfu.counters()["received"] + len(burst)
        for datagram in burst:
            send(datagram)
        await _received(sfu, expected)


async def _received(sfu: Sfu, count: int) -> None:
    await holds(lambda: sfu.counters()["received"] >= count)


class Attacker:
    """A socket whose address never passed a check."""

    def __init__(self, sfu: Sfu) -> None:
        self._sfu = sfu
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", sfu.port))
        self.socket.setblocking(False)
        self.sent_bytes = 0

    async def send(self, *datagrams: bytes) -> None:
        """Send, and wait until the server has read them."""
        await at_a_pace(self._sfu, self.socket.send, datagrams)
        self.sent_bytes += sum(map(len, datagrams))

    def answers(self) -> list[bytes]:
        got: list[bytes] = []
        while True:
            try:
                got.append(self.socket.recv(65_536))
            except BlockingIOError:
                return got

    def close(self) -> None:
        self.socket.close()


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
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    hello: bytes = connection.bio_read(1500)
    return hello


def sealed_with_foreign_keys(ssrc: int, sequence: int = 1, payload_type: int = 111) -> bytes:
    header = struct.pack("!BBHII", 0x90, payload_type, sequence, 0, ssrc) + one_byte_extensions((4, b"0"))
    return FOREIGN_KEYS.protect(header, b"foreign", ssrc, sequence)


def binding_request(ufrag: str, password: str, **attributes: object) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ufrag}:them"
    message.attributes["PRIORITY"] = 1
    for name, value in attributes.items():
        message.attributes[name.replace("_", "-")] = value
    message.add_message_integrity(password.encode())
    return bytes(message)


def sealed(call: Call, header: bytes, payload: bytes, index: int, ssrc: int) -> bytes:
    assert call.alice.publishing.outgoing is not None
    return call.alice.publishing.outgoing.protect(header, payload, ssrc, index)


def media(call: Call, ssrc: int, payload_type: int, payload: bytes, *, mid: bytes, index: int = 1) -> bytes:
    header = struct.pack("!BBHII", 0x90, payload_type, index, 0, ssrc) + one_byte_extensions((4, mid))
    return sealed(call, header, payload, index, ssrc)
