"""The newest packet of RED is found, or the payload is refused; nothing is read beyond its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs.red import MAX_BLOCKS, primary, relabelled
from tests.support.payloads import red
from tests.support.properties import any_input

OPUS = 111


@pytest.mark.parametrize("earlier", [(), (b"before",), (b"", b"before"), (b"a" * 1023, b"b" * 300, b"c")])
def test_the_newest_packet_is_found_behind_any_number_of_earlier_ones(earlier: tuple[bytes, ...]) -> None:
    assert primary(red(b"newest", *earlier), OPUS) == b"newest"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x6f",
        b"\xef",
        b"\xef\x00\x00",
        b"\xef\x00\x00\x00",
        b"\xef\x0f\x00\x05\x6fabcd",
        b"\xef\x0f\x00\x05\x6fabcde",
        b"\xef\x0f\x03\xff\x6f" + bytes(100),
        red(b"newest", b"before", payload_type=96),
        b"\xe0" + red(b"newest", b"before")[1:],
        red(b"newest", *[b"x"] * MAX_BLOCKS),
    ],
)
def test_what_is_cut_short_empty_or_of_another_codec_is_refused(payload: bytes) -> None:
    assert primary(payload, OPUS) is None


@any_input
@given(st.binary(max_size=1500), st.integers(0, 127))
def test_any_payload_gives_its_own_end_or_nothing(payload: bytes, payload_type: int) -> None:
    found = primary(payload, payload_type)
    assert found is None or (found and payload.endswith(found) and len(found) < len(payload))


@given(st.binary(min_size=1, max_size=400), st.lists(st.binary(max_size=400), max_size=MAX_BLOCKS - 1), st.data())
def test_what_is_cut_off_anywhere_before_the_newest_packet_is_refused(
    newest: bytes, earlier: list[bytes], data: st.DataObject
) -> None:
    whole = red(newest, *earlier)
    assert primary(whole, OPUS) == newest
    cut = data.draw(st.integers(0, len(whole) - len(newest)))
    assert primary(whole[:cut], OPUS) is None


@given(st.binary(min_size=1, max_size=400), st.lists(st.binary(max_size=400), max_size=MAX_BLOCKS - 1))
def test_a_receiver_finds_all_packets_under_its_own_number(newest: bytes, earlier: list[bytes]) -> None:
    assert relabelled(red(newest, *earlier), 96) == red(newest, *earlier, payload_type=96)
