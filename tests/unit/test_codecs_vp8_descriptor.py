"""VP8 descriptors of every shape (RFC 7741 4.2) are understood, and moved by arithmetic alone."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs.vp8_descriptor import NOTHING, describe
from tests.support.properties import any_input

# One bit each: I with 7 bits, I with 15 bits, L, T, K.
SHAPES = [
    pytest.param(
        long, level, temporal, key_index, id=f"{'M' if long else 'I'}{'L' * level}{'T' * temporal}{'K' * key_index}"
    )
    for long, level, temporal, key_index in itertools.product((False, True), repeat=4)
]


def descriptor(
    picture: int, tl0: int, *, long: bool, level: bool, temporal: bool, key_index: bool, first: int = 0x90
) -> bytes:
    flags = 0x80 | 0x40 * level | 0x20 * temporal | 0x10 * key_index
    head = bytes((first, flags))
    head += (0x8000 | picture).to_bytes(2, "big") if long else bytes((picture & 0x7F,))
    if level:
        head += bytes((tl0,))
    if temporal or key_index:
        head += b"\xa5"
    return head


@pytest.mark.parametrize(("long", "level", "temporal", "key_index"), SHAPES)
def test_each_shape_is_read_and_rewritten(long: bool, level: bool, temporal: bool, key_index: bool) -> None:
    shape = {"long": long, "level": level, "temporal": temporal, "key_index": key_index}
    plain = descriptor(100, 200, **shape)
    found = describe(plain + b"rest")
    assert found.size_bytes == len(plain)
    assert found.picture_id == 100
    assert found.tl0 == (200 if level else 0)
    assert found.rewritten(0, 0) == plain
    assert found.rewritten(1, 1) == descriptor(101, 201, **shape)
    assert found.rewritten(-101, -201) == descriptor(0x7FFF if long else 0x7F, 255, **shape)


@any_input
@given(st.binary(max_size=12), st.integers(0, 255))
def test_rewriting_by_nothing_is_the_identity(payload: bytes, extension: int) -> None:
    for candidate in (payload, bytes((0x80,)) + bytes((extension,)) + payload):
        found = describe(candidate)
        assert found.size_bytes <= len(candidate)
        assert found.rewritten(0, 0) == candidate[: found.size_bytes]


@given(
    st.integers(0, 0x7FFF),
    st.integers(0, 255),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    st.integers(-(2**40), 2**40),
    st.integers(-(2**40), 2**40),
)
def test_any_offset_wraps_in_its_own_field_and_touches_no_other_bit(
    picture: int, tl0: int, shape: tuple[bool, bool, bool, bool], by_picture: int, by_tl0: int
) -> None:
    long, level, temporal, key_index = shape
    form = {"long": long, "level": level, "temporal": temporal, "key_index": key_index}
    mask = 0x7FFF if long else 0x7F
    moved = describe(descriptor(picture & mask, tl0, **form) + b"rest").rewritten(by_picture, by_tl0)
    assert moved == descriptor((picture + by_picture) & mask, (tl0 + by_tl0) & 0xFF, **form)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x90",
        b"\x90\x80",
        b"\x90\x80\x80",  # cut within the picture id
        b"\x90\xc0\x80\x01",  # cut before TL0PICIDX
        b"\x90\xf0\x80\x01\x05",  # cut before TID and KEYIDX
        b"\x10\x80\x80\x01\x00",  # no extension
        b"\x90\x40\x05\x00\x00",  # TL0PICIDX without a picture id
        bytes(8),  # padding
    ],
)
def test_without_a_whole_picture_id_nothing_is_rewritten(payload: bytes) -> None:
    assert describe(payload) is NOTHING
    assert describe(payload).rewritten(5, 5) == b""
