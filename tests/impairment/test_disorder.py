"""Jitter of 100 ms, a twentieth overtaken, a twentieth twice: everything once, in its place, and hardly a request."""

from itertools import pairwise

import pytest

from sfu.interfaces import DeliveryState
from tests.support.impaired_call import ImpairedCall
from tests.support.layered_publisher import LayeredPublisher
from tests.support.modelled_peers import Publisher, Viewer
from tests.support.network_model import Conditions

DISORDER = Conditions(delay_s=0.025, jitter_s=0.1, overtaken=0.05, duplicated=0.05)
CLEAN = Conditions(delay_s=0.025)


def test_what_comes_out_of_order_and_twice_is_recorded_and_forwarded_once() -> None:
    with ImpairedCall(seed=8) as call:
        call.publish(Publisher(call.network), DISORDER)
        viewer = call.watch(Viewer(call.network), CLEAN)
        call.run(29.0)
        call.lines["publisher"].change(CLEAN)
        call.run(30.0)
        assert call.lines["publisher"].up.counters.duplicated > 200
        for codec in ("opus", "vp8"):
            (recorded,) = call.recorded[codec]
            indices = [index for _, index, _, _ in recorded.packets]
            assert len(set(indices)) == len(indices)
            assert any(after < before for before, after in pairwise(indices))
            ordered, missing, reorder = recorded.in_order()
            assert (missing, reorder.duplicate, reorder.late) == (0, 0, 0)
            stamps = [packet.timestamp for packet in ordered]
            assert all(before <= after for before, after in pairwise(stamps))
    assert viewer.video.repeated == viewer.audio.repeated == 0, "a number is given once"
    assert len(viewer.video.got) == viewer.video.expected
    numbers = [frame.number for frame in viewer.decoded]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert viewer.longest_freeze_s() < 0.3


def test_packets_that_are_only_overtaken_are_hardly_ever_asked_for() -> None:
    """Each of 360 that come 20 ms late opens a hole; what they take is learned from the first few."""
    with ImpairedCall(seed=9) as call:
        publisher = call.publish(Publisher(call.network), Conditions(delay_s=0.025, overtaken=0.05))
        call.run(30.0)
        (camera,) = call.room.peers["publisher"].publisher.tracks["1"].encodings()
        assert publisher.video.packets > 3000
        assert camera.missing.requested < 20
        assert camera.missing.lost == 0


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_on_the_line_of_a_viewer_disorder_makes_its_picture_neither_small_nor_broken(seed: int) -> None:
    """Both ways: what it reports of arrivals comes out of order, late and twice as well. The estimate wavers with that,
    so that frames are left out now and then."""
    with ImpairedCall(seed=seed) as call:
        publisher = call.publish(LayeredPublisher(call.network), CLEAN)
        viewer = call.watch(Viewer(call.network), CLEAN)
        call.run(5.0)
        call.lines["viewer"].change(DISORDER)
        call.run(34.0)
        call.lines["viewer"].change(CLEAN)
        call.run(35.0)
        told = [state for at, state in call.deliveries["viewer"] if at - call.network.start > 4.0]
    assert DeliveryState.PAUSED not in told
    shown = [frame for frame in viewer.decoded if frame.at - call.network.start > 5.0]
    assert sum(frame.rid == "h" for frame in shown) > 0.9 * len(shown)
    assert viewer.longest_freeze_s(call.network.start + 5.0) < 0.5
    assert len(viewer.audio.got) == viewer.audio.expected
    assert viewer.valid_share(publisher) > 0.85
