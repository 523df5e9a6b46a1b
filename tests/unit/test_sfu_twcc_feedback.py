"""Arrival feedback, read back by a small decoder of its own (draft-holmer-rmcat-transport-wide-cc-extensions-01)."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from sfu.twcc import MAX_PENDING, MAX_SPAN, ArrivalLog

TICK_S = 0.00025
REFERENCE_S = 0.064


def decode(packet: bytes) -> tuple[int, int, dict[int, float]]:
    """(feedback count, packets covered, sequence number -> arrival), times since a whole number of references."""
    first, kind, words = struct.unpack_from("!BBH", packet)
    assert (first & 0xDF, kind, len(packet)) == (0x8F, 205, 4 * (words + 1))
    if first & 0x20:
        assert 0 < packet[-1] < 4
        packet = packet[: -packet[-1]]
    base, count = struct.unpack_from("!HH", packet, 12)
    reference, number = int.from_bytes(packet[16:19], "big"), packet[19]
    at = 20
    statuses: list[int] = []
    while len(statuses) < count:
        (chunk,) = struct.unpack_from("!H", packet, at)
        at += 2
        if not chunk & 0x8000:
            statuses += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            statuses += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            statuses += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    ticks = reference * 256
    arrivals: dict[int, float] = {}
    for offset, status in enumerate(statuses[:count]):
        assert status != 3
        if status == 1:
            ticks += packet[at]
            at += 1
        elif status == 2:
            ticks += struct.unpack_from("!h", packet, at)[0]
            at += 2
        if status:
            arrivals[(base + offset) & 0xFFFF] = ticks * TICK_S
    assert at == len(packet), "nothing is left over"
    return number, count, arrivals


def feedback(*arrivals: tuple[int, float]) -> bytes:
    log = ArrivalLog()
    log.arrivals += arrivals
    packet = log.take_feedback(1, 2)
    assert packet is not None
    return packet


def check(arrivals: list[tuple[int, float]]) -> None:
    """Each arrival is reported to one tick."""
    _, _, got = decode(feedback(*arrivals))
    expected: dict[int, float] = {}
    for sequence, arrival in arrivals:
        expected.setdefault(sequence & 0xFFFF, arrival)
    assert got.keys() == expected.keys()
    for sequence, arrival in expected.items():
        assert -1e-6 <= arrival - got[sequence] < TICK_S + 1e-6


def test_nothing_arrived_means_no_packet() -> None:
    log = ArrivalLog()
    assert log.take_feedback(1, 2) is None
    log.arrivals.append((1, 1.0))
    assert log.take_feedback(1, 2) is not None
    assert log.take_feedback(1, 2) is None


def test_ssrcs_stand_in_front_and_reports_are_counted_modulo_256() -> None:
    log = ArrivalLog()
    for number in range(260):
        log.arrivals.append((number, number * 0.05))
        packet = log.take_feedback(0x01020304, 0x05060708)
        assert packet is not None
        assert packet[4:12] == bytes(range(1, 9))
        assert decode(packet)[0] == number & 0xFF


def test_a_regular_burst_takes_one_chunk_and_a_byte_for_each() -> None:
    arrivals = [(100 + n, 5.0 + n * 0.001) for n in range(20)]
    packet = feedback(*arrivals)
    assert len(packet) == 20 + 2 + 20 + 2, "with two bytes of padding"
    check(arrivals)


def test_every_length_is_padded_to_words() -> None:
    for count in range(1, 12):
        check([(n, 1.0 + n * 0.002) for n in range(count)])
        check([(2 * n, 1.0 + n * 0.002) for n in range(count)])


def test_losses_are_reported_as_not_received() -> None:
    arrivals = [(n, 1.0 + n * 0.001) for n in range(30) if n not in (3, 4, 17)]
    check(arrivals)
    assert decode(feedback(*arrivals))[1] == 30


def test_what_was_lost_between_two_reports_is_in_the_second() -> None:
    log = ArrivalLog()
    log.arrivals += [(65_530 + n & 0xFFFF, 1.0 + n * 0.001) for n in range(10)]
    assert decode(log.take_feedback(1, 2) or b"")[1] == 10
    log.arrivals += [(65_570 + n & 0xFFFF, 1.05 + n * 0.001) for n in range(10)]
    _, count, got = decode(log.take_feedback(1, 2) or b"")
    assert (count, len(got)) == (40, 10)
    assert min(got) == 65_570 & 0xFFFF


def test_after_a_jump_of_the_numbers_the_report_begins_anew() -> None:
    log = ArrivalLog()
    log.arrivals.append((0, 1.0))
    log.take_feedback(1, 2)
    log.arrivals.append((30_000, 1.05))
    assert decode(log.take_feedback(1, 2) or b"")[1] == 1


def test_numbers_wrap_with_and_without_loss() -> None:
    check([((65530 + n) & 0xFFFF, 1.0 + n * 0.001) for n in range(20)])
    check([((65530 + n) & 0xFFFF, 1.0 + n * 0.001) for n in range(20) if n != 6])


def test_reordered_packets_have_negative_steps() -> None:
    check([(1, 1.0), (3, 1.001), (2, 1.002), (4, 1.003)])


def test_a_first_packet_that_was_overtaken_moves_the_base() -> None:
    arrivals = [(10, 1.0), (9, 1.004), (11, 1.005)]
    check(arrivals)
    assert struct.unpack_from("!H", feedback(*arrivals), 12) == (9,)


def test_gaps_longer_than_a_byte_of_ticks_are_reported_whole() -> None:
    check([(1, 1.0), (2, 1.063), (3, 1.2), (4, 4.5)])


def test_a_gap_beyond_8_seconds_is_clamped() -> None:
    _, _, got = decode(feedback((1, 1.0), (2, 100.0)))
    assert round(got[2] - got[1]) == 8


def test_a_packet_that_came_twice_counts_as_of_its_first_arrival() -> None:
    check([(1, 1.0), (2, 1.001), (2, 1.002), (3, 1.003)])


def test_a_jump_of_numbers_is_cut() -> None:
    _, count, got = decode(feedback((1, 1.0), (30_000, 1.001)))
    assert count == MAX_SPAN
    assert list(got) == [1]


@given(
    st.integers(0, 0xFFFF),
    st.floats(0, 1e6),
    st.lists(st.tuples(st.integers(-40, 60), st.floats(0, 0.3)), min_size=1, max_size=40),
)
def test_whatever_arrives_is_reported_to_the_tick(start: int, begin: float, steps: list[tuple[int, float]]) -> None:
    arrivals = []
    sequence, now = start, begin
    for step, wait in steps:
        sequence += step
        now += wait
        if (sequence - start + 0x8000) & 0xFFFF != sequence - start + 0x8000:
            return
        arrivals.append((sequence & 0xFFFF, now))
    offsets = [((s - start + 0x8000) & 0xFFFF) - 0x8000 for s, _ in arrivals]
    if max(offsets) - min(offsets) < MAX_SPAN and now - begin < 8:
        check(arrivals)


def test_a_full_log_makes_one_packet_that_one_datagram_holds() -> None:
    log = ArrivalLog()
    log.arrivals += [(n, 1.0 + n * 0.00005) for n in range(MAX_PENDING)]
    packet = log.take_feedback(1, 2)
    assert packet is not None
    assert len(decode(packet)[2]) == MAX_PENDING
    assert len(packet) < 1200
