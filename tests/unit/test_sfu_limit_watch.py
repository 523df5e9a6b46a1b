"""When a participant is told of a limit: at once, then at most once in a while. Virtual time."""

from sfu.interfaces import Limit
from sfu.limit_watch import INTERVAL_S, LimitWatch


def test_the_first_excess_is_told_at_once_and_a_flood_once_an_interval() -> None:
    watch = LimitWatch()
    assert watch.reached({Limit.INCOMING: 0, Limit.STREAMS: 0}, 0.0) == []
    told = [now for now in range(1, 200) if watch.reached({Limit.INCOMING: 100 * now, Limit.STREAMS: 0}, float(now))]
    assert told == [1, 1 + INTERVAL_S, 1 + 2 * INTERVAL_S, 1 + 3 * INTERVAL_S]


def test_each_limit_is_told_for_itself() -> None:
    watch = LimitWatch()
    assert watch.reached({Limit.INCOMING: 1, Limit.STREAMS: 0}, 1.0) == [Limit.INCOMING]
    assert watch.reached({Limit.INCOMING: 2, Limit.STREAMS: 5}, 2.0) == [Limit.STREAMS]


def test_what_is_over_is_not_told_later() -> None:
    watch = LimitWatch()
    watch.reached({Limit.INCOMING: 1}, 1.0)
    watch.reached({Limit.INCOMING: 9}, 2.0)
    assert watch.reached({Limit.INCOMING: 9}, 3.0 + INTERVAL_S) == []


def test_a_new_connection_that_counts_from_zero_is_an_excess_of_its_own() -> None:
    watch = LimitWatch()
    watch.reached({Limit.STREAMS: 50}, 0.0)
    assert watch.reached({Limit.STREAMS: 0}, INTERVAL_S) == []
    assert watch.reached({Limit.STREAMS: 7}, INTERVAL_S + 1) == [Limit.STREAMS]
