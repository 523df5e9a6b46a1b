"""Packets come out in order, once, and wait behind a gap by journal time alone."""

import random

from hypothesis import given
from hypothesis import strategies as st

from recorder.journal import JournalPacket
from recorder.reorder import FAR_PACKETS, MAX_HELD_PACKETS, START_WAIT_NS, Missing, Ordered, OrderedPacket, Reorder
from tests.support.journals import MS, S

WAIT_NS = 3 * S


def packet(sequence: int, at_ms: int) -> JournalPacket:
    return JournalPacket(at_ms * MS, sequence, 0, False, b"x")


def sequences(ordered: list[Ordered]) -> list[int]:
    return [item.packet.sequence for item in ordered if isinstance(item, OrderedPacket)]


def missing(ordered: list[Ordered]) -> int:
    return sum(item.packets for item in ordered if isinstance(item, Missing))


def started(first: int = 0) -> Reorder:
    """Given out: `first`; the clock stands at START_WAIT_NS."""
    reorder = Reorder(WAIT_NS)
    assert reorder.push(packet(first, 0)) == []
    assert sequences(reorder.advance(START_WAIT_NS)) == [first]
    return reorder


def test_packets_in_order_pass_at_once() -> None:
    reorder = started()
    for sequence in range(1, 100):
        assert sequences(reorder.push(packet(sequence, 600 + sequence))) == [sequence]


def test_the_first_packets_may_be_overtaken() -> None:
    reorder = Reorder(WAIT_NS)
    out = [item for sequence, at in ((5, 0), (6, 1), (4, 2), (7, 600)) for item in reorder.push(packet(sequence, at))]
    assert sequences(out) == [4, 5, 6, 7]
    assert missing(out) == 0


def test_a_repaired_packet_is_waited_for_and_is_not_on_time() -> None:
    reorder = started()
    assert reorder.push(packet(2, 1_000)) == []
    assert reorder.push(packet(3, 1_010)) == []
    out = reorder.push(packet(1, 3_900))
    assert sequences(out) == [1, 2, 3]
    assert [item.on_time for item in out if isinstance(item, OrderedPacket)] == [False, True, True]


def test_a_gap_is_given_up_when_the_journals_clock_moved_on() -> None:
    reorder = started()
    reorder.push(packet(3, 1_000))
    assert reorder.push(packet(4, 3_999)) == []
    out = reorder.push(packet(5, 4_000))
    assert out[0] == Missing(2)
    assert sequences(out) == [3, 4, 5]
    assert reorder.push(packet(1, 4_100)) == []
    assert (reorder.late, reorder.duplicate) == (1, 0)


def test_the_second_gap_has_a_wait_of_its_own() -> None:
    reorder = started()
    reorder.push(packet(2, 1_000))
    reorder.push(packet(4, 2_000))
    assert reorder.advance(4 * S) == [Missing(1), OrderedPacket(packet(2, 1_000), True)]
    assert reorder.advance(5 * S - 1) == []
    assert reorder.advance(5 * S) == [Missing(1), OrderedPacket(packet(4, 2_000), True)]


def test_a_clock_that_goes_back_changes_nothing() -> None:
    reorder = started()
    reorder.push(packet(2, 1_000))
    assert reorder.advance(0) == []
    assert sequences(reorder.advance(4 * S)) == [2]


def test_duplicates_are_counted_and_left_out() -> None:
    reorder = started()
    reorder.push(packet(2, 600))
    assert reorder.push(packet(2, 601)) == []
    assert sequences(reorder.push(packet(1, 602))) == [1, 2]
    assert reorder.push(packet(1, 603)) == []
    assert (reorder.late, reorder.duplicate) == (0, 2)


def test_what_is_held_is_bounded() -> None:
    reorder = started()
    out: list[Ordered] = []
    for sequence in range(2, MAX_HELD_PACKETS + 10):
        out += reorder.push(packet(sequence, 600))
    assert len(out) >= MAX_HELD_PACKETS
    assert missing(out) == 1


def test_a_stray_far_ahead_does_not_take_the_stream_with_it() -> None:
    reorder = started()
    out: list[Ordered] = []
    reorder.push(packet(10 * FAR_PACKETS, 600))
    for sequence in range(1, 500):
        out += reorder.push(packet(sequence, 600 + 20 * sequence))
    assert sequences(out) == list(range(1, 500))
    assert reorder.stray == 1


def test_a_stream_that_jumps_for_good_is_followed() -> None:
    reorder = started()
    out: list[Ordered] = []
    for number in range(400):
        out += reorder.push(packet(10 * FAR_PACKETS + number, 600 + 20 * number))
    assert sequences(out) == [10 * FAR_PACKETS + number for number in range(400)]


def test_flush_gives_everything() -> None:
    reorder = started()
    for sequence in (5, 3, 9):
        reorder.push(packet(sequence, 600))
    out = reorder.flush()
    assert sequences(out) == [3, 5, 9]
    assert missing(out) == 2 + 1 + 3


@given(
    lost=st.sets(st.integers(1, 199), max_size=60),
    delays=st.lists(st.integers(0, 2_900), min_size=200, max_size=200),
    seed=st.integers(0, 1_000),
)
def test_every_packet_comes_out_once_in_order_and_every_missing_one_is_counted(
    lost: set[int], delays: list[int], seed: int
) -> None:
    """Packets 10 ms apart, each delayed by less than the wait; the first is neither lost nor late."""
    arrivals = [packet(0, 0)] + [packet(n, 10 * n + delays[n]) for n in range(1, 200) if n not in lost]
    twice = [each for each in arrivals[1:] if random.Random(seed + each.sequence).random() < 0.1]
    reorder = Reorder(WAIT_NS)
    out: list[Ordered] = []
    for each in sorted(arrivals + twice, key=lambda each: each.arrival_ns):
        out += reorder.push(each)
    out += reorder.flush()
    present = [n for n in range(200) if n not in lost]
    assert sequences(out) == present
    assert missing(out) == sum(n < present[-1] for n in lost)
    assert reorder.duplicate == len(twice)
    assert reorder.late == reorder.stray == 0


@given(arrivals=st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 100)), max_size=300))
def test_whatever_comes_comes_out_at_most_once_in_order_and_is_accounted_for(arrivals: list[tuple[int, int]]) -> None:
    reorder = Reorder(WAIT_NS)
    out: list[Ordered] = []
    at_ms = 0
    for sequence, step in arrivals:
        at_ms += step
        out += reorder.push(packet(sequence, at_ms))
    out += reorder.flush()
    given_out = sequences(out)
    assert given_out == sorted(set(given_out))
    assert len(given_out) + reorder.late + reorder.duplicate + reorder.stray == len(arrivals)
