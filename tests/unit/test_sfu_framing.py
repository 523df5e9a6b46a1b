"""Datagrams in a TCP stream (RFC 4571), wherever its reads are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.framing import Deframer, FramingError, framed
from sfu.rtp import MAX_DATAGRAM_BYTES
from tests.support.properties import any_input

DATAGRAMS = [b"", b"a", b"\x00\x01" * 10, bytes(MAX_DATAGRAM_BYTES), b"\x80" + bytes(254), b"\xff" * 256]
STREAM = b"".join(map(framed, DATAGRAMS))


def test_a_frame_is_a_datagram_behind_its_length() -> None:
    assert framed(b"abc") == b"\x00\x03abc"
    assert framed(bytes(1500))[:2] == b"\x05\xdc"


def test_a_stream_cut_at_any_byte_gives_the_same_datagrams() -> None:
    for cut in range(len(STREAM) + 1):
        deframer = Deframer()
        assert deframer.feed(STREAM[:cut]) + deframer.feed(STREAM[cut:]) == DATAGRAMS


def test_a_stream_that_comes_byte_by_byte_gives_the_same_datagrams() -> None:
    deframer = Deframer()
    found = []
    for place in range(len(STREAM)):
        found += deframer.feed(STREAM[place : place + 1])
        assert len(deframer._rest) < 2 + MAX_DATAGRAM_BYTES
    assert found == DATAGRAMS
    assert deframer._rest == b""


@given(st.lists(st.binary(max_size=MAX_DATAGRAM_BYTES), max_size=20), st.lists(st.integers(0, 30_000), max_size=10))
def test_any_datagrams_come_out_of_any_reads(datagrams: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(framed, datagrams))
    places = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    deframer = Deframer()
    found = []
    for begin, end in pairwise(places):
        found += deframer.feed(stream[begin:end])
    assert found == datagrams


@any_input
@given(st.binary(max_size=5000))
def test_any_bytes_give_datagrams_within_the_limit_or_one_refusal(noise: bytes) -> None:
    deframer = Deframer()
    try:
        found = deframer.feed(noise)
    except FramingError:
        return
    assert all(len(datagram) <= MAX_DATAGRAM_BYTES for datagram in found)
    assert len(deframer._rest) < 2 + MAX_DATAGRAM_BYTES


@pytest.mark.parametrize("size", [MAX_DATAGRAM_BYTES + 1, 0x1603, 0xFFFF])
def test_a_length_beyond_any_datagram_is_refused_before_anything_of_it_is_kept(size: int) -> None:
    deframer = Deframer()
    with pytest.raises(FramingError):
        deframer.feed(framed(b"fine") + size.to_bytes(2, "big"))
