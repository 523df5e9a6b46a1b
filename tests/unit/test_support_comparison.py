"""Laying a file over what was sent finds exactly what is missing and what nobody sent."""

import random

import pytest

from tests.support.comparison import match, seconds

SENT = random.Random(4).sample(range(1 << 32), 300)
"""Checksums of a camera's frames."""


def test_a_whole_file_matches_where_it_was_cut_out() -> None:
    found = match(SENT, SENT[90:251])
    assert (found.first, found.missing, found.extra) == (90, (), ())
    assert found.pairs[-1] == (250, 160)


@pytest.mark.parametrize("lost", [91, 170, 249])
def test_a_single_missing_frame_is_named(lost: int) -> None:
    found = match(SENT, SENT[90:lost] + SENT[lost + 1 : 251])
    assert (found.missing, found.extra) == ((lost,), ())


def test_a_run_of_missing_frames_is_named() -> None:
    assert match(SENT, SENT[90:100] + SENT[103:251]).missing == (100, 101, 102)


def test_a_frame_that_nobody_sent_is_named() -> None:
    assert match(SENT, [*SENT[90:100], 7, *SENT[100:251]]).extra == (10,)


def test_a_changed_frame_is_both_missing_and_extra() -> None:
    found = match(SENT, [*SENT[90:100], SENT[100] ^ 1, *SENT[101:251]])
    assert (found.missing, found.extra) == ((100,), (10,))


def test_frames_in_the_wrong_order_are_noticed() -> None:
    found = match(SENT, [*SENT[90:100], SENT[101], SENT[100], *SENT[102:251]])
    assert found.missing or found.extra


def test_a_repeated_frame_is_extra() -> None:
    assert match(SENT, [*SENT[90:100], SENT[99], *SENT[100:251]]).extra == (10,)


def test_silence_that_was_sent_many_times_is_matched_where_the_rest_fits() -> None:
    sent = [5, 5, 5, 5, *SENT[:20]]
    found = match(sent, [5, 5, *SENT[:10]])
    assert (found.first, found.missing, found.extra) == (2, (), ())


def test_a_file_of_another_time_matches_nothing() -> None:
    found = match(SENT, [1, 2, 3])
    assert (found.pairs, found.extra) == ((), (0, 1, 2))


def test_timestamps_are_unwrapped() -> None:
    assert seconds([0xFFFF_FF00, 0x0000_02C0, 0x0000_0680], 48_000) == [0.0, 0.02, 0.04]


def test_a_timestamp_may_step_back() -> None:
    assert seconds([9000, 18_000, 13_500], 90_000) == [0.0, 0.1, 0.05]
