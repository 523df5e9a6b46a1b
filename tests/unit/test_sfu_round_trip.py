"""The round trip to a sender: the least of a minute, of its own clock only the delay, and bounded. Virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.round_trip import KEPT, RoundTrip
from sfu.rtcp import SinceReference, ntp_from_unix

EPOCH_S = 1_900_000_000.0


def ask(trip: RoundTrip, at_s: float) -> int:
    """The 32 bits by which the sender names it."""
    ntp = ntp_from_unix(EPOCH_S + at_s)
    trip.asked(ntp, at_s)
    return ntp >> 16 & 0xFFFFFFFF


def answer(named: int, delay_s: float) -> SinceReference:
    return SinceReference(1, named, round(delay_s * 65536))


def test_nothing_is_known_before_the_first_answer() -> None:
    trip = RoundTrip()
    ask(trip, 1.0)
    assert trip.least_s is None


def test_the_time_that_the_sender_waited_is_taken_off() -> None:
    trip = RoundTrip()
    assert trip.answered(answer(ask(trip, 1.0), 0.7), 1.75)
    assert trip.least_s == pytest.approx(0.05, abs=1e-4)


def test_the_least_counts_of_several_answers_and_of_several_reference_times() -> None:
    trip = RoundTrip()
    first, second = ask(trip, 1.0), ask(trip, 2.0)
    for named, delay_s, at_s in ((first, 0.5, 1.6), (first, 0.6, 1.65), (second, 0.0, 2.2), (first, 0.5, 1.7)):
        assert trip.answered(answer(named, delay_s), at_s)
    assert trip.least_s == pytest.approx(0.05, abs=1e-4)


def test_a_path_that_got_longer_shows_after_a_minute() -> None:
    trip = RoundTrip()
    for second in range(KEPT):
        assert trip.answered(answer(ask(trip, float(second)), 0.1), second + 0.12)
    for second in range(KEPT, 2 * KEPT):
        assert trip.answered(answer(ask(trip, float(second)), 0.1), second + 0.2)
    assert trip.least_s == pytest.approx(0.1, abs=1e-4)


def test_what_was_answered_long_ago_is_not_known_any_more() -> None:
    trip = RoundTrip()
    assert trip.answered(answer(ask(trip, 0.0), 0.1), 0.12)
    for second in range(1, KEPT + 1):
        ask(trip, float(second))
    assert trip.least_s is None


def test_what_was_never_asked_or_waited_for_longer_than_there_was_time_is_not_believed() -> None:
    trip = RoundTrip()
    named = ask(trip, 1.0)
    assert not trip.answered(answer(named + 1, 0.0), 1.1)
    assert not trip.answered(answer(0, 0.0), 1.1)
    assert not trip.answered(answer(named, 0.2), 1.1)
    assert not trip.answered(SinceReference(1, named, 0xFFFFFFFF), 1.1)
    assert trip.least_s is None


def test_a_fast_clock_of_the_sender_makes_no_round_trip_negative() -> None:
    trip = RoundTrip()
    assert trip.answered(answer(ask(trip, 1.0), 1.0003), 2.0)
    assert trip.least_s == 0.0


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.floats(0.0, 5.0)),
        max_size=200,
    )
)
def test_whatever_is_answered_it_stays_bounded_and_within_the_time_that_passed(
    steps: list[tuple[bool, int, int, float]],
) -> None:
    trip, now, named = RoundTrip(), 0.0, 0
    for asks, last_rr, delay, passed_s in steps:
        now += passed_s
        if asks:
            named = ask(trip, now)
        trip.answered(SinceReference(1, last_rr, delay), now)
        trip.answered(SinceReference(1, named, delay), now)
        assert trip.least_s is None or 0.0 <= trip.least_s <= now
        assert len(trip._sent) <= KEPT
