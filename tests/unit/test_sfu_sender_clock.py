"""One relation of a sender's clock to ours for all its streams. Virtual time."""

import pytest

from sfu.sender_clock import KEPT, SenderClock

NTP_S = 1 << 32


def test_a_report_that_came_at_once_places_the_one_that_was_held_up() -> None:
    clock = SenderClock()
    clock.note(1000 * NTP_S, 10.0)
    clock.note(1005 * NTP_S, 15.2)
    assert clock.local(1005 * NTP_S) == pytest.approx(15.0)
    clock.note(1010 * NTP_S, 19.9)
    assert clock.local(1005 * NTP_S) == pytest.approx(14.9)


def test_old_reports_are_forgotten_so_that_drift_is_followed() -> None:
    clock = SenderClock()
    clock.note(0, 5.0)
    for number in range(KEPT):
        clock.note(number * NTP_S, number + 7.0)
    assert clock.local(0) == pytest.approx(7.0)
