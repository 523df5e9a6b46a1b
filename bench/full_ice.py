"""A participant of a server that does full ICE: what peers of other servers have in common."""

import asyncio
import secrets
from collections.abc import Sequence

import aiohttp
from aioice import stun

from tests.support import sdp
from tests.support.raw_peer import REPORT_S, RtpSender, receiver_report
from tests.support.raw_transport import PacketListener, RawTransport

MAX_REPORTED = 31
"""Report blocks of one packet."""


class FullIceTransport(RawTransport):
    """The server wants a candidate, and its own checks answered; who offers controls."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role
        self.socket.bind(("127.0.0.1", 0))

    @property
    def candidate(self) -> str:
        host, port = self.socket.getsockname()
        return f"candidate:1 1 udp 2130706431 {host} {port} typ host"

    def described(self, description: str) -> str:
        """A description with this transport's candidate, in every m-line."""
        return description.replace("a=setup:", f"a={self.candidate}\r\na=setup:")

    def _take_stun(self, datagram: bytes) -> None:
        request = stun.parse_message(datagram)
        if request.message_class != stun.Class.REQUEST:
            super()._take_stun(datagram)
            return
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = self.socket.getpeername()
        response.add_message_integrity(self.credentials.password.encode())
        response.add_fingerprint()
        self.send_datagram(bytes(response))


class FullIcePeer:
    """What `bench.participant` asks of a peer, but the server's own signaling."""

    def __init__(self, listener: PacketListener) -> None:
        self.subscribing: RawTransport | None = None
        self._listener = listener
        self._http = aiohttp.ClientSession()
        self._tasks: list[asyncio.Task[None]] = []
        self._transports: list[RawTransport] = []
        self._senders: list[RtpSender] = []

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in self._transports:
            await transport.close()
        await self._http.close()

    async def _connect(self, transport: RawTransport, remote: sdp.Description) -> None:
        self._transports.append(transport)
        await transport.connect(remote)
        self._tasks.append(asyncio.create_task(self._report(transport)))

    def _publishes(self, transport: RawTransport, lines: Sequence[sdp.Outgoing], answer: sdp.Description) -> None:
        for line, media in zip(lines, answer.media, strict=True):
            ids = media.extension(sdp.MID), media.extension(sdp.TRANSPORT_CC)
            self._senders.append(RtpSender(transport, line, *ids))

    def _subscribes(self, transport: RawTransport, offer: sdp.Description) -> None:
        transport.listener = self._listener
        transport.offered(offer)
        self.subscribing = transport

    async def _report(self, transport: RawTransport) -> None:
        """Sender and receiver reports, as `RawPeer` has them."""
        while True:
            await asyncio.sleep(REPORT_S)
            for sender in self._senders:
                if sender.transport is transport and sender.packets:
                    transport.send_rtcp(sender.report())
            if transport.streams:
                transport.send_rtcp(receiver_report(list(transport.streams.values())[:MAX_REPORTED]))


def outgoing(mid: str, kind: str) -> sdp.Outgoing:
    """The m-line of a track, with SSRCs of its own."""
    ssrc = secrets.randbits(30) + 1
    if kind == "microphone":
        return sdp.Outgoing(mid, "audio", "opus", ssrc)
    return sdp.Outgoing(mid, "video", "VP8", ssrc, ssrc ^ 0x4000_0000)
