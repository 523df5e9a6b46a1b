"""Where frames stand among the temporal layers: what Chromium 156 sends with scalabilityMode L1T3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs import av1, vp9
from sfu.codecs.temporal import BASE, TOP, Place, plain
from sfu.codecs.vp8_descriptor import NOTHING, describe, unchanged
from tests.support.properties import any_input

VP8 = [
    ("90e0f97a4720307f", plain(0)),
    ("b0e0f97b47a0112b", Place(2, 1, 2)),
    ("90e0f97c47603130", Place(1, 0, 1)),
    ("b0e0f97d4780b13f", plain(2)),
    ("90e0f97e48007146", plain(0)),
    ("b0e0f97f4880f152", plain(2)),
    ("90e0f9804840d150", plain(1)),
]
"""First bytes of the frames of one picture group: a key frame, two layers with the Y bit, the rest without."""

VP9 = [
    ("bbfa971010028001688349834200", Place(0, 0, TOP)),
    ("fdfa9850028700000004fe02ceb2", Place(2, 2, TOP)),
    ("f9fb0130048702020004fe02ceb0", Place(1, 1, TOP)),
    ("f9fb0250028700200004fe02ceb0", Place(2, 2, TOP)),
    ("f9faff10088701000004fe02ceb0", Place(0, 0, TOP)),
]
AV1 = [
    ("6810080021070881844043313fd9", BASE),
    ("5034403000000000012200555555", plain(2)),
    ("5034203000400000410a001c71c7", plain(1)),
    ("5034003000200000642800514514", plain(0)),
]


@pytest.mark.parametrize(("head", "place"), VP8)
def test_vp8_says_it_in_its_descriptor(head: str, place: Place) -> None:
    found = describe(bytes.fromhex(head))
    assert found.place == place
    assert found.size_bytes == 6
    assert found.rewritten(0, 0) == bytes.fromhex(head)[:6]


def test_a_vp8_stream_without_layers_is_one_layer() -> None:
    for head in ("9080f97a10", "90c0f97a4710", "10"):
        assert describe(bytes.fromhex(head) + b"rest").place == BASE


def test_a_key_index_is_no_temporal_layer() -> None:
    assert describe(bytes.fromhex("9090f97ae5") + b"rest").place == BASE


@pytest.mark.parametrize(("head", "place"), VP9)
def test_vp9_says_it_in_its_descriptor(head: str, place: Place) -> None:
    assert vp9.place(bytes.fromhex(head)) == place


@pytest.mark.parametrize(("head", "place"), AV1)
def test_av1_says_it_in_the_head_of_its_first_obu(head: str, place: Place) -> None:
    assert av1.place(bytes.fromhex(head)) == place


def test_the_rest_of_an_av1_obu_says_nothing() -> None:
    assert av1.place(b"\x90\x34\x40") is None


@any_input
@given(st.binary(max_size=20))
def test_any_bytes_have_a_place(payload: bytes) -> None:
    for place in (vp9.place(payload), av1.place(payload), describe(payload).place):
        if place is not None:
            assert 0 <= place.layer <= TOP
            assert -1 <= place.needs <= place.reaches <= TOP


@given(st.integers(0, 7), st.booleans(), st.booleans(), st.booleans())
def test_the_vp9_place_is_that_of_the_whole_descriptor(layer: int, up: bool, long: bool, flexible: bool) -> None:
    number = b"\x81\x02" if long else b"\x02"
    levels = bytes((layer << 5 | up << 4,)) + (b"" if flexible else b"\x09")
    payload = bytes((0xA8 | flexible << 4,)) + number + levels + b"picture"
    found = vp9.parse(payload)
    assert (found.temporal_id, found.switches_up) == (layer, up)
    assert found.tl0 == (None if flexible else 9)
    assert vp9.place(payload) == (Place(layer, layer, TOP) if up else plain(layer))


def test_the_other_bits_of_a_vp9_descriptor_are_read() -> None:
    found = vp9.parse(bytes.fromhex("eb8203" + "57" + "06" + "3f01" + "38") + bytes.fromhex("014000b402800168") * 2)
    assert (found.predicted, found.spatial_id, found.depends_on_lower) == (True, 3, True)
    assert (found.temporal_id, found.switches_up, found.tl0) == (2, True, 6)


def test_a_vp9_structure_states_the_size_of_each_spatial_layer() -> None:
    """Y and three layers, then a picture group of one picture with one reference (RFC 9628 4.2.1)."""
    sizes = "00a0005a" + "014000b4" + "02800168"
    payload = bytes.fromhex("8a8001" + "58" + sizes + "01" + "14" + "01") + b"picture"
    assert vp9.parse(payload).sizes == ((160, 90), (320, 180), (640, 360))
    assert vp9.parse(payload).size == len(payload) - len(b"picture")
    assert vp9.first_size(payload) == (640, 360)


def test_what_is_not_rewritten_has_a_place_all_the_same() -> None:
    assert unchanged(plain(2)).place == plain(2)
    assert unchanged(plain(2)) is unchanged(plain(2))
    assert unchanged(BASE) == NOTHING
    assert unchanged(plain(1)).rewritten(5, 5) == b""
