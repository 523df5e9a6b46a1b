"""A viewer's downlink is cut to 300 kbit/s for thirty seconds and freed again: conditions, media, run, check.

A camera in three layers, 1.5 Mbit/s the largest; one viewer's line is cut, another's is not.
"""

from itertools import pairwise

import pytest

from tests.support.impaired_call import ImpairedCall
from tests.support.layered_publisher import LayeredPublisher
from tests.support.modelled_peers import Viewer
from tests.support.network_model import Conditions

LINE = Conditions(delay_s=0.025)
CUT_S, FREE_S, END_S = 10.0, 40.0, 55.0
CAPACITY_BPS = 300e3
STEADY_S = 3.0
"""By then everybody has the large picture."""


class Seen:
    """What became of it; times are seconds since the beginning."""

    def __init__(self, queue_s: float, seed: int) -> None:
        free = Conditions(capacity_bps=10e6, queue_s=queue_s, delay_s=0.025)
        with ImpairedCall(seed=seed) as call:
            self.publisher = call.publish(LayeredPublisher(call.network), LINE)
            self.thin = call.watch(Viewer(call.network, 2), free, "thin")
            self.other = call.watch(Viewer(call.network, 3), free, "other")
            call.run(CUT_S)
            call.lines["thin"].down.change(Conditions(capacity_bps=CAPACITY_BPS, queue_s=queue_s, delay_s=0.025))
            call.run(FREE_S)
            call.lines["thin"].down.change(free)
            call.run(END_S)
            self.start = call.network.start
            self.told, self.others_told = (
                [(at - self.start, state) for at, state in call.deliveries[name] if at - self.start > STEADY_S]
                for name in ("thin", "other")
            )
            (recorded,) = call.recorded["vp8"]
            self.recorded_missing = recorded.in_order()[1]
        self.requests = [at - self.start for at in self.publisher.requests_at]

    def layers(self, viewer: Viewer, begin: float, end: float) -> list[str]:
        """Of the pictures that were shown."""
        return [frame.rid for frame in viewer.decoded if begin <= frame.at - self.start <= end]

    def first(self, rids: str, begin: float) -> float:
        """When the thin viewer saw one of these layers first."""
        return next(f.at - self.start for f in self.thin.decoded if f.at - self.start >= begin and f.rid in rids)

    def late_s(self, viewer: Viewer, begin: float, end: float) -> float:
        """Of the latest packet of sound that was spoken between these times, from mouth to ear."""
        return max(
            late for spoken, late in viewer.sound_delays(self.publisher).items() if begin <= spoken - self.start < end
        )

    def missing(self, viewer: Viewer, begin: float, end: float) -> int:
        """Packets of sound spoken between these times that never came."""
        came = sum(begin <= spoken - self.start < end for spoken in viewer.sound_delays(self.publisher))
        return round((end - begin) * 50) - came


@pytest.fixture(scope="module", params=[(0.3, 1), (0.3, 2), (0.5, 1), (0.5, 2), (1.0, 1)], ids=str)
def cut(request: pytest.FixtureRequest) -> tuple[float, Seen]:
    """(queue in front of the thin line in seconds, what was seen)"""
    queue_s, seed = request.param
    return queue_s, Seen(queue_s, seed)


def test_a_smaller_layer_is_shown_within_three_seconds_and_until_the_release(cut: tuple[float, Seen]) -> None:
    _, seen = cut
    assert set(seen.layers(seen.thin, STEADY_S, CUT_S)) == {"h"}
    assert seen.first("lm", CUT_S) < CUT_S + 3
    assert set(seen.layers(seen.thin, CUT_S + 3, FREE_S)) == {"l"}
    assert seen.thin.longest_freeze_s(seen.start + CUT_S + 4, seen.start + FREE_S) < 0.4


def test_the_whole_picture_is_back_within_ten_seconds_of_the_release(cut: tuple[float, Seen]) -> None:
    _, seen = cut
    assert seen.first("h", FREE_S) < FREE_S + 10
    assert set(seen.layers(seen.thin, FREE_S + 10, END_S)) == {"h"}
    assert seen.thin.longest_freeze_s(seen.start + FREE_S, seen.start + END_S) < 0.3, "it goes on until then"


def test_everything_is_heard(cut: tuple[float, Seen]) -> None:
    """While the queue is full a packet of sound may find no place in it, and nobody can ask a network for its turn."""
    queue_s, seen = cut
    assert seen.missing(seen.thin, CUT_S, CUT_S + 3) <= 10
    assert seen.missing(seen.thin, CUT_S + 3, END_S - 1) == 0
    assert all(share >= 0.7 for share in seen.thin.sound_heard(seen.publisher, CUT_S, END_S - 1)), "every beep"
    assert seen.late_s(seen.thin, CUT_S, END_S - 1) < queue_s + 0.1
    assert seen.late_s(seen.thin, CUT_S + 5, END_S - 1) < 0.3


def test_the_page_is_told_and_the_picture_is_never_paused(cut: tuple[float, Seen]) -> None:
    _, seen = cut
    states = [state for _, state in seen.told]
    assert states == ["reduced", "whole"]
    assert seen.told[0][0] < CUT_S + 1
    assert FREE_S < seen.told[1][0] < FREE_S + 10


def test_others_notice_nothing_and_nothing_is_missing_in_the_recording(cut: tuple[float, Seen]) -> None:
    _, seen = cut
    assert set(seen.layers(seen.other, STEADY_S, END_S)) == {"h"}
    assert seen.other.longest_freeze_s(seen.start + STEADY_S, seen.start + END_S) < 0.1
    assert seen.missing(seen.other, CUT_S, END_S - 1) == 0
    assert seen.late_s(seen.other, CUT_S, END_S - 1) < 0.08
    assert seen.others_told == []
    assert seen.recorded_missing == 0


def test_its_sender_is_seldom_asked_for_a_key_frame(cut: tuple[float, Seen]) -> None:
    """Once a second at most on the whole, and never twice within half a second for one layer (sfu.keyframes)."""
    _, seen = cut
    during = [at for at in seen.requests if CUT_S <= at < END_S]
    assert len(during) <= 10 < END_S - CUT_S
    assert all(after - before > 0.2 for before, after in pairwise(during))
