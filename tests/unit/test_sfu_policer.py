"""How much a connection may send: sustained, at once, and after a flood. Virtual time."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.policer import BURST_S, Policer

BPS = 8_000_000
OCTETS_PER_S = BPS // 8
TICK_S = 0.05


class Line:
    """Sends for a while and is filled at every tick, as a transport does it."""

    def __init__(self) -> None:
        self.policer = Policer(BPS, 0.0)
        self.taken = self.dropped = 0
        self.ticks = 0

    def tick(self, octets: int) -> None:
        """One tick in which so many octets come, in packets of 1000."""
        for _ in range(octets // 1000):
            if self.taken + 1000 > self.policer.allowed:
                self.dropped += 1000
            else:
                self.taken += 1000
        self.ticks += 1
        self.policer.fill(self.taken, self.ticks * TICK_S)


def test_what_stays_below_the_rate_is_never_dropped() -> None:
    line = Line()
    for _ in range(2000):
        line.tick(int(OCTETS_PER_S * TICK_S))
    assert line.dropped == 0


def test_a_second_of_the_rate_may_come_at_once_after_a_pause() -> None:
    line = Line()
    for _ in range(100):
        line.tick(0)
    line.tick(int(OCTETS_PER_S * BURST_S))
    assert line.dropped == 0
    line.tick(2 * int(OCTETS_PER_S * TICK_S))
    assert line.dropped > 0, "the burst is spent"


def test_a_pause_earns_one_burst_and_no_more() -> None:
    policer = Policer(BPS, 0.0)
    assert policer.fill(0, 3600.0) == OCTETS_PER_S * BURST_S


def test_of_a_flood_only_the_rate_comes_through() -> None:
    line = Line()
    for _ in range(200):
        line.tick(10 * int(OCTETS_PER_S * TICK_S))
    assert line.taken <= OCTETS_PER_S * (BURST_S + 200 * TICK_S)
    assert line.taken >= 0.98 * OCTETS_PER_S * 200 * TICK_S, "and that much does: it is not shut out"


def test_ticks_that_are_too_short_to_earn_an_octet_are_not_forgotten() -> None:
    policer = Policer(1_000_000, 0.0)
    start = policer.allowed
    now = 0.0
    for _ in range(1_000_000):
        now += 1e-6
        policer.fill(start, now)
    assert 125_000 - 2 <= policer.allowed - start <= 125_000


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 3 * OCTETS_PER_S)), max_size=60))
def test_in_no_stretch_of_time_more_comes_through_than_a_burst_and_the_rate(steps: list[tuple[float, int]]) -> None:
    policer = Policer(BPS, 0.0)
    now, taken = 0.0, 0
    history = [(now, taken)]
    for wait_s, offered in steps:
        now += wait_s
        policer.fill(taken, now)
        taken += max(0, min(offered, policer.allowed - taken))
        history.append((now, taken))
    for began, before in history:
        assert taken - before <= OCTETS_PER_S * (BURST_S + now - began) + 1
