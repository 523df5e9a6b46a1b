"""Numbers that go round, streams that begin anew, and clocks that run too fast or too slow."""

from itertools import pairwise

import pytest

from tests.support.impaired_call import ImpairedCall
from tests.support.modelled_peers import AUDIO_S, FRAME_S, Publisher, Receiving, Viewer
from tests.support.network_model import Conditions

LINE = Conditions(delay_s=0.025)
LOSSY = Conditions(delay_s=0.025, loss=0.02)


@pytest.mark.parametrize("line", [LINE, LOSSY], ids=["clean", "lossy"])
@pytest.mark.parametrize(("index", "timestamp"), [(65_000, 5), (300, 0xFFFF_FFFF - 400_000), (65_400, 0xFFFF_8000)])
def test_numbers_and_timestamps_that_go_round_leave_no_gap(index: int, timestamp: int, line: Conditions) -> None:
    with ImpairedCall(seed=13) as call:
        publisher = call.publish(Publisher(call.network, index=index, timestamp=timestamp), line)
        viewer = call.watch(Viewer(call.network), line)
        call.run(12.0)
        for ends in call.lines.values():
            ends.change(LINE)
        call.run(13.0)
        for codec, clock_rate_hz in (("opus", 48_000), ("vp8", 90_000)):
            (recorded,) = call.recorded[codec]
            ordered, missing, reorder = recorded.in_order()
            assert (missing, reorder.late) == (0, 0)
            steps = [b.timestamp - a.timestamp & 0xFFFFFFFF for a, b in pairwise(ordered)]
            assert max(steps) <= clock_rate_hz * (AUDIO_S if codec == "opus" else FRAME_S) + 1
    assert len(viewer.video.got) == viewer.video.expected
    assert viewer.valid_share(publisher) == 1.0


def test_a_sender_that_begins_new_streams_is_followed_and_recorded_anew() -> None:
    with ImpairedCall(seed=14) as call:
        publisher = call.publish(Publisher(call.network), LINE)
        viewer = call.watch(Viewer(call.network), LINE)
        call.run(5.0)
        publisher.change_ssrcs()
        call.run(10.0)
        assert [recorded.stream.ssrc for recorded in call.recorded["vp8"]] == [2222, 12_222]
        assert [recorded.stream.ssrc for recorded in call.recorded["opus"]] == [1111, 11_111]
        for taps in call.recorded.values():
            assert [recorded.in_order()[1] for recorded in taps] == [0, 0]
    assert len(viewer.streams) == 2, "viewers see one stream of sound and one of pictures"
    assert len(viewer.video.got) == viewer.video.expected
    assert viewer.longest_freeze_s() < 1.0
    assert viewer.valid_share(publisher) > 0.97


def session_time_s(stream: Receiving, number: int, tick_s: float, clock_rate_hz: int) -> float:
    """When the viewer believes that a packet of sound or picture was captured, by the report before it, less when it
    was."""
    ntp, rtp = stream.reports[-1]
    timestamp = next(
        stamp for _, stamp, payload in reversed(stream.got.values()) if captured_number(payload, tick_s) == number
    )
    ticks = (timestamp - rtp + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
    return ntp / (1 << 32) + ticks / clock_rate_hz - number * tick_s


def captured_number(payload: bytes, tick_s: float) -> int:
    if tick_s == AUDIO_S:
        return int.from_bytes(payload[1:5], "big")
    if payload[0] & 0x10 == 0:
        return -1
    return int.from_bytes(payload[7:11] if payload[4] & 1 else payload[14:18], "big")


@pytest.mark.parametrize("drift", [-200e-6, 200e-6])
def test_a_media_clock_that_drifts_does_not_move_sound_against_pictures(drift: float) -> None:
    """20 ms in an hour at most; here in a minute."""
    skews = []
    with ImpairedCall(seed=15) as call:
        publisher = call.publish(Publisher(call.network, drift=drift), LINE)
        viewer = call.watch(Viewer(call.network), LINE)
        for until_s in (5.0, 65.0):
            call.run(until_s)
            sound = session_time_s(viewer.audio, publisher.audio.packets - 10, AUDIO_S, 48_000)
            picture = session_time_s(viewer.video, publisher.frames - 10, FRAME_S, 90_000)
            skews.append(sound - picture)
        (recorded,) = call.recorded["opus"]
        assert recorded.in_order()[1] == 0
    assert abs(skews[0]) < 0.005
    assert abs(skews[1] - skews[0]) < 0.020 / 60
