"""Transport-wide feedback is read as it was written, in every encoding; what lies about itself is not believed."""

import random
import struct
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.congestion.feedback import MAX_COVERED, TransportFeedback, parse_feedback
from sfu.rtcp import parse
from sfu.twcc import ArrivalLog
from tests.support.properties import any_input

Step = int | None
"""What happened to a packet: None if it was lost, otherwise ticks since the one received before."""


def run_length(status: int, length: int) -> bytes:
    return struct.pack("!H", status << 13 | length)


def one_bit(statuses: list[int]) -> bytes:
    padded = statuses + [0] * (14 - len(statuses))
    return struct.pack("!H", 0x8000 | sum(status << 13 - place for place, status in enumerate(padded)))


def two_bits(statuses: list[int]) -> bytes:
    padded = statuses + [0] * (7 - len(statuses))
    return struct.pack("!H", 0xC000 | sum(status << 12 - 2 * place for place, status in enumerate(padded)))


def status_of(step: Step) -> int:
    return 0 if step is None else 1 if 0 <= step < 256 else 2


def chunks_of(statuses: list[int], choose: random.Random) -> bytes:
    """Any encoding that the format allows, by chance."""
    written = b""
    at = 0
    while at < len(statuses):
        rest = statuses[at:]
        alike = next((n for n, status in enumerate(rest) if status != rest[0]), len(rest))
        kinds = ["run", "two"] + (["one"] if 2 not in rest[:14] else [])
        kind = choose.choice(kinds)
        if kind == "run":
            length = choose.randint(1, min(alike, 0x1FFF))
            written += run_length(rest[0], length)
        elif kind == "one":
            length = 14
            written += one_bit(rest[:14])
        else:
            length = 7
            written += two_bits(rest[:7])
        at += length
    return written


def deltas_of(steps: list[Step]) -> bytes:
    return b"".join(
        bytes((step,)) if 0 <= step < 256 else step.to_bytes(2, "big", signed=True)
        for step in steps
        if step is not None
    )


def packet(base: int, count: int, tail: bytes, *, reference: int = 0, number: int = 0, padded: bool = True) -> bytes:
    body = struct.pack("!IIHHI", 1, 2, base, count, reference << 8 | number) + tail
    missing = -len(body) % 4
    flags = 0x8F
    if missing and padded:
        body += bytes(missing - 1) + bytes((missing,))
        flags |= 0x20
    else:
        body += bytes(missing)
    return struct.pack("!BBH", flags, 205, len(body) // 4) + body


def read(data: bytes) -> TransportFeedback | None:
    packets = list(parse(data))
    assert len(packets) <= 1
    if not packets:
        return None
    assert isinstance(packets[0], TransportFeedback)
    return packets[0]


def received(feedback: TransportFeedback) -> dict[int, int]:
    """Offset from the base -> arrival in ticks."""
    return {offset + n: tick for offset, ticks in feedback.spans for n, tick in enumerate(ticks)}


def expected(steps: list[Step]) -> dict[int, int]:
    arrived = [(place, step) for place, step in enumerate(steps) if step is not None]
    return dict(zip((p for p, _ in arrived), accumulate(step for _, step in arrived), strict=True))


def check(steps: list[Step], seed: int = 1) -> None:
    tail = chunks_of([status_of(step) for step in steps], random.Random(seed)) + deltas_of(steps)
    feedback = read(packet(0xFFF0, len(steps), tail, reference=0xABCDEF, number=77))
    assert feedback is not None
    assert (feedback.base, feedback.count, feedback.reference, feedback.number) == (0xFFF0, len(steps), 0xABCDEF, 77)
    assert received(feedback) == expected(steps)
    arrivals = list(received(feedback).values())
    assert feedback.ordered == all(a <= b for a, b in pairwise(arrivals))
    for (offset, ticks), (following, _) in pairwise(feedback.spans):
        assert offset + len(ticks) < following, "spans are as long as they can be, and ascend"


small = st.integers(0, 255)
large = st.one_of(st.integers(-32768, -1), st.integers(256, 32767))


@given(st.lists(st.one_of(st.none(), small), min_size=1, max_size=120), st.integers(0, 1000))
def test_every_encoding_of_small_steps_is_read(steps: list[Step], seed: int) -> None:
    check(steps, seed)


@given(st.lists(st.one_of(st.none(), small, large), min_size=1, max_size=120), st.integers(0, 1000))
def test_every_encoding_of_large_and_negative_steps_is_read(steps: list[Step], seed: int) -> None:
    check(steps, seed)


@pytest.mark.parametrize("count", range(1, 70))
def test_every_length_is_read(count: int) -> None:
    check([3] * count)
    check([None if n % 3 == 1 else 5 for n in range(count)])
    check([300 if n % 4 == 2 else None if n % 5 == 1 else 5 for n in range(count)])
    check([None] * count)


def test_without_the_padding_bit_the_tail_is_padding_too() -> None:
    tail = run_length(1, 5) + bytes([1, 2, 3, 4, 5])
    for padded in (True, False):
        feedback = read(packet(9, 5, tail, padded=padded))
        assert feedback is not None
        assert feedback.spans == ((0, [1, 3, 6, 10, 15]),)


def test_symbols_beyond_the_count_are_none() -> None:
    feedback = read(packet(9, 3, one_bit([1, 0, 1] + [1] * 11) + bytes([7, 8])))
    assert feedback is not None
    assert feedback.spans == ((0, [7]), (2, [15]))
    longer = read(packet(9, 3, run_length(1, 4) + bytes([7, 8, 9])))
    assert longer is not None
    assert longer.spans == ((0, [7, 15, 24]),)


def test_a_whole_outage_is_one_chunk_and_no_span() -> None:
    feedback = read(packet(9, 5000, run_length(0, 5000)))
    assert feedback is not None
    assert feedback.count == 5000
    assert feedback.spans == ()


def arrivals_of(feedback: TransportFeedback) -> dict[int, float]:
    return {
        feedback.base + place & 0xFFFF: (feedback.reference * 256 + tick) / 4000
        for place, tick in received(feedback).items()
    }


@given(
    st.integers(0, 0xFFFF),
    st.floats(0, 1e6),
    st.lists(st.tuples(st.integers(1, 9), st.floats(0, 0.3)), min_size=1, max_size=60),
)
def test_our_own_writer_is_read_to_the_tick(start: int, begin: float, steps: list[tuple[int, float]]) -> None:
    log = ArrivalLog()
    sequence, now = start, begin
    for step, wait in steps:
        sequence, now = sequence + step, now + wait
        log.arrivals.append((sequence & 0xFFFF, now))
    written = dict(log.arrivals)
    feedback = read(log.take_feedback(1, 2) or b"")
    assert feedback is not None
    got = arrivals_of(feedback)
    assert got.keys() == written.keys()
    for number, arrival in written.items():
        wrapped = arrival % (2**24 * 0.064)
        assert -1e-6 <= wrapped - got[number] < 0.00025 + 1e-6


def test_reordered_packets_of_our_own_writer_are_read_and_said_to_be_out_of_order() -> None:
    log = ArrivalLog()
    log.arrivals += [(1, 1.0), (3, 1.25), (2, 1.5), (4, 1.75)]
    feedback = read(log.take_feedback(1, 2) or b"")
    assert feedback is not None
    assert not feedback.ordered
    assert arrivals_of(feedback) == {1: 1.0, 3: 1.25, 2: 1.5, 4: 1.75}


@pytest.mark.parametrize(
    "data",
    [
        packet(1, 0, run_length(1, 0)),
        packet(1, 3, run_length(1, 3) + bytes([1, 2]), padded=False)[:-4],
        packet(1, 5, run_length(1, 5) + bytes([1, 2]), padded=True),
        packet(1, 15, one_bit([1] * 14)),
        packet(1, 7, two_bits([2] * 7) + bytes(12)),
        packet(1, 2, two_bits([3, 1]) + bytes(6)),
        packet(1, 8, run_length(3, 8) + bytes(8)),
        packet(1, MAX_COVERED + 1, run_length(0, 0x1FFF) * 5),
        packet(1, 0xFFFF, run_length(0, 0x1FFF) * 9),
        packet(1, 4, run_length(0, 0) * 200),
        packet(1, 2, b""),
    ],
)
def test_what_lies_about_its_counts_is_dropped(data: bytes) -> None:
    assert read(data) is None


@pytest.mark.parametrize("padding", [0, 1, 2, 5, 100, 255])
def test_padding_that_eats_the_deltas_or_more_drops_the_packet(padding: int) -> None:
    data = bytearray(packet(1, 8, run_length(1, 8) + bytes([1] * 10)))
    assert len(data) % 4 == 0
    data[0] |= 0x20
    data[-1] = padding
    feedback = read(bytes(data))
    assert (feedback is not None) == (1 <= padding <= 2)


def test_no_truncation_raises() -> None:
    steps: list[Step] = [300 if n % 4 == 2 else None if n % 5 == 1 else 5 for n in range(200)]
    whole = packet(1, 200, chunks_of([status_of(step) for step in steps], random.Random(3)) + deltas_of(steps))
    for size in range(len(whole) + 1):
        list(parse(whole[:size]))
        parse_feedback(whole[:size])


@any_input
@given(st.binary(max_size=300), st.booleans())
def test_no_body_raises_and_what_is_read_keeps_its_promises(body: bytes, padded: bool) -> None:
    body += bytes(-len(body) % 4)
    feedback = parse_feedback(struct.pack("!BBH", 0xAF if padded else 0x8F, 205, len(body) // 4) + body)
    if feedback is not None:
        assert 0 < feedback.count <= MAX_COVERED
        places = list(received(feedback))
        assert len(places) <= len(body)
        assert places == sorted(set(places))
        assert not places or 0 <= places[0] <= places[-1] < feedback.count


@any_input
@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60), st.binary(max_size=100))
def test_no_chunks_raise(count: int, chunks: list[int], deltas: bytes) -> None:
    data = packet(5, count, struct.pack(f"!{len(chunks)}H", *chunks) + deltas)
    feedback = parse_feedback(data)
    if feedback is not None:
        assert feedback.count == count
