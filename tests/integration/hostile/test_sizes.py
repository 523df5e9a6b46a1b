"""Datagrams of every length: what cannot be is dropped and counted, and nothing fills the log."""

import random
import struct

from structlog.testing import capture_logs

from tests.support.hostile import AUDIO, Attacker, Call


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
