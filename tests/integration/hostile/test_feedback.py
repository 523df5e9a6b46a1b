"""RTCP of viewers who ask for too much, and of liars."""

import asyncio
import struct

from sfu.subscription import MAX_RETRANSMISSIONS
from tests.support.hostile import AUDIO, Call


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
    figures = call.sfu.figures("r")
    assert figures is not None
    watching = {p.participant_id: p.subscriptions for p in figures.participants}["bob"]
    assert all(s.rtt_ms is None or s.rtt_ms <= 10_000 for s in watching)


async def test_one_viewer_who_asks_for_everything_does_not_slow_another_down(call: Call) -> None:
    """Ten thousand numbers in one go are answered from what is remembered, and the next packet passes all the same."""
    await call.watch_video(30)
    ssrc, index, _, _ = call.bob.got[-1]
    for start in range(0, 10_000, 1000):
        entries = b"".join(struct.pack("!HH", index - start - 17 * n & 0xFFFF, 0xFFFF) for n in range(59))
        await call.rtcp_from(call.bob, struct.pack("!BBHII", 0x81, 205, 2 + 59, 1, ssrc) + entries)
    again = [packet for packet in call.bob.got if packet[0] not in (ssrc, call.bob.got[0][0])]
    assert 0 < len(again) <= 30 * 10
    await call.still_works()
