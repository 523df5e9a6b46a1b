"""The cache of extension layouts gives what a whole reading of the block gives, whatever came before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp import HEADER_BYTES, MAX_LAYOUTS, LayoutCache, read_extensions
from tests.support.sfu_media import one_byte_extensions

TRANSPORT_SEQUENCE_ID, OCTET_ID = 3, 13


def read(cache: LayoutCache, extensions: bytes) -> tuple[int, int]:
    """`extensions`: block with its head, at the place it has in a packet without CSRCs, with text behind it."""
    data = bytes(HEADER_BYTES) + extensions + b"text and tag"
    return cache.read(data, HEADER_BYTES + 4, len(extensions) - 4)


def expected(extensions: bytes) -> tuple[int, int]:
    found = read_extensions(extensions[4:], int.from_bytes(extensions[:2], "big"))
    sequence, octet = found.get(TRANSPORT_SEQUENCE_ID, b""), found.get(OCTET_ID, b"")
    return (
        int.from_bytes(sequence, "big") if len(sequence) == 2 else -1,
        octet[0] if len(octet) == 1 else -1,
    )


def cache() -> LayoutCache:
    return LayoutCache(TRANSPORT_SEQUENCE_ID, OCTET_ID)


def sequence(number: int) -> tuple[int, bytes]:
    return (TRANSPORT_SEQUENCE_ID, number.to_bytes(2, "big"))


def test_values_are_read_whatever_stands_beside_them() -> None:
    found = read(cache(), one_byte_extensions((4, b"1"), (OCTET_ID, b"\x02"), (10, b"hi"), sequence(0x1234)))
    assert found == (0x1234, 2)


def test_absent_values_are_minus_one() -> None:
    assert read(cache(), one_byte_extensions((4, b"1"))) == (-1, -1)
    assert read(cache(), b"\xbe\xde\x00\x00") == (-1, -1)


def test_the_two_byte_form_is_read_as_well() -> None:
    assert read(cache(), b"\x10\x00\x00\x02\x03\x02\x12\x34\x0d\x01\x05\x00") == (0x1234, 5)


def test_a_foreign_profile_has_no_values() -> None:
    assert read(cache(), b"\xab\xac\x00\x01\x32\x12\x34\x00") == (-1, -1)


def test_alternating_layouts_of_one_length_are_told_apart() -> None:
    """Chromium puts the orientation behind the others on some packets only, where there was padding before."""
    plain = one_byte_extensions(sequence(7), (4, b"1"))
    turned = one_byte_extensions(sequence(8), (4, b"1"), (OCTET_ID, b"\x01"))
    assert plain[:4] == turned[:4]
    known = cache()
    for _ in range(3):
        assert read(known, plain) == (7, -1)
        assert read(known, turned) == (8, 1)


def test_what_follows_id_15_is_not_taken_and_the_next_honest_packet_is() -> None:
    stopped = b"\xbe\xde\x00\x02\xf0\x00\x00\x00\x31\x00\x01\x00"
    honest = b"\xbe\xde\x00\x02\x40\x31\x00\x00\x31\x00\x01\x00"
    known = cache()
    for _ in range(2):
        assert read(known, stopped) == (-1, -1)
        assert read(known, honest) == (1, -1)


def test_an_element_of_the_wrong_length_is_not_a_value() -> None:
    assert read(cache(), one_byte_extensions((TRANSPORT_SEQUENCE_ID, b"\x01\x02\x03"), (OCTET_ID, b"12"))) == (
        -1,
        -1,
    )


def test_ids_that_were_not_negotiated_are_never_read() -> None:
    unset = LayoutCache(0, 0)
    assert read(unset, b"\xbe\xde\x00\x01\x01\x12\x34\x00") == (-1, -1)
    assert read(unset, b"\x10\x00\x00\x01\x00\x02\x12\x34") == (-1, -1)


@pytest.mark.parametrize("size", range(1, 17))
def test_elements_of_every_length_may_stand_before_and_behind(size: int) -> None:
    before = one_byte_extensions((5, bytes(size)), sequence(258), (6, bytes(17 - size)))
    behind = one_byte_extensions(sequence(258), (5, bytes(size)))
    known = cache()
    for _ in range(2):
        assert read(known, before) == read(known, behind) == (258, -1)


element = st.tuples(st.sampled_from([0, 1, 3, 4, 13, 14, 15]), st.binary(min_size=1, max_size=4))


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """Blocks of 2 words, near to each other: honest elements, padding, id 15, overruns, and plain noise."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([b"\xbe\xde", b"\x10\x00"])) + b"\x00\x02" + draw(st.binary(min_size=8, max_size=8))
    body = b""
    for identifier, value in draw(st.lists(element, max_size=4)):
        body += bytes(draw(st.integers(0, 2))) + bytes((identifier << 4 | len(value) - 1,)) + value
    return b"\xbe\xde\x00\x02" + (body + bytes(8))[:8]


@given(st.lists(blocks(), min_size=1, max_size=3 * MAX_LAYOUTS))
def test_any_alternation_of_honest_and_hostile_blocks_is_read_as_each_alone(sequence_of_blocks: list[bytes]) -> None:
    known = cache()
    for block in sequence_of_blocks:
        assert read(known, block) == read(cache(), block) == expected(block)


def test_no_number_of_layouts_grows_the_cache_beyond_its_cap() -> None:
    known = cache()
    for size in range(1, 60):
        assert read(
            known, one_byte_extensions(sequence(size), (4, bytes(1 + size % 16)), (5, bytes(1 + size // 16)))
        ) == (size, -1)
        assert len(known._known) <= MAX_LAYOUTS
