"""Numbers and times that jump: the stream is followed where it goes, and a recording with it."""

from itertools import pairwise

import pytest

from sfu.encoding import JUMP
from sfu.srtp import WINDOW
from tests.support.hostile import Call, holds
from tests.support.sfu_client import Sink


@pytest.mark.parametrize("jump", [JUMP + 1, 32_000, 32_767, 32_768, 32_769, 40_000, 65_000 - WINDOW])
async def test_a_sequence_that_jumps_ahead_goes_on_from_there(call: Call, jump: int) -> None:
    """By more than half of the numbers it looks like a jump back; what the sender encrypted tells."""
    sink = Sink()
    call.room.start_recording(sink)
    await call.still_works()
    call.audio.index += jump
    for _ in range(3):
        await call.still_works()
    call.room.stop_recording()
    indices = [packet[0] for packet in sink.taps["opus"].packets]
    assert len(indices) == 20
    assert {after - before for before, after in pairwise(indices)} == {1, jump + 1}
    passed = sorted(index for _, index, _, payload in call.bob.got if payload[:1] == b"\x78")
    assert {after - before for before, after in pairwise(passed)} == {1, 2}, "viewers' numbers do not jump with it"
    assert len(call.room.peers["alice"].publisher.tracks["0"].encodings()[0].missing) == 0


async def test_a_sequence_that_goes_back_is_a_replay_until_it_is_new_again(call: Call) -> None:
    """RFC 3711 3.3.2: an index counts once, whoever sends it."""
    encoding = call.room.peers["alice"].publisher.tracks["0"].encodings()[0]
    index, refused = call.audio.index, encoding.replayed
    call.audio.index -= 5
    for n in range(5):
        call.audio.send(b"\x08again%d" % n, 0)
    await holds(lambda: encoding.replayed == refused + 5)
    assert call.audio.index == index
    await call.still_works()


async def test_a_timestamp_that_jumps_or_goes_back_is_passed_on_as_it_is(call: Call) -> None:
    sink = Sink()
    call.room.start_recording(sink)
    stamps = [0x7FFF_FFFF, 5, 0xFFFF_FFFF, 960, 0x8000_0000, 1920]
    before = len(call.bob.got)
    for n, stamp in enumerate(stamps):
        call.audio.send(b"\x08%d" % n, stamp)
    await call.bob.until(lambda: len(call.bob.got) == before + len(stamps))
    passed = [timestamp for _, _, timestamp, _ in call.bob.got[before:]]
    assert [stamp - passed[0] & 0xFFFF_FFFF for stamp in passed] == [s - stamps[0] & 0xFFFF_FFFF for s in stamps]
    assert [packet[1] for packet in sink.taps["opus"].packets] == stamps
    assert call.room.peers["alice"].publisher.tracks["0"].encodings()[0].jitter < 48_000
    await call.still_works()
