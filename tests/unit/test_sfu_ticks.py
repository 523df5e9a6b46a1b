"""When the engine does its regular duties, in virtual time."""

from itertools import pairwise
from time import monotonic
from unittest.mock import patch

import pytest

from sfu import engine
from sfu.engine import Sfu
from sfu.outbound import TICK_S
from sfu.settings import MediaSettings
from tests.support.impaired_call import ImpairedCall
from tests.support.modelled_peers import Publisher
from tests.support.network_model import Conditions


def ticks(call: ImpairedCall, until_s: float) -> list[float]:
    """When they were, from now on."""
    times: list[float] = []
    duties = call.sfu._duties

    def noted(tick: int) -> object:
        times.append(call.network.now)
        return duties(tick)

    with patch.object(call.sfu, "_duties", noted):
        call.run(until_s)
    return times


def test_with_nobody_there_they_are_on_time() -> None:
    with ImpairedCall() as call:
        times = ticks(call, 10.0)
    steps = [later - before for before, later in pairwise(times)]
    assert len(times) >= 199
    assert all(abs(step - TICK_S) < 1e-6 for step in steps)


def test_with_media_most_come_with_a_packet_before_their_time_and_they_are_as_many() -> None:
    with ImpairedCall() as call:
        call.publish(Publisher(call.network), Conditions(delay_s=0.025))
        begin = call.network.elapsed_s
        grid = call.sfu._tick_due
        times = ticks(call, begin + 20.0)
    assert abs(len(times) - 20 / TICK_S) <= 1
    early = [(grid - at) % TICK_S for at in times]
    assert all(share < engine.EARLY_S + 1e-6 or share > TICK_S - 1e-6 for share in early)
    assert sum(1e-6 < share < TICK_S - 1e-6 for share in early) > len(times) / 2


def test_a_node_that_stood_still_does_not_make_up_for_what_it_missed() -> None:
    with ImpairedCall(settings=MediaSettings(port=0, advertise=("192.0.2.1:8189",))) as call:
        call.run(1.0)
        call.sfu._tick_due = call.network.now - 5.0
        times = ticks(call, 2.0)
    assert len(times) <= 1 + 1 / (TICK_S / 2)
    steps = [later - before for before, later in pairwise(times)]
    assert min(steps) > TICK_S / 2 - 1e-6
    assert steps[-1] == pytest.approx(TICK_S)


def test_a_room_that_fails_costs_no_other_and_no_transport() -> None:
    with ImpairedCall() as call:
        other = call.sfu.open_room("other")
        call.publish(Publisher(call.network), Conditions(delay_s=0.025))
        transport = call.room.peers["publisher"].publisher.transport
        assert transport is not None
        listened: list[float] = []
        reported: list[float] = []
        with (
            patch.object(engine, "log") as log,
            patch.object(call.room, "listen", side_effect=ValueError("broken")),
            patch.object(other, "listen", side_effect=listened.append),
            patch.object(transport, "tick", side_effect=lambda now, report: reported.append(now)),
        ):
            call.run(call.network.elapsed_s + 1.0)
        assert len(listened) >= 19
        assert len(reported) >= 19
        assert call.sfu.counters()["room_failures"] >= 19
        log.exception.assert_called_once()


async def test_after_the_end_a_packet_starts_nothing() -> None:
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await running.start()
    await running.close()
    running._flush(monotonic() + 60.0)
    assert running._timer is not None
    assert running._timer.cancelled()
