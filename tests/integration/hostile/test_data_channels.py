"""There are no data channels: the section is rejected, and what is sent over DTLS all the same is dropped unread."""

import struct
import zlib

import pytest

from sfu.dtls import MAX_QUEUED
from sfu.interfaces import NegotiationError, TrackKind, TrackRequest
from tests.support import sdp
from tests.support.hostile import AUDIO, Call

APPLICATION = (
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:9\r\na=setup:actpass\r\n"
    "a=sctp-port:5000\r\na=max-message-size:268435456\r\n"
)


def sctp(*chunks: bytes) -> bytes:
    """A packet (RFC 9260 3) with a right checksum field left to zero: RFC 9653 allows that over DTLS."""
    return struct.pack("!HHII", 5000, 5000, 0, zlib.crc32(b"")) + b"".join(chunks)


def chunk(kind: int, value: bytes, size: int | None = None) -> bytes:
    return struct.pack("!BBH", kind, 0, 4 + len(value) if size is None else size) + value + bytes(-len(value) % 4)


INIT = chunk(1, struct.pack("!IIHHI", 1, 1 << 28, 1024, 1024, 1))
OPEN = struct.pack("!BBHIHH", 3, 0, 0, 0, 0xFFFF, 0) + b"l" * 1200
"""DATA_CHANNEL_OPEN with a label of 64 KiB, as much of it as fits (RFC 8832 5.1)."""
HOSTILE = {
    "zero-length chunk": sctp(chunk(0, b"", 0)),
    "chunk longer than its packet": sctp(chunk(0, b"x", 0xFFFF)),
    "INIT": sctp(INIT),
    "a label of 64 KiB": sctp(chunk(0, struct.pack("!IHHI", 1, 0, 0, 50) + OPEN)),
    "a fragment of 256 MiB": sctp(chunk(0, struct.pack("!IHHI", 1, 0, 0, 51) + bytes(1200))),
}


async def test_a_section_for_data_is_rejected_and_the_rest_of_the_offer_stands(call: Call) -> None:
    offer = sdp.offer(call.alice.publishing.credentials, [AUDIO])
    request = TrackRequest(AUDIO.mid, TrackKind.MICROPHONE)
    answer = sdp.Description.parse(call.alice.peer.publish(offer + APPLICATION, [request]))
    assert [(media.kind, media.rejected) for media in answer.media] == [("audio", False), ("application", True)]
    assert "9" not in next(line for line in answer.session if line.startswith("a=group:BUNDLE")).split()
    assert not any("sctp" in line for media in answer.media for line in media.lines[1:])
    with pytest.raises(NegotiationError) as refused:
        call.alice.peer.publish(offer + APPLICATION, [request, TrackRequest("9", TrackKind.CAMERA)])
    assert refused.value.id == "bad_tracks"


@pytest.mark.parametrize("name", HOSTILE)
async def test_sctp_over_dtls_is_answered_by_nothing(call: Call, name: str) -> None:
    dtls, received = call.alice.publishing._dtls, call.alice.publishing._dtls_queue
    transport = call.alice.peer.publisher.transport
    assert dtls is not None
    assert transport is not None
    sealed: list[bytes] = []
    send, call.alice.publishing.send_datagram = call.alice.publishing.send_datagram, sealed.append  # type: ignore
    for _ in range(500):
        await dtls._send_data(HOSTILE[name])
    call.alice.publishing.send_datagram = send  # type: ignore[method-assign]
    assert len(sealed) == 500
    before = received.qsize()
    await call.from_alice(*sealed)
    assert transport._channel._queue.qsize() <= MAX_QUEUED
    assert transport._channel.unread == 500
    await call.still_works()
    assert received.qsize() == before, "no abort, no acknowledgement"
