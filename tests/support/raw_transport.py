"""One peer connection's transport without a browser: a UDP socket, the full side of ICE in its smallest form, DTLS as
client, SRTP keys.

Guarantees: checks go to one address with USE-CANDIDATE until it answers, then every KEEPALIVE_S; after `connect()`
RTP and RTCP go in and out synchronously, without a queue or a coroutine per packet. RTP that comes in is counted per
SSRC from its plain header and decrypted only where somebody listens: it is also the load generator's way.
"""

import asyncio
import secrets
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from aioice import stun
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    State,
)
from cryptography.exceptions import InvalidTag

from tests.support import sdp, srtp

KEEPALIVE_S = 2.5
"""As often as Chromium checks a stable pair."""
CONNECT_S = 10.0
DRAIN = 64
SOCKET_BUFFER_BYTES = 4 << 20
_RTP = struct.Struct("!BBHII")

PacketListener = Callable[["Incoming", int, int, bytes, bytes], None]
"""(stream, extended sequence number, timestamp, header, payload)."""


class Incoming:
    """One received RTP stream; counts come from plain headers."""

    __slots__ = ("bytes", "first", "highest", "last_report", "listener", "mid", "packets", "ssrc", "undecryptable")

    def __init__(self, ssrc: int, index: int, listener: PacketListener | None) -> None:
        self.ssrc, self.first, self.highest, self.listener = ssrc, index, index, listener
        self.mid = ""
        self.packets = self.bytes = self.undecryptable = 0
        self.last_report: tuple[int, float] = (0, 0.0)
        """Middle bits of the NTP time of the last sender report, and when it came."""

    @property
    def lost(self) -> int:
        return self.highest - self.first + 1 - self.packets


class _DtlsClient(RTCDtlsTransport):
    """Exports the master keys and leaves SRTP alone."""

    def __init__(self, transport: "RawTransport") -> None:
        super().__init__(transport, [transport.certificate])  # type: ignore[arg-type]
        self._role = "client"
        self._srtp_profiles = [SRTP_AEAD_AES_128_GCM]
        self.exported = b""

    def _setup_srtp(self) -> None:
        if self._ssl is None or self._ssl.get_selected_srtp_profile() != SRTP_AEAD_AES_128_GCM.openssl_profile:
            self._set_state(State.FAILED)
            return
        self.exported = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", srtp.EXPORT_BYTES)


class RawTransport:
    """`credentials` go into the SDP; `connect(description)` needs the other end's."""

    role = "controlling"

    def __init__(
        self, certificate: RTCCertificate | None = None, family: socket.AddressFamily = socket.AF_INET
    ) -> None:
        self.certificate = certificate or RTCCertificate.generateCertificate()
        (fingerprint,) = (f.value for f in self.certificate.getFingerprints() if f.algorithm == "sha-256")
        self.credentials = sdp.Credentials(secrets.token_hex(4), secrets.token_hex(12), fingerprint)
        self._family = family
        self.socket = self._open()
        self.outgoing: srtp.Direction | None = None
        self.incoming: srtp.Direction | None = None
        self.streams: dict[int, Incoming] = {}
        self.listener: PacketListener | None = None
        """Given to every new stream; None: count without decrypting."""
        self.mid_extension = 0
        self.mids: dict[int, str] = {}
        """SSRC -> mid, as a description told (a=ssrc)."""
        self.transport_cc_extension = 0
        self.repair_types: frozenset[int] = frozenset()
        """Payload types of RTX."""
        self.reduced_size = True
        """RTCP packets need no report in front (RFC 5506)."""
        self.on_rtcp: Callable[[bytes], None] = lambda _compound: None
        self.on_activity: Callable[[], None] = lambda: None
        self.counters: Counter[str] = Counter()
        self.transport_sequence = 0
        """Next transport-wide sequence number, shared by all streams of this transport."""
        self._remote = sdp.Credentials("", "", "")
        self._answered = asyncio.Event()
        self._dtls_queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._dtls: _DtlsClient | None = None
        self._checks: asyncio.Task[None] | None = None

    def _open(self) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        made.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            made.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        return made

    @property
    def connected(self) -> bool:
        return self.outgoing is not None

    def offered(self, description: sdp.Description) -> None:
        """What the other end's offer says of the packets that it will send."""
        media = description.media
        self.mid_extension = max((m.extension(sdp.MID) for m in media), default=0)
        self.transport_cc_extension = max((m.extension(sdp.TRANSPORT_CC) for m in media), default=0)
        self.mids.update({ssrc: m.mid for m in media for ssrc in m.ssrcs()})
        codecs = [codec for m in media for codec in m.codecs().items()]
        self.repair_types = frozenset(number for number, name in codecs if name == "RTX")
        self.reduced_size = all("a=rtcp-rsize" in m.lines for m in media)

    async def connect(self, remote: sdp.Description) -> None:
        """Run connectivity checks and the DTLS handshake. Raises ConnectionError or TimeoutError."""
        wanted = ":" if self._family == socket.AF_INET6 else "."
        self.socket.connect(next(place for place in remote.candidates() if wanted in place[0]))
        await self._begin(remote)

    async def _begin(self, remote: sdp.Description) -> None:
        """The socket is connected: checks, then the handshake."""
        fingerprint = remote.first("fingerprint").split()
        self._remote = sdp.Credentials(remote.first("ice-ufrag"), remote.first("ice-pwd"), fingerprint[1])
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._readable)
        self._checks = asyncio.create_task(self._check_forever())
        async with asyncio.timeout(CONNECT_S):
            await self._answered.wait()
            self._dtls = _DtlsClient(self)
            await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(fingerprint[0], fingerprint[1])]))
        if self._dtls.state != "connected":
            raise ConnectionError("the DTLS handshake failed")
        self.outgoing, self.incoming = srtp.client_directions(self._dtls.exported)
        self.on_activity()

    async def close(self, *, silently: bool = False) -> None:
        """`silently`: as if the machine had vanished, without a DTLS alert."""
        if self._checks is not None:
            self._checks.cancel()
        if self._dtls is not None and not silently:
            await self._dtls.stop()
        self._dtls_queue.put_nowait(None)
        if self.socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.socket.fileno())
            self.socket.close()
        self.outgoing = None

    def new_credentials(self) -> None:
        """For a description that restarts ICE; the checks under way go on with the old ones."""
        self.credentials = replace(self.credentials, ufrag=secrets.token_hex(4), password=secrets.token_hex(12))

    def rebind(self) -> None:
        """Another port from now on, as behind a router that forgot the old one. Nothing is sent of its own."""
        loop, remote = asyncio.get_running_loop(), self.socket.getpeername()
        loop.remove_reader(self.socket.fileno())
        self.socket.close()
        self.socket = self._open()
        self.socket.connect(remote)
        loop.add_reader(self.socket.fileno(), self._readable)

    async def restart_ice(self, remote: sdp.Description) -> None:
        """Check with the credentials of the two new descriptions, until answered. DTLS stays."""
        self._remote = replace(self._remote, ufrag=remote.first("ice-ufrag"), password=remote.first("ice-pwd"))
        self._answered.clear()
        if self._checks is not None:
            self._checks.cancel()
        self._checks = asyncio.create_task(self._check_forever())
        async with asyncio.timeout(CONNECT_S):
            await self._answered.wait()

    def send_rtcp(self, compound: bytes) -> None:
        if self.outgoing is not None:
            self.send_datagram(self.outgoing.protect_rtcp(compound))

    def send_datagram(self, datagram: bytes) -> bool:
        """Send as it is; False and counted when the socket would not take it."""
        try:
            self.socket.send(datagram)
        except OSError:
            self.counters["unsent"] += 1
            return False
        return True

    # --- what RTCDtlsTransport asks of its transport

    async def _recv(self) -> bytes:
        datagram = await self._dtls_queue.get()
        if datagram is None:
            raise ConnectionError
        return datagram

    async def _send(self, datagram: bytes) -> None:
        self.send_datagram(datagram)

    # --- ICE

    async def _check_forever(self) -> None:
        wait_s = 0.05
        while not self._answered.is_set():
            self._send_check()
            try:
                async with asyncio.timeout(wait_s):
                    await self._answered.wait()
            except TimeoutError:
                wait_s = min(2 * wait_s, 0.8)
        while True:
            await asyncio.sleep(KEEPALIVE_S)
            self._send_check()

    def _send_check(self) -> None:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._remote.ufrag}:{self.credentials.ufrag}"
        request.attributes["PRIORITY"] = 1_853_824_767
        request.attributes[f"ICE-{self.role.upper()}"] = secrets.randbits(64)
        if self.role == "controlling":
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._remote.password.encode())
        self.send_datagram(bytes(request))

    def _take_stun(self, datagram: bytes) -> None:
        try:
            message = stun.parse_message(datagram)
        except ValueError:
            self.counters["bad_stun"] += 1
            return
        authentic = message.check_message_integrity(self._remote.password.encode())
        if message.message_class == stun.Class.RESPONSE and authentic:
            self._answered.set()
        else:
            self.counters["bad_stun"] += 1

    # --- what comes in

    def _readable(self) -> None:
        recv = self.socket.recv
        for _ in range(DRAIN):
            try:
                datagram = recv(2048)
            except BlockingIOError:
                break
            except OSError:  # an ICMP answer: nobody listens there at the moment
                self.counters["refused"] += 1
                break
            self.take(datagram)
        self.on_activity()

    def take(self, datagram: bytes) -> None:
        """A datagram came."""
        first = datagram[0] if datagram else 255
        if 128 <= first <= 191 and len(datagram) >= 12:
            if 192 <= datagram[1] <= 223:
                self._take_rtcp(datagram)
            else:
                self._take_rtp(datagram)
        elif first < 4:
            self._take_stun(datagram)
        elif 20 <= first <= 63:
            self._dtls_queue.put_nowait(datagram)
        else:
            self.counters["unknown"] += 1

    def _take_rtp(self, packet: bytes) -> None:
        _, _, sequence, timestamp, ssrc = _RTP.unpack_from(packet)
        stream = self.streams.get(ssrc)
        if stream is None:
            stream = self.streams[ssrc] = Incoming(ssrc, sequence, self.listener)
            told = extension(packet, self.mid_extension).decode() if self.mid_extension else ""
            stream.mid = told or self.mids.get(ssrc, "")
        top = stream.highest
        index = top + ((sequence - top + 0x8000) & 0xFFFF) - 0x8000
        if index > top:
            stream.highest = index
        stream.packets += 1
        stream.bytes += len(packet)
        if stream.listener is not None and self.incoming is not None:
            try:
                header, payload = self.incoming.unprotect(packet, ssrc, index)
            except InvalidTag:
                stream.undecryptable += 1
                return
            if packet[0] & 0x20 and payload:
                payload = payload[: -payload[-1]]
            stream.listener(stream, index, timestamp, header, payload)

    def _take_rtcp(self, packet: bytes) -> None:
        compound = self.incoming.unprotect_rtcp(packet) if self.incoming is not None else None
        if compound is None:
            self.counters["bad_rtcp"] += 1
            return
        if compound[1] == 200 and len(compound) >= 28:
            stream = self.streams.get(int.from_bytes(compound[4:8], "big"))
            if stream is not None:
                stream.last_report = (int.from_bytes(compound[10:14], "big"), time.monotonic())
        self.on_rtcp(compound)


def extension(packet: bytes, id: int) -> bytes:
    """Value of a one-byte header extension (RFC 8285 4.2); empty if it is not there."""
    if not packet[0] & 0x10:
        return b""
    at, end = 12 + 4 * (packet[0] & 15) + 4, srtp.header_bytes(packet)
    while at < end:
        head = packet[at]
        size = (head & 15) + 1 if head else 0
        if head >> 4 == id:
            return packet[at + 1 : at + 1 + size]
        at += 1 + size
    return b""
