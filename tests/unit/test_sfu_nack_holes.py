"""Which missing packets are asked for, when, and when they are given up. Virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.nack import FIRST_RETRY_S, GIVE_UP_S, MAX_MISSING, MAX_PER_REQUEST, Missing


def test_what_was_skipped_is_asked_for_at_once_and_in_order() -> None:
    missing = Missing()
    missing.opened(5, 9, 1.0)
    assert missing.due(1.0) == [5, 6, 7, 8]
    assert missing.requested == 4


def test_it_is_not_asked_for_again_before_its_time() -> None:
    missing = Missing()
    missing.opened(5, 6, 1.0)
    missing.due(1.0)
    assert missing.due(1.0 + FIRST_RETRY_S / 2) == []
    assert missing.due(1.0 + FIRST_RETRY_S) == [5]


def test_a_long_round_trip_stretches_the_interval() -> None:
    missing = Missing()
    missing.opened(4, 6, 1.0)
    missing.due(1.0)
    missing.arrived(4, 1.3)
    assert missing.round_trip_s == pytest.approx(0.3)
    assert missing.due(1.3) == []
    assert missing.due(1.36) == [5]


def test_an_answer_to_one_of_several_requests_says_nothing_about_the_round_trip() -> None:
    missing = Missing()
    missing.opened(5, 6, 1.0)
    missing.due(1.0)
    missing.due(1.1)
    missing.arrived(5, 1.11)
    assert missing.round_trip_s == 0.0


def test_what_arrives_is_no_longer_asked_for() -> None:
    missing = Missing()
    missing.opened(5, 8, 1.0)
    assert missing.arrived(6, 1.0)
    assert not missing.arrived(6, 1.0)
    assert not missing.arrived(99, 1.0)
    assert missing.due(1.0) == [5, 7]
    assert missing.lost == 0


def test_what_never_comes_is_given_up_and_counted_as_lost() -> None:
    missing = Missing()
    missing.opened(5, 8, 1.0)
    missing.arrived(6, 1.0)
    assert missing.due(1.0 + GIVE_UP_S + 0.001) == []
    assert len(missing) == 0
    assert missing.lost == 2


def test_one_request_names_a_limited_number_and_the_rest_follows() -> None:
    missing = Missing()
    missing.opened(0, MAX_PER_REQUEST + 10, 1.0)
    assert missing.due(1.0) == list(range(MAX_PER_REQUEST))
    assert missing.due(1.001) == list(range(MAX_PER_REQUEST, MAX_PER_REQUEST + 10))


def test_a_hole_larger_than_the_cap_keeps_its_newest_part() -> None:
    missing = Missing()
    missing.opened(0, MAX_MISSING + 500, 1.0)
    assert len(missing) == MAX_MISSING
    assert missing.lost == 500
    assert missing.due(1.0)[0] == 500


def test_many_holes_push_out_the_oldest() -> None:
    missing = Missing()
    for number in range(0, 2 * (MAX_MISSING + 5), 2):
        missing.opened(number, number + 1, 1.0)
    assert len(missing) == MAX_MISSING
    assert missing.lost == 5
    assert not missing.arrived(8, 1.0)
    assert missing.arrived(10, 1.0)


steps = st.one_of(
    st.tuples(st.just("open"), st.integers(1, 40)),
    st.tuples(st.just("arrive"), st.integers(0, 400)),
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
        else:
            now += amount / 1000
        wait = max(FIRST_RETRY_S, 1.2 * missing.round_trip_s)
        due = missing.due(now)
        assert due == sorted(set(due))
        for number in due:
            assert now - asked_at.get(number, float("-inf")) >= wait - 0.006
            asked_at[number] = now
        assert len(missing) <= MAX_MISSING
        assert holes == arrived + missing.lost + len(missing)
