"""Laying a file over what was sent finds exactly what is missing and what nobody sent."""

import random

import pytest

from tests.support.comparison import match, seconds

RANDOM = random.Random(4)
SENT = [0.033 * number + RANDOM.uniform(0, 0.012) for number in range(300)]
"""A camera's irregular frames."""


def in_file(first: int, last: int, without: tuple[int, ...] = ()) -> list[float]:
    """These frames as a container tells them: from zero, in whole milliseconds."""
    return [round(SENT[number] - SENT[first], 3) for number in range(first, last + 1) if number not in without]


def test_a_whole_file_matches_where_it_was_cut_out() -> None:
    found = match(SENT, in_file(90, 250), SENT[90] + 0.4)
    assert (found.first, found.last, found.faults) == (90, 250, 0)


@pytest.mark.parametrize("lost", [91, 170, 249])
def test_a_single_missing_frame_is_named(lost: int) -> None:
    found = match(SENT, in_file(90, 250, (lost,)), SENT[90] - 0.4)
    assert found.missing == (lost,)
    assert not found.extra


def test_a_run_of_missing_frames_is_named() -> None:
    assert match(SENT, in_file(90, 250, (100, 101, 102)), SENT[90]).missing == (100, 101, 102)


def test_a_frame_that_nobody_sent_is_named() -> None:
    file = sorted([*in_file(90, 250), 1.0166])
    found = match(SENT, file, SENT[90])
    assert found.extra == (1.0166,) or found.faults == 1


def test_even_sound_is_matched_at_the_expected_moment() -> None:
    sent = [0.02 * number for number in range(500)]
    found = match(sent, [0.02 * number for number in range(300)], 2.007)
    assert (found.first, found.last, found.faults) == (100, 399, 0)


def test_a_file_from_another_time_is_refused() -> None:
    with pytest.raises(AssertionError, match="nothing was sent"):
        match(SENT, in_file(0, 10), 60.0)


def test_timestamps_are_unwrapped() -> None:
    assert seconds([0xFFFF_FF00, 0x0000_02C0, 0x0000_0680], 48_000) == [0.0, 0.02, 0.04]


def test_a_timestamp_may_step_back() -> None:
    assert seconds([9000, 18_000, 13_500], 90_000) == [0.0, 0.1, 0.05]
