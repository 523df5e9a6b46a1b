"""The ring of sent packets keeps them by time, grows by need and stops at its cap. Virtual time."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs.vp8_descriptor import NOTHING
from sfu.history import FIRST_SLOTS, History, Packet

KEEP_S = 1.5
MAX_SLOTS = 8192


def packet(number: int, arrival: float) -> Packet:
    return Packet(number, 0, 0, b"%d" % number, b"", NOTHING, arrival)


def filled(count: int, packets_per_s: float) -> History:
    history = History(KEEP_S, MAX_SLOTS)
    for number in range(count):
        history.put(packet(number, number / packets_per_s))
    return history


def test_a_packet_is_found_under_its_number_and_no_other() -> None:
    history = filled(10, 50)
    found = history.get(7)
    assert found is not None
    assert found.payload == b"7"
    assert history.get(7 + FIRST_SLOTS) is None
    assert history.get(-1) is None


def test_a_slow_stream_never_grows() -> None:
    history = filled(5000, 40)
    assert len(history) == FIRST_SLOTS
    assert history.get(4999 - 30) is not None


def test_a_fast_stream_grows_until_it_holds_its_time() -> None:
    rate = 500
    history = filled(3000, rate)
    assert len(history) == 1024
    for number in range(3000 - int(rate * KEEP_S), 3000):
        assert history.get(number) is not None


def test_growing_stops_at_the_cap_and_the_newest_stay() -> None:
    history = filled(3 * MAX_SLOTS, 100_000)
    assert len(history) == MAX_SLOTS
    assert history.get(3 * MAX_SLOTS - 1) is not None
    assert history.get(2 * MAX_SLOTS - 1) is None


def test_putting_a_number_again_does_not_grow() -> None:
    history = filled(FIRST_SLOTS, 1000)
    history.put(packet(5, 0.06))
    assert len(history) == FIRST_SLOTS


def test_a_jump_of_numbers_does_not_lose_what_is_still_wanted() -> None:
    history = filled(FIRST_SLOTS, 1000)
    history.put(packet(100_000, 0.1))
    assert history.get(100_000) is not None
    assert history.get(FIRST_SLOTS - 1) is not None


@given(st.lists(st.tuples(st.integers(-30, 300), st.floats(0, 0.02)), min_size=1, max_size=150))
def test_below_the_cap_nothing_is_lost_before_its_time(steps: list[tuple[int, float]]) -> None:
    history = History(KEEP_S, MAX_SLOTS)
    kept: dict[int, float] = {}
    number, now = 1000, 0.0
    for step, wait in steps:
        number += step
        now += wait
        if number not in kept:
            history.put(packet(number, now))
            kept[number] = now
    assert len(history) <= MAX_SLOTS
    if len(history) < MAX_SLOTS:
        for kept_number, arrival in kept.items():
            if now - arrival < KEEP_S:
                assert history.get(kept_number) is not None


def test_a_cap_between_two_powers_of_two_is_never_exceeded() -> None:
    history = History(KEEP_S, 1000)
    for number in range(5000):
        history.put(packet(number, number / 100_000))
    assert len(history) == 512
