"""What comes again counts once."""

import struct

from tests.support.hostile import Call, at_a_pace


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
