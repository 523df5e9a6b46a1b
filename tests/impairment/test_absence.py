"""Nothing passes for a while, or an address changes: the same call goes on, and the recording knows of the gap."""

from itertools import pairwise

import pytest

from sfu.interfaces import TransportName
from tests.support.impaired_call import ImpairedCall
from tests.support.modelled_peers import Publisher, Viewer
from tests.support.network_model import Conditions

LINE = Conditions(delay_s=0.025)
DARK = Conditions(delay_s=0.025, loss=1.0)


@pytest.mark.parametrize("whose", ["publisher", "viewer"])
def test_after_five_seconds_without_a_packet_the_same_session_goes_on(whose: str) -> None:
    with ImpairedCall(seed=10) as call:
        publisher = call.publish(Publisher(call.network), LINE)
        viewer = call.watch(Viewer(call.network), LINE)
        call.run(10.0)
        states = {name: list(states) for name, states in call.states.items()}
        call.lines[whose].change(DARK)
        call.run(15.0)
        call.lines[whose].change(LINE)
        call.run(25.0)
        assert call.states == states, "nobody was told anything: nothing was reconnected"
        for codec in ("opus", "vp8"):
            (recorded,) = call.recorded[codec]
            assert not recorded.ended
            ordered, missing, _ = recorded.in_order()
            rate = 50 if codec == "opus" else 120
            if whose == "publisher":
                assert 3.9 * rate < missing < 5.1 * rate, "but for what the sender still had"
                stamps = [packet.timestamp for packet in ordered]
                longest = max(b - a for a, b in pairwise(stamps)) / recorded.stream.clock_rate_hz
                assert 3.9 < longest < 5.1, "the gap has its length on the sender's clock"
            else:
                assert missing == 0
    resumed = [frame.at - call.network.start for frame in viewer.decoded if frame.at - call.network.start > 15.0]
    assert resumed[0] < 17.0
    assert viewer.longest_freeze_s(call.network.start + 17) < 0.2
    assert publisher.frames > 700


def test_who_is_not_checked_for_thirty_seconds_is_gone() -> None:
    with ImpairedCall(seed=11) as call:
        call.publish(Publisher(call.network), LINE)
        call.watch(Viewer(call.network), LINE)
        call.run(5.0)
        call.lines["publisher"].change(DARK)
        call.run(33.0)
        assert call.states["publisher"][-1] == (TransportName.PUBLISH, "connected")
        call.run(36.0)
        assert call.states["publisher"][-1] == (TransportName.PUBLISH, "failed")
        assert call.states["viewer"][-1] == (TransportName.SUBSCRIBE, "connected")
        assert all(recorded.ended for taps in call.recorded.values() for recorded in taps)


@pytest.mark.parametrize("whose", ["publisher", "viewer"])
def test_an_address_that_changes_costs_less_than_five_seconds(whose: str) -> None:
    """A lite agent learns of it by the next check, which Chromium sends every 2.5 s."""
    with ImpairedCall(seed=12) as call:
        call.publish(Publisher(call.network), LINE)
        viewer = call.watch(Viewer(call.network), LINE)
        call.run(11.0)
        states = {name: list(states) for name, states in call.states.items()}
        call.move(whose)
        call.run(20.0)
        assert call.states == states
        assert [len(call.recorded[codec]) for codec in ("opus", "vp8")] == [1, 1], "the same take"
    assert 1.0 < viewer.longest_freeze_s() < 5.0
    assert viewer.longest_freeze_s(call.network.start + 15) < 0.2
