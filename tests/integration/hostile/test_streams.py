"""SSRCs that nobody announced, that are another's, and retransmissions of nothing."""

import struct

from sfu.settings import MediaLimits
from tests.support import sdp
from tests.support.hostile import AUDIO, VIDEO, Call, holds, media, sealed
from tests.support.sfu_client import SfuClient
from tests.support.sfu_media import one_byte_extensions


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


async def test_the_rid_of_another_layer_or_of_none_takes_no_stream_over(call: Call) -> None:
    """Alice negotiated no simulcast: a rid is not read, an RTX for a rid that is not there is dropped."""
    await call.watch_video(3)
    before = len(call.bob.got)
    streams = dict(call.alice.peer.publisher.transport.inbound.streams)  # type: ignore[union-attr]
    for n, repaired in enumerate((b"h", b"nobody", b"\xff")):
        header = struct.pack("!BBHII", 0x90, 97, n, 0, 7000 + n) + one_byte_extensions((4, b"1"), (11, repaired))
        await call.from_alice(sealed(call, header, b"\x00\x05stolen", n, 7000 + n))
    header = struct.pack("!BBHII", 0x90, 97, 9, 0, AUDIO.ssrc) + one_byte_extensions((4, b"1"))
    await call.from_alice(sealed(call, header, b"\x00\x05an SSRC that is sound", 9, AUDIO.ssrc))
    await call.still_works()
    assert len(call.bob.got) == before + 5, "the audio of the probe"
    inbound = call.alice.peer.publisher.transport.inbound  # type: ignore[union-attr]
    assert {ssrc: inbound.streams[ssrc] for ssrc in streams} == streams
