"""Which missing packets are asked for, when, and when they are given up. Virtual time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.nack import (
    DOUBTFUL,
    FAST_REQUESTS,
    FIRST_RETRY_S,
    MAX_MISSING,
    MAX_PER_REQUEST,
    MAX_TOLERANCE_S,
    MIN_TOLERANCE_S,
    SLOW_RETRY_S,
    Missing,
)

PATIENCE_S = 1.5
LATER = MIN_TOLERANCE_S
"""When what was skipped at 0 may be asked for."""


def skipped(first: int, end: int, at: float = 0.0) -> Missing:
    missing = Missing()
    missing.opened(first, end, at)
    return missing


# --- what was overtaken


def test_what_was_skipped_is_asked_for_a_moment_later_and_in_order() -> None:
    missing = skipped(5, 9)
    assert missing.due(MIN_TOLERANCE_S / 2, PATIENCE_S) == []
    assert missing.due(LATER, PATIENCE_S) == [5, 6, 7, 8]
    assert missing.requested == 4


def test_what_was_merely_overtaken_is_never_asked_for() -> None:
    missing = skipped(5, 7)
    assert missing.arrived(5, 0.004)
    assert missing.arrived(6, 0.008)
    assert missing.due(1.0, PATIENCE_S) == []
    assert missing.requested == missing.lost == 0


def test_where_packets_are_overtaken_by_more_the_first_request_waits_longer() -> None:
    missing = Missing()
    for n in range(40):
        missing.opened(n, n + 1, n)
        missing.arrived(n, n + 0.03)
    assert 0.025 < missing.tolerance_s <= 0.03
    missing.opened(100, 101, 100.0)
    assert missing.due(100.02, PATIENCE_S) == []
    assert missing.due(100.03, PATIENCE_S) == [100]


def test_that_wait_has_a_bound_and_shrinks_when_what_is_missing_is_lost() -> None:
    missing = Missing()
    for n in range(40):
        missing.opened(n, n + 1, n)
        missing.arrived(n, n + 0.9)
    assert 0.9 * MAX_TOLERANCE_S < missing.tolerance_s <= MAX_TOLERANCE_S
    for n in range(100, 180):
        missing.opened(n, n + 1, n)
        missing.due(n + 0.06, PATIENCE_S)
        missing.resent(n, n + 0.1)
    assert missing.tolerance_s < MIN_TOLERANCE_S + 0.001


# --- the second request


def test_before_the_round_trip_is_known_a_packet_is_not_asked_for_again_too_soon() -> None:
    missing = skipped(5, 6)
    assert missing.due(LATER, PATIENCE_S) == [5]
    assert missing.due(LATER + 0.1, PATIENCE_S) == []
    assert missing.due(LATER + 0.12, PATIENCE_S) == [5]


def test_a_short_round_trip_is_followed_down_to_the_least_interval() -> None:
    missing = skipped(4, 6)
    missing.due(LATER, PATIENCE_S)
    missing.resent(4, LATER + 0.004)
    assert missing.due(LATER + 0.03, PATIENCE_S) == []
    assert missing.due(LATER + FIRST_RETRY_S, PATIENCE_S) == [5]


def test_a_long_round_trip_stretches_the_interval() -> None:
    missing = skipped(4, 6)
    missing.due(LATER, PATIENCE_S)
    missing.resent(4, LATER + 0.3)
    assert missing.round_trip_s == pytest.approx(0.3)
    assert missing.due(LATER + 0.35, PATIENCE_S) == []
    assert missing.due(LATER + 0.36, PATIENCE_S) == [5]


@pytest.mark.parametrize("round_trip_s", [0.02, 0.06, 0.11, 0.2, 0.3, 0.45])
@pytest.mark.parametrize("before_s", [0.0, 0.05, 0.4])
def test_any_round_trip_is_found_whatever_was_believed_before(round_trip_s: float, before_s: float) -> None:
    """Also one so much longer that every answer comes after the second request."""
    missing = Missing()
    missing.round_trip_s = before_s
    for n in range(60):
        begin = 5.0 * n
        missing.opened(n, n + 1, begin)
        asked_at = 0.0
        for step in range(100):
            now = begin + 0.01 * step
            if missing.due(now, PATIENCE_S) and not asked_at:
                asked_at = now
            if asked_at and now - asked_at >= round_trip_s - 1e-9:
                missing.resent(n, asked_at + round_trip_s)
                break
    assert missing.round_trip_s == pytest.approx(round_trip_s, rel=0.2)


def test_an_answer_to_one_of_several_requests_says_little_about_the_round_trip() -> None:
    missing = skipped(1, 3)
    missing.due(LATER, PATIENCE_S)
    missing.resent(1, LATER + 0.05)
    missing.due(0.2, PATIENCE_S)
    missing.resent(2, 0.25)
    assert missing.round_trip_s == pytest.approx(0.05)


def test_sound_that_comes_in_its_own_stream_after_it_was_asked_for_counts_as_an_answer() -> None:
    missing = skipped(1, 3)
    missing.due(LATER, PATIENCE_S)
    missing.arrived(1, LATER + 0.08)
    assert missing.round_trip_s == pytest.approx(0.08)
    assert missing.tolerance_s == MIN_TOLERANCE_S


def test_where_answers_come_as_rtx_what_comes_in_the_stream_itself_was_overtaken() -> None:
    missing = skipped(1, 3)
    missing.due(LATER, PATIENCE_S)
    missing.resent(1, LATER + 0.05)
    missing.arrived(2, LATER + 0.09)
    assert missing.round_trip_s == pytest.approx(0.05)
    assert missing.tolerance_s > MIN_TOLERANCE_S


# --- the end


def test_what_arrives_is_no_longer_asked_for() -> None:
    missing = skipped(5, 8)
    assert missing.arrived(6, 0.0)
    assert not missing.arrived(6, 0.0)
    assert not missing.arrived(99, 0.0)
    assert missing.due(LATER, PATIENCE_S) == [5, 7]
    assert missing.lost == 0


def test_what_never_comes_is_given_up_and_counted_as_lost() -> None:
    missing = skipped(5, 8)
    missing.arrived(6, 0.0)
    assert missing.due(PATIENCE_S + 0.001, PATIENCE_S) == []
    assert len(missing) == 0
    assert missing.lost == 2


def test_who_is_patient_asks_on_but_more_seldom() -> None:
    missing = skipped(5, 6)
    asked = [n / 100 for n in range(290) if missing.due(n / 100, 2.9)]
    assert asked[-1] > 2.6
    steps = [after - before for before, after in pairwise(asked)]
    assert steps[: FAST_REQUESTS - 1] == pytest.approx([0.12] * (FAST_REQUESTS - 1), abs=0.011)
    assert steps[FAST_REQUESTS - 1 :] == pytest.approx([SLOW_RETRY_S] * len(steps[FAST_REQUESTS - 1 :]), abs=0.011)


def test_holes_are_counted_by_how_they_ended() -> None:
    missing = skipped(0, 5)
    assert missing.arrived(0, 0.001), "by itself"
    assert missing.due(0.02, PATIENCE_S) == [1, 2, 3, 4]
    assert missing.arrived(1, 0.15), "because it was asked for, without RTX"
    missing.resent(2, 0.15)
    assert missing.arrived(3, 0.16), "overtaken after all: answers come as RTX"
    missing.due(0.02 + PATIENCE_S, PATIENCE_S)
    assert not missing.arrived(4, 3.0), "too late"
    assert (missing.missed, missing.reordered, missing.repaired, missing.lost) == (5, 2, 2, 1)


def test_sound_that_comes_soon_after_it_was_asked_for_counts_as_repaired_on_a_short_path() -> None:
    missing = skipped(0, 20)
    missing.due(0.02, PATIENCE_S)
    for number in range(20):
        missing.arrived(number, 0.025)
    assert (missing.missed, missing.reordered, missing.repaired) == (20, 0, 20)


def test_one_request_names_a_limited_number_and_the_rest_follows() -> None:
    missing = skipped(0, MAX_PER_REQUEST + 10)
    assert missing.due(LATER, PATIENCE_S) == list(range(MAX_PER_REQUEST))
    assert missing.due(LATER + 0.001, PATIENCE_S) == list(range(MAX_PER_REQUEST, MAX_PER_REQUEST + 10))


def test_a_hole_larger_than_the_cap_keeps_its_newest_part() -> None:
    missing = skipped(0, MAX_MISSING + 500)
    assert len(missing) == MAX_MISSING
    assert missing.lost == 500
    assert missing.due(LATER, PATIENCE_S)[0] == 500


def test_many_holes_push_out_the_oldest() -> None:
    missing = Missing()
    for number in range(0, 2 * (MAX_MISSING + 5), 2):
        missing.opened(number, number + 1, 1.0)
    assert len(missing) == MAX_MISSING
    assert missing.lost == 5
    assert not missing.arrived(8, 1.0)
    assert missing.arrived(10, 1.0)


def test_the_age_of_the_oldest_hole_is_known() -> None:
    missing = skipped(3, 4, 1.0)
    missing.opened(7, 8, 1.5)
    assert missing.oldest_s(2.0) == 1.0
    missing.arrived(3, 2.0)
    assert missing.oldest_s(2.0) == 0.5
    missing.arrived(7, 2.0)
    assert missing.oldest_s(2.0) == 0.0


steps = st.one_of(
    st.tuples(st.just("open"), st.integers(1, 40)),
    st.tuples(st.just("arrive"), st.integers(0, 400)),
    st.tuples(st.just("resent"), st.integers(0, 400)),
    st.tuples(st.just("wait"), st.integers(0, 400)),
)


@given(st.lists(steps, max_size=60))
def test_every_hole_ends_as_arrived_lost_or_open(sequence: list[tuple[str, int]]) -> None:
    missing = Missing()
    now, top, holes, arrived = 0.0, 0, 0, 0
    asked_at: dict[int, float] = {}
    for what, amount in sequence:
        if what == "open":
            missing.opened(top, top + amount, now)
            top += amount + 1
            holes += amount
        elif what == "arrive":
            arrived += missing.arrived(amount, now)
        elif what == "resent":
            before = len(missing)
            missing.resent(amount, now)
            arrived += before - len(missing)
        else:
            now += amount / 1000
        wait = max(FIRST_RETRY_S, 1.2 * missing.round_trip_s)
        due = missing.due(now, PATIENCE_S)
        assert due == sorted(set(due))
        for number in due:
            assert now - asked_at.get(number, float("-inf")) >= wait - 0.006
            asked_at[number] = now
        assert len(missing) <= MAX_MISSING
        assert holes == missing.missed == arrived + missing.lost + len(missing)
        assert arrived == missing.reordered + missing.repaired
        assert 0 <= missing.round_trip_s <= 0.5
        assert MIN_TOLERANCE_S <= missing.tolerance_s <= MAX_TOLERANCE_S


def test_doubt_is_ended_by_a_single_answer() -> None:
    missing = Missing()
    missing.round_trip_s = 0.05
    for n in range(3 * DOUBTFUL):
        missing.opened(n, n + 1, n)
        missing.due(n + 0.01, PATIENCE_S)
        if n % 2:
            missing.due(n + 0.1, PATIENCE_S)
            missing.resent(n, n + 0.15)
        else:
            missing.resent(n, n + 0.06)
    assert missing.round_trip_s == pytest.approx(0.05, abs=0.002)
