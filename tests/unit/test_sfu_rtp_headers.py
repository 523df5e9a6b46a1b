"""Sequence numbers, padding and header extensions of RTP, honest and hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp import ONE_BYTE_PROFILE, read_extensions, strip_padding, unwrap
from tests.support.properties import any_input

TWO_BYTE_PROFILE = 0x1000


@given(st.integers(0, 2**40), st.integers(-(2**15), 2**15 - 1))
def test_unwrapping_finds_the_number_that_was_truncated(reference: int, distance: int) -> None:
    assert unwrap((reference + distance) & 0xFFFF, reference) == reference + distance


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**16 - 1))
def test_an_unwrapped_number_is_congruent_and_nearest(reference: int, value: int) -> None:
    result = unwrap(value, reference)
    assert (result - value) % 2**16 == 0
    assert -(2**15) <= result - reference < 2**15


@given(st.integers(0, 2**50), st.integers(-(2**31), 2**31 - 1))
def test_timestamps_unwrap_with_32_bits(reference: int, distance: int) -> None:
    assert unwrap((reference + distance) & 0xFFFFFFFF, reference, 32) == reference + distance


def test_a_stream_is_followed_over_the_wrap_in_both_directions() -> None:
    assert unwrap(0, 65535) == 65536
    assert unwrap(65535, 65536) == 65535
    assert unwrap(65535, 0) == -1


@given(st.binary(max_size=1500), st.integers(1, 255))
def test_padding_is_stripped_whatever_its_filling(media: bytes, count: int) -> None:
    assert strip_padding(media + bytes([7]) * (count - 1) + bytes((count,))) == media


@pytest.mark.parametrize("payload", [b"", b"\x00", b"abc\x00", b"\x02", b"abc\xff", b"abc\x05"])
def test_a_padding_count_that_is_a_lie_leaves_nothing(payload: bytes) -> None:
    assert strip_padding(payload) == b""


def test_a_packet_of_padding_only_has_an_empty_payload() -> None:
    assert strip_padding(b"\x00\x00\x03") == b""


Elements = dict[int, bytes]


@given(st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=14), st.data())
def test_one_byte_elements_are_found_between_any_padding(elements: Elements, data: st.DataObject) -> None:
    block = b""
    for identifier, value in elements.items():
        block += bytes(data.draw(st.integers(0, 3))) + bytes((identifier << 4 | len(value) - 1,)) + value
    block += bytes(-len(block) % 4)
    assert read_extensions(block, ONE_BYTE_PROFILE) == elements


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=255), max_size=8), st.integers(0, 15), st.data())
def test_two_byte_elements_are_found_between_any_padding(elements: Elements, appbits: int, data: st.DataObject) -> None:
    block = b""
    for identifier, value in elements.items():
        block += bytes(data.draw(st.integers(0, 3))) + bytes((identifier, len(value))) + value
    assert read_extensions(block + bytes(-len(block) % 4), TWO_BYTE_PROFILE | appbits) == elements


@any_input
@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_no_block_raises_and_every_value_lies_inside(block: bytes, profile: int) -> None:
    for identifier, value in read_extensions(block, profile).items():
        assert 1 <= identifier <= 255
        assert value in block


def test_an_unknown_profile_has_no_elements() -> None:
    assert read_extensions(b"\x10\xaa\x00\x00", 0xABAC) == {}


def test_id_15_ends_the_reading_and_what_came_before_stands() -> None:
    assert read_extensions(b"\x10\xaa\xf0\xbb\x20\xcc\x00\x00", ONE_BYTE_PROFILE) == {1: b"\xaa"}


def test_id_0_with_a_length_is_no_element() -> None:
    assert read_extensions(b"\x10\xaa\x01\xbb\xcc\x20\xdd\x00", ONE_BYTE_PROFILE) == {1: b"\xaa"}


@pytest.mark.parametrize("block", [b"\x10\xaa\x23\xbb", b"\x10\xaa\x2f\x00"])
def test_an_overrun_ends_the_reading_and_what_came_before_stands(block: bytes) -> None:
    assert read_extensions(block, ONE_BYTE_PROFILE) == {1: b"\xaa"}


@pytest.mark.parametrize("block", [b"\x01\x01\xaa\x02", b"\x01\x01\xaa\x02\x05\xbb\xcc\xdd"])
def test_a_two_byte_overrun_ends_the_reading(block: bytes) -> None:
    assert read_extensions(block, TWO_BYTE_PROFILE) == {1: b"\xaa"}


def test_a_two_byte_element_may_be_empty() -> None:
    assert read_extensions(b"\x01\x00\x02\x01\xaa\x00\x00\x00", TWO_BYTE_PROFILE) == {1: b"", 2: b"\xaa"}
