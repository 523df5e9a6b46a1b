"""Packets are split into runs that one segmented send may carry (RFC 3550 5.1 padding)."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs.vp8_descriptor import NOTHING
from sfu.forwarding import MAX_PAD, MAX_RUN, split_runs
from sfu.history import Packet

PADDED = 0x2000
ORIENTATION = b"\xbe\xde\x00\x01\x10\x00\x00\x00"


def packet(number: int, size: int, *, padded: bool = False, extension: bytes = b"", marker: bool = False) -> Packet:
    payload = bytes((number & 0xFF,)) * size
    if padded and size:
        payload = payload[:-1] + b"\x01"
    return Packet(number, PADDED * padded | 0x80 * marker, 3000, payload, extension, NOTHING, 1.0)


def size(item: Packet) -> int:
    return len(item.payload) + len(item.extension)


def media(item: Packet) -> bytes:
    return item.payload[: -item.payload[-1]] if item.first & PADDED else item.payload


packets = st.builds(
    packet,
    st.integers(0, 1 << 40),
    st.one_of(st.integers(0, 1400), st.integers(1100, 1106)),
    padded=st.sampled_from([False] * 9 + [True]),
    extension=st.sampled_from([b""] * 4 + [ORIENTATION]),
    marker=st.booleans(),
)


@given(st.lists(packets, max_size=60))
def test_runs_keep_every_packet_in_order_and_differ_by_valid_padding_only(given_packets: list[Packet]) -> None:
    runs = split_runs(given_packets)
    flat = [item for run in runs for item in run]
    assert len(flat) == len(given_packets)
    for before, after in zip(given_packets, flat, strict=True):
        added = len(after.payload) - len(before.payload)
        assert 0 <= added <= MAX_PAD
        if added:
            assert not before.first & PADDED
            assert after.first == before.first | PADDED
            assert after.payload == before.payload + bytes(added - 1) + bytes((added,))
            assert media(after) == before.payload
        else:
            assert after == before
        assert (after.extension, after.descriptor, after.arrival) == (
            before.extension,
            before.descriptor,
            before.arrival,
        )
        assert (after.number, after.timestamp) == (before.number, before.timestamp)


@given(st.lists(packets, max_size=120))
def test_in_a_run_all_sizes_are_equal_but_a_shorter_last(given_packets: list[Packet]) -> None:
    for run in split_runs(given_packets):
        assert 1 <= len(run) <= MAX_RUN
        assert len({size(item) for item in run[:-1]}) <= 1
        assert size(run[-1]) <= size(run[0])


@given(st.lists(packets, max_size=60, unique_by=lambda item: item.number))
def test_a_packet_that_its_sender_padded_goes_alone(given_packets: list[Packet]) -> None:
    padded = {item.number for item in given_packets if item.first & PADDED}
    for run in split_runs(given_packets):
        assert len(run) == 1 or not padded & {item.number for item in run}


def test_a_frame_as_browsers_split_it_leaves_in_one_run() -> None:
    frame = [packet(n, 1100 + (n >= 3)) for n in range(7)] + [packet(7, 1101, marker=True)]
    (run,) = split_runs(frame)
    assert [size(item) for item in run] == [1101] * 8


def test_a_short_last_packet_ends_the_run_and_is_not_padded() -> None:
    first, second = split_runs([packet(0, 1100), packet(1, 1100), packet(2, 300), packet(3, 1100)])
    assert [size(item) for item in first] == [1100, 1100, 300]
    assert [size(item) for item in second] == [1100]


def test_a_longer_packet_begins_a_new_run() -> None:
    assert [[size(item) for item in run] for run in split_runs([packet(0, 100), packet(1, 104), packet(2, 104)])] == [
        [100],
        [104, 104],
    ]


def test_an_extension_counts_in_the_size() -> None:
    (run,) = split_runs([packet(0, 1100), packet(1, 1092, extension=ORIENTATION)])
    assert [size(item) for item in run] == [1100, 1100]


def test_empty_payloads_are_no_trouble() -> None:
    assert split_runs([]) == []
    (run,) = split_runs([packet(0, 0), packet(1, 0)])
    assert [item.payload for item in run] == [b"", b""]
    (run,) = split_runs([packet(0, 0), packet(1, 2)])
    assert [media(item) for item in run] == [b"", b"\x01\x01"]


def test_a_run_ends_at_its_cap() -> None:
    assert [len(run) for run in split_runs([packet(n, 500) for n in range(2 * MAX_RUN + 1)])] == [MAX_RUN, MAX_RUN, 1]
