"""No payload of any length makes a parser raise anything but PayloadError, or take long."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs import PayloadError, av1, first_size, h264, keyframe, opus, vp8, vp9
from sfu.codecs.vp8_descriptor import describe, descriptor_size
from tests.support.payloads import PAYLOADS, encode
from tests.support.properties import any_input

LONGEST = 1_600
PARSERS: dict[str, list[Callable[[bytes], object]]] = {
    "vp8": [descriptor_size, describe, vp8.picture_id, lambda payload: vp8.frame([payload])],
    "vp9": [vp9.parse, vp9.picture_id, vp9.key_size, lambda payload: vp9.frame([payload])],
    "h264": [h264.sps_size, lambda payload: h264.frame([payload])],
    "av1": [av1.elements, av1.sequence_size, lambda payload: av1.frame([payload])],
    "opus": [opus.duration_ticks, opus.frame_ticks, opus.concealment],
}
CODECS = list(PARSERS)


def offer(codec: str, payload: bytes) -> None:
    assert keyframe(codec)(payload) in (True, False)
    if (size := first_size(codec)) is not None:
        size(payload)
    for parser in PARSERS[codec]:
        try:
            parser(payload)
        except PayloadError:
            pass


@pytest.mark.parametrize("codec", CODECS)
def test_every_length_is_taken_or_refused(codec: str) -> None:
    chance = random.Random(codec)
    for length in range(LONGEST + 1):
        for payload in (bytes(length), b"\xff" * length, b"\x80" * length, chance.randbytes(length)):
            offer(codec, payload)


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_every_cut_of_a_real_key_frame_is_taken_or_refused(codec: str) -> None:
    first = next(PAYLOADS[codec](encode(codec, 1)[0], 0))
    for length in range(len(first) + 1):
        offer(codec, first[:length])


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_a_real_key_frame_with_any_byte_changed_is_taken_or_refused(codec: str) -> None:
    chance = random.Random(1)
    payloads = list(PAYLOADS[codec](encode(codec, 1)[0], 0))[:2]
    for payload in payloads:
        for at in range(min(len(payload), 64)):
            changed = bytearray(payload)
            changed[at] ^= chance.randrange(1, 256)
            offer(codec, bytes(changed))


@pytest.mark.parametrize("codec", CODECS)
@any_input
@given(payload=st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(codec: str, payload: bytes) -> None:
    offer(codec, payload)


@pytest.mark.parametrize(
    ("codec", "frame"), [("vp8", vp8.frame), ("vp9", vp9.frame), ("h264", h264.frame), ("av1", av1.frame)]
)
@any_input
@given(payloads=st.lists(st.binary(max_size=40), max_size=5))
def test_any_list_of_payloads_is_joined_or_refused(
    codec: str, frame: Callable[[list[bytes]], object], payloads: list[bytes]
) -> None:
    try:
        frame(payloads)
    except PayloadError:
        pass


@any_input
@given(fmtp=st.text(max_size=80).map(lambda text: f"a=b;sprop-parameter-sets={text}"))
def test_any_fmtp_is_taken_or_ignored(fmtp: str) -> None:
    h264.parameter_sets(fmtp)


def test_a_codec_that_nobody_knows_has_no_key_frames() -> None:
    with pytest.raises(KeyError):
        keyframe("h265")
