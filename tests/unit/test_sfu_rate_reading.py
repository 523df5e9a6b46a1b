"""Rates from counters read at any times. Virtual time."""

from sfu.rate import Rate


def test_the_first_reading_has_no_rate_yet() -> None:
    assert Rate().update(5000, 10.0) == 0.0


def test_a_rate_is_the_mean_since_the_reading_before() -> None:
    rate = Rate()
    rate.update(1000, 10.0)
    assert rate.update(3000, 12.0) == 1000.0
    assert rate.update(3000, 13.0) == 0.0


def test_a_reader_who_comes_too_soon_gets_the_value_of_before() -> None:
    rate = Rate()
    rate.update(0, 0.0)
    assert rate.update(1000, 1.0) == 1000.0
    assert rate.update(9000, 1.5) == 1000.0
    assert rate.update(9000, 2.0) == 8000.0
